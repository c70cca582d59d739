// What a system call that failed left in errno, as the error that a person reads.
#pragma once

#include <string_view>

#include "base/result.hpp"

namespace skerry {

// "cannot open /dev/net/tun: Permission denied". To be called before anything else can change errno.
Error system_error(std::string_view what);

}  // namespace skerry
