// Opens TAP devices: the part of the driver that needs CAP_NET_ADMIN. The supervisor does it and passes the
// descriptor; the driver process never has the right. Read first: the kernel's
// Documentation/networking/tuntap.rst.
#pragma once

#include <cstdint>
#include <string>

#include "base/fd.hpp"
#include "base/result.hpp"

namespace skerry {

// Creates the interface `name` (or opens it, if it exists and is persistent) in the caller's network
// namespace, ready for TapLink. It goes away with its last descriptor. Errors: EPERM without the capability,
// EBUSY if somebody has it.
Result<Fd> open_tap(const std::string& name);

// Gives the interface an IPv4 address (host byte order) and an MTU and sets it up. Needs CAP_NET_ADMIN too.
Result<void> set_up_interface(const std::string& name, uint32_t address, uint8_t prefix_bits, uint32_t mtu);

}  // namespace skerry
