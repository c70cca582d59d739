// Ip and rules: what becomes of a packet that they refuse. Included by ip.hpp alone.
#pragma once

namespace skerry::stack {

// Of TCP, UDP and ICMP. What is not known yet, because the packet is a piece, is not held against it.
inline bool checksum_intact(const Ipv4Header& ip, ConstBytes transport) {
  if (ip.is_fragment()) return true;
  if (ip.protocol == IpProtocol::kIcmp) {
    InternetChecksum sum;
    sum.add(transport);
    return sum.intact();
  }
  if (ip.protocol != IpProtocol::kTcp && ip.protocol != IpProtocol::kUdp) return true;
  if (ip.protocol == IpProtocol::kUdp && transport.size() >= UdpHeader::kBytes &&
      load_be16(transport.data() + UdpHeader::kChecksumOffset) == 0)
    return true;
  InternetChecksum sum = ipv4_pseudo_header(ip.source, ip.destination, static_cast<uint8_t>(ip.protocol),
                                            static_cast<uint16_t>(transport.size()));
  sum.add(transport);
  return sum.intact();
}

// A packet that came in; `packet` begins with its header. `intact`: its checksums need no look.
template <Link L>
auto Ip<L>::refused_in(TimeNs now, const Frame& frame, const Ipv4Header& ip, ConstBytes packet, bool looped,
                       bool intact) -> Fate {
  const DropReason reason = filter_.reason();
  const auto& reject = filter_.reject();
  // Nothing is ever sent to many, about a later piece, or about an ICMP error (RFC 1122 section 3.2.2).
  if (!reject || ip.fragment_offset != 0 || !routes_.is_local(ip.destination)) return {reason};
  // A damaged packet may be from another than it says (nf_reject_verify_csum()).
  if (!intact && !checksum_intact(ip, packet.subspan(ip.header_bytes, ip.payload_bytes()))) return {reason};
  if (reject->kind == filter::RejectKind::tcp_reset) {
    if (const auto reset = reset_for(ip, filter_.transport())) resets_.promise(*reset);
    return {reason};
  }
  if (ip.protocol == IpProtocol::kIcmp) {
    const auto icmp = IcmpHeader::parse(filter_.transport());
    if (!icmp || icmp->is_error()) return {reason};
  }
  const IcmpNote note{frame,
                      looped,
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

// A packet that came in over the link, its header a private copy. Of one like another nothing is kept but
// what its transport reads; that is in its queue already.
template <Link L>
bool Ip<L>::is_like_one_that_came(TimeNs now, const Ipv4Header& ip, ConstBytes header, ConstBytes packet) {
  if (!filter_.remembers_arrivals()) return false;
  if (ip.protocol != IpProtocol::kTcp && ip.protocol != IpProtocol::kUdp) return false;
  SegmentQueue& queue = queue_of(ip.protocol);
  if (queue.full()) return false;
  Segment& segment = queue.back();
  segment.copy_header(packet.subspan(ip.header_bytes, ip.payload_bytes()));
  return filter_.is_like_one_that_came(header.data(), segment.header(), ip.total_bytes, now);
}

template <Link L>
bool Ip<L>::is_like_one_that_left(TimeNs now, const uint8_t* header, const Outgoing& out) {
  using Transport = filter::VerdictMemory::Transport;
  constexpr uint32_t kSeenBytes = filter::VerdictMemory::kSeenBytes - Ipv4Header::kMinBytes;
  if (out.transport_bytes < kSeenBytes) return false;
  const Transport seen =
      out.sender == filter::VerdictMemory::kNoSender ? Transport::read(out.transport) : out.seen;
  const uint32_t length = uint32_t{Ipv4Header::kMinBytes} + out.transport_bytes;
  return filter_.is_like_one_that_left(header, seen, out.sender, length, out.looped, now);
}

// `packet` is the frame's, complete.
template <Link L>
bool Ip<L>::send_judged(TimeNs now, Way& way, const Outgoing& out, Bytes packet, bool answers) {
  const uint8_t* const header = way.headers.data() + EthernetHeader::kBytes;
  if (is_like_one_that_left(now, header, out)) [[likely]] {
    marks_[tx_count_] = 0;
    dispatch(now, way, out);
    return true;
  }
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
  Outgoing left = out;
  left.transport_bytes = filter_.left_length() - uint32_t{Ipv4Header::kMinBytes};
  left.frame->length = kHeaderBytes + left.transport_bytes;
  if (filter_.goes_elsewhere())
    send_elsewhere(now, left);
  else
    dispatch(now, way, left);
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
