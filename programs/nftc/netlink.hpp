// The kernel that libnftables believes to speak with: its calls to libmnl and to netlink sockets end here, in
// memory. netlink.cpp defines the functions that libnftables imports, so the dynamic linker binds them to
// ours.
//
// Read first: docs/filter.md, "How a ruleset is compiled".
//
// Invariant: no socket is opened. What is asked about is empty but for the interfaces that were named; what
// is changed is judged as bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/bytes.hpp"

namespace skerry::nftc {

// An error that the kernel would answer a batch with, and the message and the place that it is about.
struct Answer {
  int error = 0;          // errno
  uint32_t sequence = 0;  // of the message
  uint32_t offset = 0;    // from the head of the message to the attribute
};

struct FakeKernel {
  int descriptor = -1;                  // that libnftables believes to be the socket; nothing goes over it
  std::vector<std::string> interfaces;  // the first has index 1
  std::function<std::vector<Answer>(ConstBytes batch)> judge;  // called with each batch that nft sends
};

// The one that the interposed functions below answer for; set before libnftables is called.
extern FakeKernel* kernel;

}  // namespace skerry::nftc
