// The program's network interfaces as it may see them: lo and eth0, from the session's control page.
#pragma once

namespace skerry::preload {

// SIOCGIFCONF, SIOCGIFFLAGS and the other requests of netdevice(7) that only read: a socket of any family is
// asked them, but those for addresses are AF_INET's.
bool is_interface_request(unsigned long request, bool is_inet);
int answer_interface_request(unsigned long request, void* argument);  // 0 or -errno

}  // namespace skerry::preload
