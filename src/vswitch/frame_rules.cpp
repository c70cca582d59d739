#include "vswitch/frame_rules.hpp"

#include <algorithm>
#include <cstring>

#include "wire/ethernet.hpp"

namespace skerry::vswitch {

namespace {

// PACKET_*: no port is the one that a frame is for.
uint8_t type_of(ConstBytes frame) {
  constexpr uint8_t kToAll = 1, kToMany = 2, kToOthers = 3;
  EthernetHeader header;
  header.read(frame);
  return header.destination.is_broadcast() ? kToAll : header.destination.is_multicast() ? kToMany : kToOthers;
}

}  // namespace

void FrameRules::changed() {
  constexpr size_t kTagBytes = 4;  // of a VLAN, before what rules count from
  active_ = engine_.judges(filter::Realm::bridge);
  needed_ = std::max(kJudgedBytes, EthernetHeader::kBytes + kTagBytes + needed_bytes());
  came_.resize(active_ ? std::max(needed_, size_t{kMaxFrame}) : 0);
  leaving_.resize(came_.size());
}

filter::Packet FrameRules::open(Bytes seen, const JudgedFrame& frame) const {
  filter::Packet packet;
  packet.in = from_;
  packet.bridge = &bridge_;
  packet.type = type_of(seen);
  packet.unfinished = (frame.marks.flags & kChecksumNeeded) != 0;
  packet.read_bridged(seen, frame.bytes());
  return packet;
}

// Marks say where a checksum is: what rules write must not make it another place.
bool FrameRules::passes(filter::Packet& packet, filter::Hook hook, const JudgedFrame& frame, TimeNs now) {
  constexpr auto kIpv4 = static_cast<uint16_t>(EtherType::kIpv4);
  if (!judge(packet, hook, now)) return false;
  if (!packet.translated || packet.ether_type != kIpv4) return true;
  const auto ip = Ipv4Header::parse(packet.bytes);
  const bool marked = (frame.marks.flags & (kChecksumNeeded | kSegmentTcp4)) != 0;
  if (!marked || (ip && marks_fit(frame.marks, *ip))) return true;
  lose(packet, hook, filter::kWritten, now);
  return false;
}

bool FrameRules::comes(const filter::Interface& from, JudgedFrame& frame, TimeNs now) {
  std::memcpy(came_.data(), frame.head.data(), frame.head.size());
  seen_ = frame.head.size();
  from_ = &from;
  const auto copy_to = [&](size_t end) {
    const size_t more = end - seen_;
    if (more > 0) std::memcpy(came_.data() + seen_, frame.tail.data(), more);
    frame.tail = frame.tail.subspan(more);
    seen_ = end;
    frame.head = ConstBytes(came_).first(seen_);
    return open(Bytes(came_).first(seen_), frame);
  };
  filter::Packet packet = copy_to(std::min(frame.bytes(), needed_));
  // Extension headers of IPv6 reach as far as they say.
  if (packet.v6 && seen_ < frame.bytes()) packet = copy_to(std::min(frame.bytes(), came_.size()));
  const bool passed = passes(packet, filter::Hook::prerouting, frame, now);
  mark_ = packet.mark;
  return passed;
}

bool FrameRules::leaves(const filter::Interface& to, JudgedFrame& frame, TimeNs now) {
  Bytes copy = Bytes(came_).first(seen_);
  if (engine_.writes()) {
    std::memcpy(leaving_.data(), came_.data(), seen_);
    copy = Bytes(leaving_).first(seen_);
  }
  frame.head = copy;
  filter::Packet packet = open(copy, frame);
  packet.out = &to;
  packet.mark = mark_;
  if (!passes(packet, filter::Hook::forward, frame, now)) return false;
  packet.in = nullptr;  // br_forward_finish()
  return passes(packet, filter::Hook::postrouting, frame, now);
}

}  // namespace skerry::vswitch
