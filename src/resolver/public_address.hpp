// Which addresses a name may lead to. Who runs a domain decides what its names say, and may say 127.0.0.1,
// 169.254.169.254 or the address of a printer: an allowed name must not open what only its author named (DNS
// rebinding). So answers are believed only where they are addresses of the Internet.
#pragma once

#include <span>

#include "wire/address_text.hpp"

namespace skerry::resolver {

// Not private, shared, loopback, link-local (where clouds have their metadata), for documentation or tests,
// multicast or reserved: RFC 6890 and the registry that it began. `own`: networks of ours, which are none
// either.
bool is_public(Ipv4Address address, std::span<const Ipv4Prefix> own);

}  // namespace skerry::resolver
