// The program's network interfaces as it may see them: lo and eth0, from the session's control page.
#pragma once

namespace skerry::preload {

// SIOCGIFCONF, SIOCGIFADDR and the other requests of netdevice(7) that only read.
bool is_interface_request(unsigned long request);
int answer_interface_request(unsigned long request, void* argument);  // 0 or -errno

}  // namespace skerry::preload
