#include "base/check.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace skerry {

void check_failed(const char* expression, const char* file, int line) {
  char text[512];
  const int length = std::snprintf(text, sizeof text, "skerry: internal error: CHECK(%s) failed at %s:%d\n",
                                   expression, file, line);
  if (length > 0) {
    const ssize_t ignored = ::write(2, text, static_cast<size_t>(length));
    static_cast<void>(ignored);
  }
  std::abort();
}

}  // namespace skerry
