// Driver: a device as a Link, with what its process needs beside the Link contract.
// tests/driver/conformance.hpp checks it over every device that there is.
//
//  - wake_fds(): become readable when frames arrive; watched for edges only. They never change.
//  - each_count(count): calls count(name, value) for everything that the device counted beyond LinkCounters:
//    losses are "drop.REASON". A frame that is neither carried nor given back is in one of these.
//  - carrier(): whether its wire is there. Where the device is an interface of the kernel's, watch() is what
//    tells; whoever waits for its descriptor calls look() then.
//  - gone(): the device was deleted. Nothing will come or go any more, and sleeping is safe.
//  - why_gone(): the same for a person.
//
// Sending never waits: what the device refuses (the interface is down, say) is lost and counted, as on any
// wire, and once it takes frames again it carries them without being told.
#pragma once

#include <concepts>
#include <cstdint>
#include <string_view>
#include <vector>

#include "link/link.hpp"

namespace skerry {

template <class D>
concept Driver = Link<D> && requires(const D& device, void (*count)(std::string_view, uint64_t)) {
  { device.wake_fds() } -> std::same_as<std::vector<int>>;
  { device.counters() } -> std::same_as<const LinkCounters&>;
  { device.gone() } -> std::same_as<bool>;
  { device.why_gone() } -> std::same_as<const char*>;
  device.each_count(count);
};

}  // namespace skerry
