// What rules read of the socket that a packet is for, or from: part of the interpreter, included by
// engine.cpp alone.
//
// Read first: vm.hpp, socket.hpp.
#pragma once

#include "filter/protocols.hpp"
#include "filter/vm.hpp"

namespace skerry::filter {

constexpr bool is_of_sockets(uint8_t protocol) {
  return protocol == kProtocolTcp || protocol == kProtocolUdp;
}

// Of the packet that an ICMP error quotes the answer, which is for who sent it (extract_icmp4_fields()).
inline std::optional<Tuple> answer_to_quoted(const Packet& packet) {
  constexpr size_t kIcmpBytes = 8;
  if (packet.transport + kIcmpBytes > packet.bytes.size()) return std::nullopt;  // a rule wrote its header
  const ConstBytes icmp = ConstBytes(packet.bytes).subspan(packet.transport);
  if (!is_icmp_error(packet.v6, icmp[0])) return std::nullopt;
  const ConstBytes quoted = icmp.subspan(kIcmpBytes);
  const auto transport = find_transport(quoted, packet.v6);
  if (!transport || !is_of_sockets(transport->protocol)) return std::nullopt;
  const auto sent = Tuple::read(quoted, packet.v6, transport->protocol, transport->offset);
  return sent ? sent->inverse() : std::nullopt;
}

// As of a packet to the socket, whichever way this one goes, and as the socket knows its peer where the flow
// is translated.
inline std::optional<Tuple> Engine::Run::tuple_to_socket() const {
  if (packet.v6 || !packet.has_transport || packet.fragment != 0) return std::nullopt;  // we speak IPv4
  const Tracked& tracked = packet.tracked;
  const bool is_error = packet.protocol == kProtocolIcmp;
  if (hook == Hook::output) {
    if (!is_of_sockets(packet.protocol)) return std::nullopt;
    if (tracked.flow != nullptr && !tracked.reply) return tracked.flow->tuples[0].inverse();
    const auto leaves = Tuple::read(packet.bytes, packet.v6, packet.protocol, packet.transport);
    return leaves ? leaves->inverse() : std::nullopt;
  }
  std::optional<Tuple> comes;
  if (is_error)
    comes = answer_to_quoted(packet);
  else if (is_of_sockets(packet.protocol))
    comes = Tuple::read(packet.bytes, packet.v6, packet.protocol, packet.transport);
  const CtState answers = is_error ? CtState::related : CtState::established;
  if (comes && tracked.flow != nullptr && tracked.reply && tracked.state == answers &&
      (tracked.flow->status & Flow::kSourceNat) != 0) {
    comes->destination = tracked.flow->tuples[0].source;
    comes->destination_port = tracked.flow->tuples[0].source_port;
  }
  return comes;
}

inline std::optional<Socket> Engine::Run::find_socket() const {
  if (engine.find_socket_ == nullptr) return std::nullopt;
  const std::optional<Tuple> tuple = tuple_to_socket();
  std::optional<Socket> found;
  if (tuple) found = engine.find_socket_(engine.sockets_, *tuple);
  // What no socket sends, like a reset or an error, comes from one of the host's own, which is bound to none
  // of its addresses.
  if (!found && hook == Hook::output) found = Socket{.any_address = true};
  return found;
}

// Programs make no socket transparent (IP_TRANSPARENT) and give it no mark (SO_MARK): a stack has neither
// option.
inline void Engine::Run::operator()(const LoadSocket& action) {
  not_again();
  const std::optional<Socket> socket = find_socket();
  if (!socket || (!socket->whole && action.key != SocketKey::transparent)) return stop_rule();
  switch (action.key) {
    case SocketKey::transparent:
      return store_number(action.to, uint8_t{0});
    case SocketKey::mark:
      return store_number(action.to, uint32_t{0});
    case SocketKey::wildcard:
      return store_number(action.to, static_cast<uint8_t>(socket->any_address));
  }
}

}  // namespace skerry::filter
