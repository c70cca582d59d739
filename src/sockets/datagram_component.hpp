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
    retry_at_ = kNever;
    uint32_t work = 0, refused = 0;
    for (DatagramOut datagram; work < kMost && server_.next_datagram(datagram);) {
      const int error = sender_.send(now, datagram.socket, datagram.to, datagram.source, datagram.rules,
                                     datagram.payload[0], datagram.payload[1]);
      server_.datagram_done(datagram, error);
      if (error != EAGAIN) {
        ++work;
        refused = 0;
      } else if (++refused >= server_.sending()) {  // nobody can send
        retry_at_ = now + kRetry;
        break;
      }
    }
    return work;
  }
  TimeNs deadline() const { return retry_at_; }
  bool arm() { return true; }
  void disarm() {}

 private:
  // A program on another core may write as fast as we send, and what is refused fills no queue: so there is
  // an end to a breath. The rest goes in the next one, which work brings about.
  static constexpr uint32_t kMost = 256;
  static constexpr DurationNs kRetry = kMillisecond;  // nobody rings when there is room again

  Server& server_;
  Sender& sender_;
  TimeNs retry_at_ = kNever;
};

}  // namespace skerry::sockets
