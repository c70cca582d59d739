#include "base/fd.hpp"

#include <unistd.h>

namespace skerry {

void Fd::reset(int number) {
  if (number_ >= 0) ::close(number_);
  number_ = number;
}

}  // namespace skerry
