// The sockets of a stack as JSON rows, for `skerry ss`. Cold: runs when the supervisor asks.
#pragma once

#include <nlohmann/json.hpp>

#include "sockets/server.hpp"
#include "stack/udp.hpp"
#include "tcp/tcp.hpp"

namespace skerry {

// Rows `first` and following, as many as fit into one control message:
// {"rows":[{"proto":"tcp","state":"ESTAB","local":"10.77.0.2:6379","peer":"10.77.0.3:40000","rx_queue":0,...}],
//  "more":false}
nlohmann::json socket_table(const tcp::Tcp& tcp, const stack::Udp& udp, const sockets::Server& server,
                            uint32_t sockets, size_t first);

}  // namespace skerry
