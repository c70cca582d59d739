// arp(7), and the requests of netdevice(7) that change something. Whom the stack knows by which hardware
// address is its own affair, so nobody is told of; to change interfaces, routes and neighbours is not
// permitted, as without privileges.
#pragma once

namespace skerry::preload {

bool is_neighbour_request(unsigned long request, bool is_inet);
int answer_neighbour_request(unsigned long request, const void* argument);  // -errno

}  // namespace skerry::preload
