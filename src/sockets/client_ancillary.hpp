// What goes beside a message (recvmsg(2), ip(7), ipv6(7)): read from the program's control data, and written
// to it.
#pragma once

#include <sys/socket.h>

#include <optional>

#include "sockets/client_state.hpp"

namespace skerry::sockets::client {

// What sendmsg() asks of one datagram.
struct Outfit {
  IpAddress source;  // to send from; unspecified: the socket's
  uint8_t ttl = 0;   // 0: the socket's
  std::optional<uint8_t> type_of_service;
  int error = 0;  // -errno: it cannot be read
};
Outfit read_outfit(uint32_t socket, const msghdr& message);

// Control data, appended as long as the program left room.
class Ancillary {
 public:
  explicit Ancillary(msghdr& message) : message_(message), room_(message.msg_controllen) {
    message_.msg_controllen = 0;
  }
  void add(int level, int type, const void* data, size_t bytes);

  // SO_TIMESTAMP and SO_TIMESTAMPNS; nothing if the time is 0.
  void add_time(uint32_t socket, uint64_t arrival_ns);
  // TCP_INQ: what is there of a stream behind what was read.
  void add_input_left(uint32_t socket);
  // What the socket wants to know of a packet, its time too.
  void add_packet(uint32_t socket, const DatagramHeader& header);

 private:
  msghdr& message_;
  size_t room_;
};

}  // namespace skerry::sockets::client
