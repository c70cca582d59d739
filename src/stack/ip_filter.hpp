// Ip and rules: packets that they are asked about, and what becomes of those they refuse. Included by ip.hpp
// alone.
#pragma once

namespace skerry::stack {

// Of TCP and UDP.
inline bool checksum_intact(Ipv4Address source, Ipv4Address destination, IpProtocol protocol,
                            ConstBytes transport) {
  if (protocol == IpProtocol::kUdp && transport.size() >= UdpHeader::kBytes &&
      load_be16(transport.data() + UdpHeader::kChecksumOffset) == 0)
    return true;
  InternetChecksum sum = ipv4_pseudo_header(source, destination, static_cast<uint8_t>(protocol),
                                            static_cast<uint16_t>(transport.size()));
  sum.add(transport);
  return sum.intact();
}

// Also of ICMP. What is not known yet, because the packet is a piece, is not held against it.
inline bool checksum_intact(const Ipv4Header& ip, ConstBytes transport) {
  if (ip.is_fragment()) return true;
  if (ip.protocol == IpProtocol::kIcmp) {
    InternetChecksum sum;
    sum.add(transport);
    return sum.intact();
  }
  if (ip.protocol != IpProtocol::kTcp && ip.protocol != IpProtocol::kUdp) return true;
  return checksum_intact(ip.source, ip.destination, ip.protocol, transport);
}

// A packet that came in and is not known to be like another. `header` is a private copy.
template <Link L>
auto Ip<L>::receive_filtered(TimeNs now, Arrival arrival, Ipv4Header ip, ConstBytes header) -> Fate {
  const bool looped = arrival.looped();
  filter_.take(arrival.ethernet, header, arrival.packet.first(ip.total_bytes), arrival.broadcast);
  // Who tracks connections judges packets, not pieces.
  const bool whole_later = filter_.tracks() && ip.is_fragment();
  if (filter_.tracks() && !arrival.intact &&
      !checksum_intact(ip, arrival.packet.subspan(ip.header_bytes, ip.payload_bytes())))
    filter_.note_damage();
  if (!whole_later && !filter_.passes(filter::Hook::prerouting, now)) {
    // Who would not be believed is not answered: the answer might go to a program of our own, or to many.
    if (!looped && judge_ipv4(ip, routes_, arrival.broadcast)) return {filter_.reason()};
    return refused_in(now, arrival, ip);
  }
  if (filter_.has_changed()) [[unlikely]] {
    const auto changed = filter_.header(ip, now);
    if (!changed) return {DropReason::malformed_ipv4};
    ip = *changed;
  }
  if (!looped) {
    const auto reason = judge_ipv4(ip, routes_, arrival.broadcast);
    // A piece may be of a packet that rules will lead to us, which is asked when it is whole.
    const bool asks_later = reason == DropReason::not_our_address && ip.is_fragment() && !ip.source_route &&
                            !arrival.broadcast && filter_.engine().translates();
    if (reason && !asks_later) return {reason};
  }
  return ip.is_fragment() ? receive_fragment(now, arrival, ip) : deliver(now, arrival, ip);
}

template <Link L>
auto Ip<L>::refused_in(TimeNs now, const Arrival& arrival, const Ipv4Header& ip) -> Fate {
  const ConstBytes packet = arrival.packet;
  const DropReason reason = filter_.reason();
  const auto& reject = filter_.reject();
  // Nothing is ever sent to many, about a later piece, or about an ICMP error (RFC 1122 section 3.2.2).
  if (!reject || ip.fragment_offset != 0 || !routes_.is_local(ip.destination)) return {reason};
  // A damaged packet may be from another than it says (nf_reject_verify_csum()).
  if (!arrival.intact && !checksum_intact(ip, packet.subspan(ip.header_bytes, ip.payload_bytes())))
    return {reason};
  if (reject->kind == filter::RejectKind::tcp_reset) {
    if (const auto reset = reset_for(ip, filter_.transport())) resets_.promise(*reset);
    return {reason};
  }
  if (ip.protocol == IpProtocol::kIcmp) {
    const auto icmp = IcmpHeader::parse(filter_.transport());
    if (!icmp || icmp->is_error()) return {reason};
  }
  const IcmpNote note{arrival.frame,
                      arrival.in_loopback,
                      ip.destination,
                      ip.source,
                      {IcmpType::kDestinationUnreachable, icmp_code_of(*reject)},
                      packet.first(std::min<size_t>(ip.total_bytes, IcmpReplies::kMaxQuoteBytes))};
  if (!icmp_replies_.promise(now, note)) return {reason};
  drops_.count(reason);
  return Fate::kept();
}

// By how much the segment may grow: in its frame, and on its way unless the link cuts it. `looped`: where it
// goes, which for one that loops may be the link (send_elsewhere()).
template <Link L>
uint32_t Ip<L>::room(TimeNs now, const Way& way, const Outgoing& out, bool looped) const {
  uint32_t most = kMaxTransportBytes;
  if (!looped) {
    const bool is_cut = (out.frame->flags & kSegmentTcp4) != 0;
    const uint32_t frame = (out.frame->length > small_bytes_ ? large_bytes_ : small_room_) - kHeaderBytes;
    most = is_cut ? frame : std::min(frame, path_mtu(now, way.destination, false));
  }
  return most - std::min(most, out.transport_bytes);
}

// A packet over the link whose header is a private copy, where no rules stand at the link. One like it came
// to us past judge_ipv4() and both hooks, which ask of headers and of the state of its connection: what is
// left is how long this one is, whether it is intact, and what it means for the connection. False: to be
// looked at.
template <Link L>
bool Ip<L>::receive_alike(TimeNs now, const Frame& frame, ConstBytes packet, const uint8_t* header) {
  constexpr uint8_t kPlain = 0x45;
  const auto protocol = static_cast<IpProtocol>(header[9]);
  const uint32_t length = load_be16(header + 2);
  if (header[0] != kPlain || length < Ipv4Header::kMinBytes || length > packet.size()) return false;
  if (protocol != IpProtocol::kTcp && protocol != IpProtocol::kUdp) return false;
  const bool intact = is_intact(frame, facts_);
  if (!intact && !Ipv4Header::checksum_intact({header, Ipv4Header::kMinBytes})) return false;
  SegmentQueue& queue = queue_of(protocol);
  if (queue.full()) return false;
  Segment& segment = queue.back();
  segment.bytes = packet.first(length).subspan(Ipv4Header::kMinBytes);
  segment.copy_header(segment.bytes);
  segment.source = load_be32(header + kIpv4SourceOffset);
  segment.destination = load_be32(header + kIpv4DestinationOffset);
  const auto is_undamaged = [&] {
    return intact || checksum_intact(segment.source, segment.destination, protocol, segment.bytes);
  };
  if (!filter_.is_like_one_that_came(header, segment.header(), length, now, is_undamaged)) return false;
  segment.frame = frame;
  segment.looped = segment.broadcast = false;
  segment.intact = intact;
  segment.ttl = header[8];
  segment.type_of_service = header[1];
  queue.push();
  ++counters_.packets_in;
  return true;
}

template <Link L>
bool Ip<L>::is_like_one_that_left(TimeNs now, const Way& way, const Outgoing& out) {
  if (out.transport_bytes < filter::TransportSeen::kBytes) return false;
  const filter::TransportSeen seen = out.seen ? *out.seen : filter::TransportSeen::read(out.transport);
  const uint32_t length = uint32_t{Ipv4Header::kMinBytes} + out.transport_bytes;
  const uint8_t* const header = way.headers.data() + EthernetHeader::kBytes;
  return filter_.is_like_one_that_left(header, out.transport, seen, length, out.looped, now);
}

// A packet of ours that is not known to be like another. `packet` is the frame's, complete.
template <Link L>
bool Ip<L>::send_filtered(TimeNs now, Way& way, Outgoing out, Bytes packet, bool answers) {
  const uint8_t* const header = way.headers.data() + EthernetHeader::kBytes;
  const bool unfinished = (out.frame->flags & kChecksumNeeded) != 0;
  const auto room_if = [&](bool loops) { return room(now, way, out, loops); };
  if (!filter_.passes_out(packet, {out.looped, unfinished, answers, false, header, std::ref(room_if)}, now)) {
    refused_out();
    if (filter_.lacks_room()) {
      // As Linux tells of what does not fit (ip_fragment()), but with a size that lets it fit when it is sent
      // again. What a path takes is learned by where packets were for, not by where rules led them.
      const uint32_t path = path_mtu(now, way.destination, filter_.lacks_it_on_loopback());
      const auto mtu = path + uint32_t{Ipv4Header::kMinBytes} - filter::kMostGrowth;
      tell_ourselves({.type = IcmpType::kDestinationUnreachable,
                      .code = kFragmentationNeeded,
                      .sequence = static_cast<uint16_t>(mtu)},
                     filter_.leaving());
    }
    cancel(out);
    return false;
  }
  marks_[tx_count_] = filter_.left_mark();
  out.transport_bytes = filter_.left_length() - uint32_t{Ipv4Header::kMinBytes};
  out.frame->length = kHeaderBytes + out.transport_bytes;
  if (filter_.goes_elsewhere())
    send_elsewhere(now, out);
  else
    dispatch(now, way, out);
  return true;
}

// A packet of our own: whoever sent it gets the answer as if it had come from where the packet should have
// gone.
template <Link L>
void Ip<L>::refused_out() {
  drops_.count(filter_.reason());
  const auto& reject = filter_.reject();
  const ConstBytes packet = filter_.leaving();
  const auto ip = Ipv4Header::parse(packet);
  if (reject && ip && reject->kind == filter::RejectKind::tcp_reset) {
    if (const auto reset = reset_for(*ip, packet.subspan(ip->header_bytes))) resets_.promise(*reset);
  } else if (reject) {
    tell_ourselves({IcmpType::kDestinationUnreachable, icmp_code_of(*reject)}, packet);
  }
}

template <Link L>
void Ip<L>::send_resets(TimeNs now) {
  for (const TcpReset& reset : resets_.view()) {
    if (!routes_.is_local(reset.from)) {
      loop_reset(reset);
    } else if (!find(reset_way_, reset.to, reset.from) || reserve(reset_way_) < TcpHeader::kMinBytes) {
      drops_.count(DropReason::no_memory);
    } else {
      Outgoing out = open(reset_way_, TcpHeader::kMinBytes);
      reset.header.emit(out.transport);
      settle_checksum(out, reset_way_, TcpHeader::kChecksumOffset);
      send(now, reset_way_, out, true);
    }
  }
  resets_.clear();
}

// To ourselves, in the name of one whom our segment never reached.
template <Link L>
void Ip<L>::loop_reset(const TcpReset& reset) {
  const auto frame = loopback_.allocate(kHeaderBytes + TcpHeader::kMinBytes);
  if (!frame) return drops_.count(DropReason::no_memory);
  Ipv4Header ip;
  ip.source = reset.from;
  ip.destination = reset.to;
  ip.protocol = IpProtocol::kTcp;
  ip.ttl = 64;
  ip.dont_fragment = true;
  ip.total_bytes = Ipv4Header::kMinBytes + TcpHeader::kMinBytes;
  uint8_t* const packet = loopback_.data(*frame).data() + EthernetHeader::kBytes;
  ip.emit(packet);
  reset.header.emit(packet + Ipv4Header::kMinBytes);
  loopback_.send(*frame, {.looked_up = true, .state = filter::CtState::related, .reply = true});
}

}  // namespace skerry::stack
