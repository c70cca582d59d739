// Carries the program's datagrams from the server to UDP, each breath after the server looked at its notes. A
// Component between the server (above) and TCP; templates over what sends, so that nothing is virtual per
// datagram.
#pragma once

#include <cerrno>

#include "base/time.hpp"
#include "sockets/server.hpp"

namespace skerry::sockets {

// Sender: int send(now, socket, to, source, may_broadcast, first piece, second piece), as stack::UdpSender.
template <class Sender>
class DatagramComponent {
 public:
  DatagramComponent(Server& server, Sender& sender) : server_(server), sender_(sender) {}

  uint32_t rx(TimeNs) { return 0; }
  uint32_t tx(TimeNs now) {
    uint32_t work = 0;
    for (DatagramOut datagram; server_.next_datagram(datagram); ++work) {
      const int error = sender_.send(now, datagram.socket, datagram.to, datagram.source, datagram.broadcast,
                                     datagram.payload[0], datagram.payload[1]);
      server_.datagram_done(datagram, error);
      if (error == EAGAIN) break;
    }
    return work;
  }
  TimeNs deadline() const { return kNever; }
  bool arm() { return true; }
  void disarm() {}

 private:
  Server& server_;
  Sender& sender_;
};

}  // namespace skerry::sockets
