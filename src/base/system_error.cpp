#include "base/system_error.hpp"

#include <cerrno>
#include <cstring>
#include <string>

namespace skerry {

Error system_error(std::string_view what) {
  const int number = errno;
  return Error{std::string(what) + ": " + std::strerror(number), number};
}

}  // namespace skerry
