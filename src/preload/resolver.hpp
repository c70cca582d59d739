// Names to addresses and back: hosts(5), then DNS over the program's own stack (RFC 1035, resolv.conf(5)).
// glibc's own resolver calls no function that could be interposed, so this one takes its place.
#pragma once

#include <cstddef>
#include <string_view>

#include "preload/resolver_files.hpp"
#include "wire/dns.hpp"

namespace skerry::preload {

struct Resolved : HostNames {
  enum class Kind { found, no_name, no_data, try_again, failure };
  Kind kind = Kind::no_name;
  IpAddress addresses[kAddressesMax];
  size_t count = 0;
};

// Blocks up to the time-outs of resolv.conf. Needs an attached session. `family` says which lines of hosts(5)
// count; what else is found is IPv4's, whichever it is.
Resolved resolve(std::string_view name, int family);
// The address's names, and no addresses.
Resolved resolve_address(const IpAddress& address);

}  // namespace skerry::preload
