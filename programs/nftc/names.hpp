// What libnftables asked the C library for, see names.cpp.
#pragma once

namespace skerry::nftc {

// A text wants to include others.
extern bool asked_for_files;

}  // namespace skerry::nftc
