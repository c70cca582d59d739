#include "filter/conntrack.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "filter/expectations.hpp"
#include "filter/protocols.hpp"

namespace skerry::filter {

namespace {

constexpr uint32_t kLookedAt = 64;  // flows, by one that finds the table full
constexpr DurationNs kUdpQuestion = 30 * kSecond, kUdpStream = 120 * kSecond, kIcmpTimeout = 30 * kSecond,
                     kGenericTimeout = 600 * kSecond, kUdpStreamAfter = 2 * kSecond;
constexpr size_t kIcmpBytes = 8, kUdpBytes = 8;

// Whether a type of ICMP begins a flow. The other that has an answer is one.
bool asks(const Tuple& tuple) {
  const uint8_t type = tuple.destination_port[0];
  if (tuple.v6) return type == 128 || type == 139;
  return type == 8 || type == 13 || type == 15 || type == 17;
}

// Router, neighbour and group messages of IPv6 belong to no flow.
bool is_never_tracked(uint8_t icmp6_type) {
  return (icmp6_type >= 130 && icmp6_type <= 136) || icmp6_type == 143;
}

}  // namespace

Conntrack::Conntrack(const SipKey& secret, uint32_t most_flows)
    : secret_(secret),
      most_flows_(most_flows),
      flows_(new Flow[most_flows]),
      buckets_(std::bit_ceil(size_t{most_flows} * 2), kNobody),
      free_(kNobody),
      pending_(kNobody) {
  last_at_.fill(kNobody);
}

uint32_t Conntrack::bucket_of(const Tuple& tuple) const {
  uint64_t hash = 0;
  if (tuple.v6 != 0) {
    hash = siphash24(secret_, {reinterpret_cast<const uint8_t*>(&tuple), sizeof tuple});
  } else {
    uint8_t key[15];
    std::memcpy(key, tuple.source.data(), 4);
    std::memcpy(key + 4, tuple.destination.data(), 4);
    std::memcpy(key + 8, tuple.source_port.data(), 2);
    std::memcpy(key + 10, tuple.destination_port.data(), 2);
    key[12] = tuple.protocol;
    std::memcpy(key + 13, &tuple.zone, 2);
    hash = siphash24(secret_, key);
  }
  return static_cast<uint32_t>(hash & (buckets_.size() - 1));
}

void Conntrack::track(Packet& packet, TimeNs now) {
  if (pending_ != kNobody) release(flows_[pending_]);
  packet.tracked = {.looked_up = true, .zone = packet.tracked.zone};
  const auto found = find_transport(packet.bytes, packet.v6);
  if (!found || packet.damaged) return;
  const ConstBytes transport = packet.bytes.subspan(found->offset);
  const size_t bytes = packet.length - found->offset;
  const bool is_icmp = packet.v6 ? found->protocol == kProtocolIcmp6 : found->protocol == kProtocolIcmp;
  if (is_icmp && icmp(packet, transport, now)) return;
  // The other family's ICMP is none.
  if (!is_icmp && (found->protocol == kProtocolIcmp || found->protocol == kProtocolIcmp6)) return;
  auto tuple = Tuple::read(packet.bytes, packet.v6, found->protocol, found->offset);
  if (!tuple) return;
  tuple->zone = packet.tracked.zone;
  for (;;) {
    Found it = find(*tuple, now);
    const bool begins = it.flow == nullptr;
    if (begins) it.flow = begin(*tuple, now);
    if (it.flow == nullptr) return;
    const bool replied = (it.flow->status & Flow::kSeenReply) != 0;
    bool reopens = false;
    if (!note(*it.flow, it.reply, packet, transport, bytes, now, reopens)) {
      if (begins) release(*it.flow);
      return;
    }
    if (reopens) {
      remove(*it.flow);
      continue;
    }
    packet.tracked.flow = it.flow;
    packet.tracked.number = it.flow->number;
    packet.tracked.reply = it.reply;
    packet.tracked.state = it.reply || replied                        ? CtState::established
                           : (it.flow->status & Flow::kExpected) != 0 ? CtState::related
                                                                      : CtState::fresh;
    if (it.reply) it.flow->status |= Flow::kSeenReply;
    if (!begins) note_place(*it.flow);  // what find_again() finds has been confirmed
    return;
  }
}

// False: not a valid part of the flow.
bool Conntrack::note(Flow& flow, bool reply, const Packet& packet, ConstBytes transport, size_t bytes,
                     TimeNs now, bool& reopens) {
  switch (flow.tuples[0].protocol) {
    case kProtocolTcp:
      return note_tcp(flow, reply, packet.length, transport, bytes, now, reopens);
    case kProtocolUdp:
      if (transport.size() < kUdpBytes || !note_udp(flow, load_be16(transport.data() + 4), bytes, now))
        return false;
      break;
    case kProtocolIcmp:
    case kProtocolIcmp6:
      flow.expires = now + kIcmpTimeout;
      if (packet.v6 != (flow.tuples[0].v6 != 0) || !asks(flow.tuples[0])) return false;
      break;
    default:
      flow.expires = now + kGenericTimeout;
  }
  flow.count(reply, packet.length);
  return true;
}

TcpFlow::Known Conntrack::known(const Flow& flow, TimeNs now) const {
  return {.replied = (flow.status & Flow::kSeenReply) != 0,
          .assured = (flow.status & Flow::kAssured) != 0,
          .left = flow.expires > now ? flow.expires - now : 0};
}

bool Conntrack::note_tcp(Flow& flow, bool reply, uint32_t length, ConstBytes transport, size_t bytes,
                         TimeNs now, bool& reopens) {
  TcpSegment segment;
  if (!segment.read(transport, bytes)) return false;
  if ((flow.status & Flow::kShifted) != 0) [[unlikely]]
    segment.ack_shift = shift_of_ack(flow, reply, segment.ack);
  if ((flow.status & Flow::kConfirmed) == 0 && !flow.tcp.begin(segment)) return false;
  if (flow.epoch != epoch_) flow.tcp.resume();
  flow.epoch = epoch_;
  const TcpFlow::Outcome outcome = flow.tcp.segment(segment, reply, known(flow, now));
  // One that changes nothing does not count, a SYN that is sent again among them.
  if (outcome.fate == TcpFlow::Fate::valid && outcome.timeout != 0) flow.count(reply, length);
  if (outcome.timeout != 0 && !outcome.over) flow.expires = now + outcome.timeout;
  if (outcome.assured) flow.status |= Flow::kAssured;
  reopens = outcome.fate == TcpFlow::Fate::reopens;
  if (outcome.over && (flow.status & Flow::kConfirmed) != 0) remove(flow);
  return outcome.fate != TcpFlow::Fate::invalid;
}

// `length`: as its header says.
bool Conntrack::note_udp(Flow& flow, uint16_t length, size_t bytes, TimeNs now) {
  if (length < kUdpBytes || length > bytes) return false;
  if ((flow.status & Flow::kConfirmed) == 0) flow.stream_at = now + kUdpStreamAfter;
  const bool stream = (flow.status & Flow::kSeenReply) != 0 && now > flow.stream_at;
  flow.expires = now + (stream ? kUdpStream : kUdpQuestion);
  if (stream) flow.status |= Flow::kAssured;
  return true;
}

// True: all is said about the packet.
bool Conntrack::icmp(Packet& packet, ConstBytes transport, TimeNs now) {
  constexpr uint8_t kLastType = 18;  // that RFC 1122 knows
  if (transport.size() < kIcmpBytes) return true;
  const uint8_t type = transport[0];
  if (packet.v6 && is_never_tracked(type)) {
    packet.tracked.state = CtState::untracked;
    return true;
  }
  if (!packet.v6 && type > kLastType) return true;
  if (!is_icmp_error(packet.v6, type)) return false;
  relate(packet, packet.bytes.size() - transport.size() + kIcmpBytes, now);
  return true;
}

// An error belongs to the flow of the packet that it quotes, if it goes to who sent that.
void Conntrack::relate(Packet& packet, size_t inner_offset, TimeNs now) {
  const ConstBytes quoted = packet.bytes.subspan(inner_offset);
  const auto transport = find_transport(quoted, packet.v6);
  if (!transport) return;
  auto tuple = Tuple::read(quoted, packet.v6, transport->protocol, transport->offset);
  if (!tuple) return;
  tuple->zone = packet.tracked.zone;
  const auto answer = tuple->inverse();
  if (!answer) return;
  const Found it = find(*answer, now);
  if (it.flow == nullptr) return;
  const size_t size = packet.v6 ? 16 : 4, from = packet.v6 ? 24 : 16;
  if (std::memcmp(packet.bytes.data() + from, answer->destination.data(), size) != 0) return;
  packet.tracked.flow = it.flow;
  packet.tracked.number = it.flow->number;
  packet.tracked.reply = it.reply;
  packet.tracked.state = CtState::related;
}

bool Conntrack::confirm(const Packet& packet, TimeNs now) {
  if (pending_ == kNobody || packet.tracked.flow != &flows_[pending_]) return true;
  Flow& flow = flows_[pending_];
  if (!sources_.empty() && find(flow.tuples[1], now).flow != nullptr)
    return false;  // its answers are those of a translated one
  pending_ = kNobody;
  flow.status |= Flow::kConfirmed;
  link(flow, true);
  link(flow, false);
  return true;
}

Conntrack::Found Conntrack::find(const Tuple& tuple, TimeNs now) {
  for (uint32_t node = buckets_[bucket_of(tuple)]; node != kNobody;) {
    Flow& flow = flows_[node / 2];
    const bool reply = node % 2 != 0;
    if (flow.tuples[reply] == tuple) {
      if (flow.expires > now) return {&flow, reply};
      remove(flow);
      return {};
    }
    node = flow.next[reply];
  }
  return {};
}

Flow* Conntrack::begin(const Tuple& tuple, TimeNs now) {
  const auto answer = tuple.inverse();
  if (!answer) return nullptr;
  uint32_t index = free_;
  if (index != kNobody) {
    free_ = flows_[index].next[0];
  } else if (fresh_ < most_flows_) {
    index = fresh_++;
  } else if (index = make_room(now); index == kNobody) {
    ++refused_;
    return nullptr;
  }
  Flow& flow = flows_[index];
  flow = {};
  flow.tuples = {tuple, *answer};
  flow.number = ++begun_;
  flow.epoch = epoch_;
  pending_ = index;
  ++flows_in_use_;
  if (expectations_ && expectations_->waiting() > 0) [[unlikely]]
    inherit(flow, now);
  return &flow;
}

// The first flow from the hand on whose time is over, that nobody has answered or that is about to end: of
// those that strangers can make at will there are always some.
uint32_t Conntrack::make_room(TimeNs now) {
  for (uint32_t i = 0; i < std::min(kLookedAt, most_flows_); ++i) {
    Flow& flow = flows_[hand_];
    const uint32_t index = hand_;
    hand_ = hand_ + 1 < most_flows_ ? hand_ + 1 : 0;
    const bool closing = flow.tuples[0].protocol == kProtocolTcp && flow.tcp.is_closing();
    if (flow.expires > now && (flow.status & Flow::kAssured) != 0 && !closing) continue;
    if (flow.expires > now) ++early_drops_;
    remove(flow);
    free_ = flow.next[0];
    return index;
  }
  return kNobody;
}

void Conntrack::link(Flow& flow, bool reply) {
  flow.bucket[reply] = bucket_of(flow.tuples[reply]);
  uint32_t& bucket = buckets_[flow.bucket[reply]];
  flow.next[reply] = bucket;
  bucket = index_of(flow) * 2 + reply;
}

void Conntrack::unlink(const Flow& flow, bool reply) {
  const uint32_t wanted = index_of(flow) * 2 + reply;
  uint32_t* node = &buckets_[flow.bucket[reply]];
  while (*node != wanted) node = &flows_[*node / 2].next[*node % 2];
  *node = flow.next[reply];
}

// Ends a flow that is known. What it was can be read until the next packet is tracked.
void Conntrack::remove(Flow& flow) {
  unlink(flow, false);
  unlink(flow, true);
  release(flow);
}

void Conntrack::release(Flow& flow) {
  const uint32_t index = index_of(flow);
  if (pending_ == index) pending_ = kNobody;
  if ((flow.status & Flow::kSourceDone) != 0) unlink_source(flow);
  if ((flow.status & Flow::kHelped) != 0) expectations_->forget(index);
  flow.status |= Flow::kDying;
  flow.next[0] = free_;
  free_ = index;
  --flows_in_use_;
}

}  // namespace skerry::filter
