// The sockets of this stack, as its rules ask about them (filter/socket.hpp): what TCP and UDP know of who a
// packet would be for.
#pragma once

#include "filter/protocols.hpp"
#include "filter/socket.hpp"
#include "stack/udp.hpp"
#include "tcp/tcp.hpp"

namespace skerry::stack {

class OwnSockets {
 public:
  // Both outlive the object.
  OwnSockets(const tcp::Tcp& tcp, const Udp& udp) : tcp_(tcp), udp_(udp) {}

  // filter::SocketLookup.
  static std::optional<filter::Socket> find(const void* self, const filter::Tuple& tuple) {
    return static_cast<const OwnSockets*>(self)->find(tuple);
  }

 private:
  std::optional<filter::Socket> find(const filter::Tuple& tuple) const {
    const Endpoint local{address_of(tuple.destination), load_be16(tuple.destination_port.data())},
        remote{address_of(tuple.source), load_be16(tuple.source_port.data())};
    if (tuple.protocol == filter::kProtocolTcp) {
      const auto receiver = tcp_.receiver(local, remote);
      if (!receiver) return std::nullopt;
      return filter::Socket{.whole = receiver->whole, .any_address = receiver->any_address};
    }
    const auto id = udp_.match(local, remote);
    if (!id) return std::nullopt;
    return filter::Socket{.any_address = udp_.local(*id).address.is_unspecified()};
  }
  static IpAddress address_of(const std::array<uint8_t, 16>& v4) {
    return IpAddress::v4(load_be32(v4.data()));
  }

  const tcp::Tcp& tcp_;
  const Udp& udp_;
};

}  // namespace skerry::stack
