// Ip and rules at the link, and those of ARP: each frame before all else that is done with it, and behind all
// else. Included by ip.hpp alone.
#pragma once

namespace skerry::stack {

// `packet` is what follows the link header, which is copied. What rules have judged is what is used: from
// here on its beginning is read from their private copy.
template <Link L>
auto Ip<L>::receive_judged(TimeNs now, const Frame& frame, ConstBytes packet, const uint8_t* ethernet)
    -> Fate {
  constexpr uint8_t kToUs = 0, kToAll = 1, kToMany = 2, kToOthers = 3;  // PACKET_*
  EthernetHeader header;
  header.read({ethernet, EthernetHeader::kBytes});
  const uint8_t type = header.destination.is_broadcast()   ? kToAll
                       : header.destination.is_multicast() ? kToMany
                       : header.destination == facts_.mac  ? kToUs
                                                           : kToOthers;
  if (!filter_.passes_ingress(ethernet, packet, type, now))
    return refused_at_link(now, frame, packet, ethernet);
  const ConstBytes beginning = filter_.beginning();
  if (!filter_.has_changed()) return receive_packet(now, frame, packet, ethernet, beginning.data(), false);

  const auto own = loopback_.allocate(static_cast<uint32_t>(EthernetHeader::kBytes + packet.size()));
  if (!own) return {DropReason::no_memory};
  Frame changed = *own;
  changed.flags = frame.flags & (kChecksumVouched | kChecksumNeeded);
  const Bytes bytes = loopback_.data(changed).subspan(EthernetHeader::kBytes);
  std::memcpy(bytes.data(), beginning.data(), beginning.size());
  copy_once(bytes.data() + beginning.size(), packet.data() + beginning.size(),
            packet.size() - beginning.size());
  settle(changed, true, receive_packet(now, changed, bytes, ethernet, beginning.data(), true));
  return {};
}

// Only who could have reached us is answered.
template <Link L>
auto Ip<L>::refused_at_link(TimeNs now, const Frame& frame, ConstBytes packet, const uint8_t* ethernet)
    -> Fate {
  const DropReason reason = filter_.reason();
  EthernetHeader header;
  header.read({ethernet, EthernetHeader::kBytes});
  if (!filter_.reject() || header.type != EtherType::kIpv4 || header.destination != facts_.mac)
    return {reason};
  const ConstBytes beginning = filter_.beginning();
  const auto ip = Ipv4Header::parse(beginning);
  if (!ip || ip->total_bytes > packet.size() || judge_ipv4(*ip, routes_, false)) return {reason};
  const bool intact = is_intact(frame, facts_);
  if (!intact && !Ipv4Header::checksum_intact(beginning)) return {reason};
  filter_.take(ethernet, beginning.first(ip->header_bytes), packet.first(ip->total_bytes), false);
  return refused_in(now, {frame, packet, ethernet, false, false, intact}, *ip);
}

// Frames that were queued since, with the marks that rules gave them. One that is refused is lost, and nobody
// hears of it: as on Linux, whose queue it would be lost in.
template <Link L>
void Ip<L>::judge_leaving(TimeNs now) {
  uint32_t kept = judged_;
  for (uint32_t i = judged_; i < tx_count_; ++i) {
    const bool unfinished = (tx_[i].flags & kChecksumNeeded) != 0;
    if (filter_.passes_egress(link_.data(tx_[i]), marks_[i], unfinished, now)) {
      tx_[kept++] = tx_[i];
    } else {
      drops_.count(filter_.reason());
      link_.give_back(tx_[i]);
    }
  }
  tx_count_ = kept;
}

// False: rules refuse it.
template <Link L>
bool Ip<L>::judge_arp_out(TimeNs now, Bytes packet) {
  if (filter_.passes_arp_out(packet, now)) return true;
  drops_.count(filter_.reason());
  return false;
}

}  // namespace skerry::stack
