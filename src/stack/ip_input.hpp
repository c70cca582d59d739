// Ip::rx: from frames to segments, notes and counted drops. Included by ip.hpp alone.
#pragma once

namespace skerry::stack {

template <Link L>
uint32_t Ip<L>::rx(TimeNs now) {
  starved_ = false;
  uint32_t work = 0;
  for (uint32_t waiting = std::min(loopback_.waiting(), kBatch); waiting > 0; --waiting, ++work) {
    const Loopback::Looped looped = loopback_.receive();
    settle(looped.frame, true, receive_looped(now, looped));
  }
  uint32_t left = receive_limit_;
  // What rules change takes a frame of ours; the rest of a batch can wait for those.
  if (filter_.is_active() && filter_.changes_packets()) [[unlikely]]
    left = std::clamp(loopback_.free(), 1u, left);
  while (left > 0) {
    if (in_next_ == in_.count) {
      in_.clear();
      in_next_ = 0;
      link_.receive(in_);
      if (in_.count == 0) break;
    }
    const uint32_t end = std::min(in_.count, in_next_ + left);
    left -= end - in_next_;
    for (; in_next_ < end; ++in_next_, ++work) {
      // The next frame's headers, which with options end behind 64 bytes, travel from the other core's cache
      // while this one is worked on.
      if (in_next_ + 1 < end) {
        const uint8_t* const next = link_.data(in_.frames[in_next_ + 1]).data();
        __builtin_prefetch(next);
        __builtin_prefetch(next + 64);
      }
      const Frame& frame = in_.frames[in_next_];
      settle(frame, false, receive_frame(now, frame));
    }
  }
  behind_ = left == 0;
  if (link_.carrier() != carrier_) [[unlikely]]
    note_carrier(now, link_.carrier());
  if (resume_at_ <= now) [[unlikely]]
    resume(now);
  return work;
}

template <Link L>
void Ip<L>::settle(const Frame& frame, bool looped, Fate fate) {
  if (const auto reason = fate.drop()) [[unlikely]]
    drops_.count(*reason);
  if (!fate.is_kept()) give_back(frame, looped);
}

// One that went and came back between two looks has been away too.
template <Link L>
void Ip<L>::note_carrier(TimeNs now, Carrier carrier) {
  counters_.link_flaps += carrier_.up();
  counters_.link_down = !carrier.up();
  carrier_ = carrier;
  resume_at_ = carrier.up() ? std::max(now, resumed_at_ + kResumeInterval) : kNever;
}

template <Link L>
void Ip<L>::resume(TimeNs now) {
  resume_at_ = kNever;
  resumed_at_ = now;
  resumed_ = true;
  arp_.announce(now);
}

template <Link L>
auto Ip<L>::receive_frame(TimeNs now, const Frame& frame) -> Fate {
  const ConstBytes bytes = link_.data(frame);
  // Every frame that means something to us has these bytes: an ARP packet is longer too.
  if (bytes.size() < kHeaderBytes) return {DropReason::short_frame};
  uint8_t copy[EthernetHeader::kBytes];
  copy_once(copy, bytes.data(), sizeof copy);
  const ConstBytes packet = bytes.subspan(EthernetHeader::kBytes);
  if (filter_.judges_ingress()) [[unlikely]]
    return receive_judged(now, frame, packet, copy);
  return receive_packet(now, frame, packet, copy, packet.data(), false);
}

template <Link L>
auto Ip<L>::receive_packet(TimeNs now, const Frame& frame, ConstBytes packet, const uint8_t* copy,
                           const uint8_t* header, bool own) -> Fate {
  EthernetHeader ethernet;
  ethernet.read({copy, EthernetHeader::kBytes});
  const bool broadcast = ethernet.destination.is_broadcast();
  if (!broadcast && ethernet.destination != facts_.mac) return {DropReason::other_mac};
  if (ethernet.type == EtherType::kIpv4) [[likely]] {
    if (last_neighbour_ != Neighbours::kNone)
      arp_.neighbours().confirm(now, last_neighbour_, ethernet.source);
    return receive_ipv4(now, frame, packet, copy, header, broadcast, own);
  }
  if (ethernet.type == EtherType::kArp) return receive_arp(now, packet, copy, header);
  return {DropReason::unknown_ethertype};
}

template <Link L>
auto Ip<L>::receive_arp(TimeNs now, ConstBytes packet, const uint8_t* ethernet, const uint8_t* header)
    -> Fate {
  ++counters_.arp_in;
  uint8_t copy[ArpPacket::kBytes];
  if (packet.size() < sizeof copy) return {DropReason::malformed_arp};
  copy_once(copy, header, sizeof copy);
  if (filter_.judges_arp()) [[unlikely]] {
    // Linux looks at lengths before it asks rules, and at all else behind them (arp_rcv()).
    if (copy[4] != 6 || copy[5] != 4) return {DropReason::malformed_arp};
    const bool broadcast = ethernet[0] == 0xff;
    if (!filter_.passes_arp_in(ethernet, copy, packet.size(), broadcast, now)) return {filter_.reason()};
  }
  return {arp_.receive(now, copy)};
}

template <Link L>
auto Ip<L>::receive_looped(TimeNs now, const Loopback::Looped& looped) -> Fate {
  const Frame& frame = looped.frame;
  filter_.expect_looped(looped.tracked);
  const ConstBytes packet = loopback_.data(frame).subspan(EthernetHeader::kBytes);
  return receive_ipv4(now, frame, packet, nullptr, packet.data(), false, true);
}

template <Link L>
auto Ip<L>::receive_ipv4(TimeNs now, const Frame& frame, ConstBytes packet, const uint8_t* ethernet,
                         const uint8_t* header, bool broadcast_frame, bool own) -> Fate {
  const bool looped = ethernet == nullptr;
  // At least kMinBytes are there. With options, more is copied: each byte once.
  uint8_t copy[Ipv4Header::kMaxBytes];
  copy_once(copy, header, Ipv4Header::kMinBytes);
  if (filter_.remembers_arrivals() && !looped && !broadcast_frame && receive_alike(now, frame, packet, copy))
    return Fate::kept();
  size_t copied = Ipv4Header::kMinBytes;
  if (copy[0] != 0x45) [[unlikely]] {
    copied = std::min(packet.size(), sizeof copy);
    copy_once(copy + Ipv4Header::kMinBytes, header + Ipv4Header::kMinBytes, copied - Ipv4Header::kMinBytes);
  }
  Ipv4Header ip;
  if (!ip.read({copy, copied})) return {DropReason::malformed_ipv4};
  if (ip.total_bytes > packet.size()) return {DropReason::truncated};

  const bool intact = is_intact(frame, facts_);
  if (!intact && !Ipv4Header::checksum_intact({copy, copied})) return {DropReason::ipv4_checksum};
  const Arrival arrival{frame, packet, ethernet, broadcast_frame, own, intact};
  if (filter_.is_active()) [[unlikely]]
    return receive_filtered(now, arrival, ip, {copy, ip.header_bytes});
  if (!looped) {
    if (const auto reason = judge_ipv4(ip, routes_, broadcast_frame)) return {*reason};
  }
  if (ip.is_fragment()) [[unlikely]]
    return receive_fragment(now, arrival, ip);
  ++counters_.packets_in;
  return hand_over(now, arrival, ip);
}

template <Link L>
auto Ip<L>::deliver(TimeNs now, const Arrival& arrival, const Ipv4Header& ip) -> Fate {
  ++counters_.packets_in;
  if (!filter_.is_active()) return hand_over(now, arrival, ip);
  const bool passes = filter_.passes(filter::Hook::input, now);
  if (passes && !filter_.has_changed()) return hand_over(now, arrival, ip);
  const auto header = filter_.header(ip, now);
  if (!header) return {DropReason::malformed_ipv4};
  return passes ? hand_over_changed(now, arrival, *header) : refused_in(now, arrival, *header);
}

template <Link L>
inline auto Ip<L>::hand_over(TimeNs now, const Arrival& arrival, const Ipv4Header& ip) -> Fate {
  if (ip.protocol != IpProtocol::kTcp && ip.protocol != IpProtocol::kUdp) [[unlikely]]
    return hand_over_other(now, arrival, ip);
  SegmentQueue& queue = queue_of(ip.protocol);
  if (queue.full()) return {DropReason::queue_full};
  fill(queue.back(), arrival, ip);
  queue.push();
  return Fate::kept();
}

template <Link L>
inline void Ip<L>::fill(Segment& segment, const Arrival& arrival, const Ipv4Header& ip) const {
  segment.frame = arrival.frame;
  segment.source = ip.source;
  segment.destination = ip.destination;
  segment.bytes = arrival.packet.subspan(ip.header_bytes, ip.payload_bytes());
  segment.looped = arrival.in_loopback;
  segment.intact = arrival.intact;
  segment.broadcast = !routes_.is_local(ip.destination);
  segment.ttl = ip.ttl;
  segment.type_of_service = ip.type_of_service;
  segment.copy_header(filter_.is_active() ? filter_.transport() : segment.bytes);
}

template <Link L>
auto Ip<L>::hand_over_other(TimeNs now, Arrival arrival, Ipv4Header ip) -> Fate {
  Segment segment;
  fill(segment, arrival, ip);
  if (ip.protocol == IpProtocol::kIcmp) return receive_icmp(now, segment);
  refuse(now, segment, DropReason::unknown_protocol, kProtocolUnreachable);
  return Fate::kept();
}

template <Link L>
auto Ip<L>::receive_icmp(TimeNs now, const Segment& segment) -> Fate {
  ++counters_.icmp_in;
  auto header = IcmpHeader::parse(segment.header());
  if (!header) return {DropReason::malformed_icmp};
  if (!segment.intact) {
    InternetChecksum sum;
    sum.add(segment.bytes);
    if (!sum.intact()) return {DropReason::icmp_checksum};
  }
  if (header->type == IcmpType::kEcho && header->code == 0) {
    // A broadcast ping may be ignored (RFC 1122 section 3.2.2.6), and would be a way to multiply packets.
    if (segment.broadcast || segment.bytes.size() > transport_mtu(segment.looped))
      return {DropReason::unwanted_icmp};
    header->type = IcmpType::kEchoReply;
    const IcmpNote note{segment.frame,  segment.looped, segment.destination,
                        segment.source, *header,        segment.bytes.subspan(IcmpHeader::kBytes)};
    if (icmp_replies_.promise(now, note)) return Fate::kept();
    return {DropReason::icmp_rate_limited};
  }
  if (!header->is_error() || segment.broadcast) return {DropReason::unwanted_icmp};
  auto notice = read_icmp_error(*header, segment.header().subspan(IcmpHeader::kBytes));
  if (!notice || !routes_.is_local(notice->error.local.address.as_v4())) return {DropReason::unwanted_icmp};
  notice->note_quote(segment.source, segment.bytes.subspan(IcmpHeader::kBytes));
  notice->error.ttl = segment.ttl;
  notice->error.type_of_service = segment.type_of_service;
  errors_of(notice->protocol).push(notice->error);
  return {};
}

template <Link L>
void Ip<L>::refuse(TimeNs now, const Segment& segment, DropReason reason, IcmpUnreachableCode code) {
  drops_.count(reason);
  // The packet's beginning, its IP header included, is quoted: it lies before the segment in the same frame.
  const ConstBytes frame = segment.looped ? loopback_.data(segment.frame) : link_.data(segment.frame);
  const size_t before = static_cast<size_t>(segment.bytes.data() - frame.data()) - EthernetHeader::kBytes;
  const ConstBytes packet = frame.subspan(EthernetHeader::kBytes, before + segment.bytes.size());
  const IcmpNote note{segment.frame,
                      segment.looped,
                      segment.destination,
                      segment.source,
                      {IcmpType::kDestinationUnreachable, code},
                      packet.first(std::min(packet.size(), IcmpReplies::kMaxQuoteBytes))};
  if (segment.broadcast || !icmp_replies_.promise(now, note)) give_back(segment);
}

}  // namespace skerry::stack
