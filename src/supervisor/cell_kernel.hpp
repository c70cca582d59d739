// What a cell sees of the kernel: processes, switches and devices of its own, and none of the machine's.
//
// Read first: cell_view.hpp.
#pragma once

#include "base/result.hpp"

namespace skerry::supervisor {

// In the place of /dev, /proc and /sys, and of what shows the same elsewhere. Devices first: one of the
// host's terminals is found by its name in its /dev.
Result<void> make_kernel_view();

}  // namespace skerry::supervisor
