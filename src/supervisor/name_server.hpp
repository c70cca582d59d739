// Name servers, which a program's resolver asks from the host's side: whom, as people write it, and a socket
// that leads there; and what the host knows without asking.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.hpp"
#include "base/result.hpp"
#include "wire/address.hpp"

namespace skerry::supervisor {

inline constexpr size_t kMaxNameServers = 3;  // resolv.conf(5)

// "9.9.9.9", "127.0.0.1:5353", "2620:fe::fe", "[::1]:5353", "fe80::1%wlan0"; the port is 53 unless it says
// so. Returns the form with a port. Errors: one sentence.
Result<std::string> parse_name_server(std::string_view text);

// What a resolv.conf(5) names, in that form.
std::vector<std::string> name_servers_in(const std::string& resolv_conf);

// What a hosts(5) says, by names in lower case. 0.0.0.0 is nobody: who writes it wants no answer.
std::multimap<std::string, Ipv4Address> hosts_in(const std::string& hosts);

// A UDP socket that sends to this server and hears this server only. `server` is of the form with a port.
// Blocking; whoever uses it says MSG_DONTWAIT. If no way leads from this host to the server, as to one of
// IPv6 from a host without it, a socket that is connected to nobody and could not be to anybody on the
// Internet: others may answer. Errors: what has to do with this process.
Result<Fd> open_name_server(const std::string& server);

}  // namespace skerry::supervisor
