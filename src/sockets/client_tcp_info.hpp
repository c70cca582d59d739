// getsockopt(TCP_INFO).
#pragma once

#include <sys/socket.h>

#include <cstdint>

namespace skerry::sockets::client {

// The kernel's whole struct tcp_info (linux/tcp.h; that of netinet/tcp.h is its beginning), or as much of it
// as
// `*length` asks for. What it does not measure reads as 0: pacing and delivery rates, what limited sending,
// and the receiver's own round-trip time.
int give_tcp_info(uint32_t socket, void* value, socklen_t* length);

}  // namespace skerry::sockets::client
