// UDP above the stack of a World, and what it gives to the program.
#pragma once

#include <vector>

#include "stack/udp_component.hpp"
#include "world.hpp"

namespace skerry::stack {

struct Sink {
  struct Delivery {
    SocketId id;
    Endpoint from, to;
    Marks marks;
    Packet payload;
  };
  struct Refusal {
    SocketId id;
    TransportError error;
  };
  bool deliver(TimeNs, SocketId id, const Endpoint& from, const Endpoint& to, const Marks& marks,
               ConstBytes payload) {
    if (full) return false;
    delivered.push_back({id, from, to, marks, Packet(payload.begin(), payload.end())});
    return true;
  }
  void refused(TimeNs, SocketId id, const TransportError& error) { refusals.push_back({id, error}); }

  std::vector<Delivery> delivered;
  std::vector<Refusal> refusals;
  bool full = false;
};

class UdpComponentTest : public World {
 protected:
  void SetUp() override {
    introduce_peer();
    Endpoint local{IpAddress::v4(0), 7};
    ASSERT_EQ(udp_.bind(0, local, true), 0);
  }
  void breathe_all() {
    ip_.rx(now_);
    component_.rx(now_);
    component_.tx(now_);
    ip_.tx(now_);
  }
  Packet frame(uint16_t port, const Packet& payload) {
    return ipv4_frame(from_peer(IpProtocol::kUdp), udp_datagram(kPeer, kOurs, 9, port, payload));
  }
  int send(SocketId id, const Endpoint& to, const Packet& first, const Packet& second = {},
           bool broadcast = false) {
    return sender_.send(now_, id, to, IpAddress{}, {.may_broadcast = broadcast}, first, second);
  }

  Random udp_random_{11};
  Udp udp_{8, udp_random_};
  Sink sink_;
  UdpComponent<Ip<LocalLink>, Sink> component_{ip_, udp_, sink_};
  UdpSender<Ip<LocalLink>> sender_{ip_, udp_};
  const Endpoint peer_endpoint_{IpAddress::v4(kPeer), 9};
};

}  // namespace skerry::stack
