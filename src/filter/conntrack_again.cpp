// The next packet of a flow, found by a place that follows from its ports and addresses without a long sum.
// What it may be is little: all else is for track().
#include "filter/conntrack.hpp"
#include "filter/protocols.hpp"

namespace skerry::filter {

namespace {

constexpr uint32_t kIpBytes = 20, kProtocolOffset = 9, kSourceOffset = 12;  // of IPv4

// Its ports as they lie in a packet.
TransportSeen ports_of(const Tuple& tuple) {
  static_assert(offsetof(Tuple, destination_port) == offsetof(Tuple, source_port) + 2);
  TransportSeen seen;
  std::memcpy(&seen.ports, reinterpret_cast<const uint8_t*>(&tuple) + offsetof(Tuple, source_port), 4);
  return seen;
}

bool is_of(const Tuple& tuple, const uint8_t* header, TransportSeen seen) {
  uint32_t of[2], has[2];
  std::memcpy(&of[0], tuple.source.data(), 4);
  std::memcpy(&of[1], tuple.destination.data(), 4);
  std::memcpy(has, header + kSourceOffset, 8);
  const uint32_t kind = tuple.protocol | uint32_t{tuple.v6} << 8 | uint32_t{tuple.zone} << 16;
  return ((of[0] ^ has[0]) | (of[1] ^ has[1]) | (ports_of(tuple).ports ^ seen.ports) |
          (kind ^ header[kProtocolOffset])) == 0;
}

}  // namespace

// The same for both ways. `addresses`: of IPv4, source and destination.
uint32_t Conntrack::place_of(const uint8_t* addresses, TransportSeen seen) {
  const uint32_t both = load_be32(addresses) ^ load_be32(addresses + 4);
  return (seen.both_ports() ^ both ^ both >> 10 ^ both >> 20) % kPlaces;
}

void Conntrack::note_place(const Flow& flow) {
  const Tuple& tuple = flow.tuples[0];
  if (tuple.v6 != 0 || (tuple.protocol != kProtocolTcp && tuple.protocol != kProtocolUdp)) return;
  uint8_t addresses[8];
  std::memcpy(addresses, tuple.source.data(), 4);
  std::memcpy(addresses + 4, tuple.destination.data(), 4);
  last_at_[place_of(addresses, ports_of(tuple))] = index_of(flow);
}

Tracked Conntrack::find_again(const uint8_t* header, TransportSeen seen, TimeNs now) {
  constexpr uint32_t kSpecial = Flow::kTranslated | Flow::kShifted | Flow::kHelped | Flow::kDying;
  const uint32_t index = last_at_[place_of(header + kSourceOffset, seen)];
  if (index == kNobody) return {};
  Flow& flow = flows_[index];
  __builtin_prefetch(&flow.status);  // note_again() writes there: by then they have come
  __builtin_prefetch(&flow.tcp);
  const bool reply = !is_of(flow.tuples[0], header, seen);
  if (reply && !is_of(flow.tuples[1], header, seen)) return {};
  if ((flow.status & (kSpecial | Flow::kConfirmed)) != Flow::kConfirmed) return {};
  if (flow.expires <= now || (!reply && (flow.status & Flow::kSeenReply) == 0)) return {};
  return {
      .looked_up = true, .state = CtState::established, .reply = reply, .number = flow.number, .flow = &flow};
}

bool Conntrack::note_again(const Tracked& found, const uint8_t* transport, TransportSeen seen,
                           uint32_t length, TimeNs now) {
  Flow& flow = *found.flow;
  if (flow.tuples[0].protocol == kProtocolUdp) {
    const uint16_t told = __builtin_bswap16(load_once<uint16_t>(transport + 4));
    if (!note_udp(flow, told, length - kIpBytes, now)) return false;
  } else {
    TcpSegment segment;
    if (flow.epoch != epoch_ || !segment.read_plain(transport, seen.flags, length - kIpBytes)) return false;
    const TcpFlow before = flow.tcp;
    const TcpFlow::Outcome outcome = flow.tcp.segment(segment, found.reply, known(flow, now));
    if (outcome.fate != TcpFlow::Fate::valid) {
      flow.tcp = before;
      return false;
    }
    flow.expires = now + outcome.timeout;
    if (outcome.assured) flow.status |= Flow::kAssured;
  }
  if (pending_ != kNobody) [[unlikely]]
    release(flows_[pending_]);
  flow.count(found.reply, length);
  if (found.reply) flow.status |= Flow::kSeenReply;
  return true;
}

}  // namespace skerry::filter
