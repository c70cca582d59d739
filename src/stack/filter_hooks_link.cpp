// Rules at the link and those of ARP.
#include <algorithm>
#include <cstring>
#include <memory>

#include "stack/filter_hooks.hpp"
#include "stack/private_copy.hpp"
#include "wire/ethernet.hpp"

namespace skerry::stack {

bool FilterHooks::passes_ingress(const uint8_t* ethernet, ConstBytes packet, uint8_t type, TimeNs now) {
  std::memcpy(copy_.data(), ethernet, kLinkBytes);
  copied_ = 0;
  std::construct_at(&packet_);
  packet_.in = &network_;
  packet_.type = type;
  const auto copy_to = [&](size_t end) {
    copy_once(copy_.data() + kLinkBytes + copied_, packet.data() + copied_, end - copied_);
    copied_ = end;
    packet_.read_frame(Bytes(copy_).first(kLinkBytes + copied_), kLinkBytes + packet.size(), false);
  };
  copy_to(std::min(packet.size(), seen_bytes_));
  // Extension headers of IPv6 reach as far as they say.
  if (packet_.v6 && copied_ < packet.size()) copy_to(std::min(packet.size(), copy_.size() - kLinkBytes));
  keep_as_it_came();
  const bool passes = judge(packet_, filter::Hook::ingress, now);
  came_mark_ = packet_.mark;
  came_tracked_ = packet_.tracked;
  if (!passes && packet_.translated) undo();
  return passes;
}

bool FilterHooks::passes_egress(Bytes frame, uint32_t mark, bool unfinished, TimeNs now) {
  // As in passes_out(): a neighbour can write where it lies.
  const size_t seen = std::min(frame.size(), kLinkBytes + seen_bytes_);
  copy_once(leaving_.data(), frame.data(), seen);
  filter::Packet leaving;
  leaving.out = &network_;
  leaving.mark = mark;
  leaving.unfinished = unfinished;
  leaving.read_frame(Bytes(leaving_).first(seen), frame.size(), true);
  const auto before = Ipv4Header::parse(leaving.bytes);
  if (!judge(leaving, filter::Hook::egress, now)) return false;
  if (!leaving.translated) return true;
  // Marks of the frame say where its checksum is: it stays a packet of the same length.
  const auto after = Ipv4Header::parse(leaving.bytes);
  if (before &&
      (!after || after->total_bytes != before->total_bytes || after->header_bytes != before->header_bytes)) {
    copy_once(leaving_.data(), frame.data(), seen);
    leaving.read_frame(Bytes(leaving_).first(seen), frame.size(), true);
    InForce::lose(leaving, hook_, filter::kWritten, now);
    return false;
  }
  std::memcpy(frame.data(), leaving_.data(), seen);
  return true;
}

bool FilterHooks::passes_arp_in(const uint8_t* ethernet, Bytes bytes, size_t frame_bytes, bool broadcast,
                                TimeNs now) {
  filter::Packet packet;
  packet.link = {ethernet, kLinkBytes};
  packet.in = &network_;
  packet.type = broadcast ? kBroadcast : kToUs;
  packet.mark = came_mark_;
  packet.read_arp(bytes, frame_bytes, false);
  return judge(packet, filter::Hook::input, now);
}

bool FilterHooks::passes_arp_out(Bytes bytes, TimeNs now) {
  filter::Packet packet;
  packet.out = &network_;
  packet.read_arp(bytes, bytes.size(), true);
  const bool passes = judge(packet, filter::Hook::output, now);
  left_mark_ = packet.mark;
  return passes;
}

// Nobody has seen it before, at another hook.
bool FilterHooks::begins(const filter::Packet& packet, filter::Hook hook) const {
  switch (hook) {
    case filter::Hook::prerouting:
      return looped_ || !ingress_;
    case filter::Hook::input:
      return packet.realm == filter::Realm::arp && !ingress_;
    case filter::Hook::postrouting:
    case filter::Hook::forward:
      return false;
    case filter::Hook::ingress:
    case filter::Hook::egress:
    case filter::Hook::output:
      return true;
  }
  return true;
}

}  // namespace skerry::stack
