// Ip and fragments. Of those that come the bytes are copied, each to its place in a frame of the loopback,
// which becomes the packet when all are there. Those that go have a frame each. Included by ip.hpp alone.
#pragma once

namespace skerry::stack {

// `ip` is a fragment for us.
template <Link L>
auto Ip<L>::receive_fragment(TimeNs now, Arrival arrival, Ipv4Header ip) -> Fate {
  ++counters_.fragments_in;
  Reassembly::Packet* whole = reassembly_.find(ip);
  if (whole == nullptr) {
    if (reassembly_.is_full()) abandon(reassembly_.oldest(), DropReason::fragments_missing);
    const auto frame = loopback_.allocate(kHeaderBytes + Reassembly::kMaxBytes);
    if (!frame) return {DropReason::no_memory};
    whole = reassembly_.begin(now, ip, *frame);
  }
  switch (Reassembly::add(*whole, ip)) {
    case Reassembly::Verdict::taken:
      break;
    case Reassembly::Verdict::known:
      return {};
    case Reassembly::Verdict::wrong:
      abandon(*whole, DropReason::fragment);
      return {};
  }
  uint8_t* const payload = loopback_.data(whole->frame).data() + kHeaderBytes;
  uint32_t judged = 0;
  if (filter_.is_active()) [[unlikely]] {
    // What rules have judged is what is used, whatever lies in the link's memory by now.
    const ConstBytes seen = filter_.transport();
    judged = std::min<uint32_t>(static_cast<uint32_t>(seen.size()), ip.payload_bytes());
    if (judged > 0) std::memcpy(payload + ip.fragment_offset, seen.data(), judged);
  }
  copy_once(payload + ip.fragment_offset + judged, arrival.packet.data() + ip.header_bytes + judged,
            ip.payload_bytes() - judged);
  whole->vouched &= (arrival.frame.flags & kChecksumVouched) != 0 || facts_.vouches;
  if (!whole->is_whole()) return {};

  const Frame frame = finish_packet(*whole, whole->end);
  const Ipv4Header header = whole->header;
  const bool vouched = whole->vouched;
  reassembly_.remove(*whole);
  ++counters_.reassembled;
  const ConstBytes made = loopback_.data(frame).subspan(EthernetHeader::kBytes);
  const Arrival packet{frame, made, arrival.ethernet, arrival.broadcast, true, vouched};
  if (filter_.is_active()) filter_.take_whole(made);
  if (filter_.tracks() && !vouched && !checksum_intact(header, made.subspan(header.header_bytes)))
    filter_.note_damage();
  if (filter_.tracks() && !filter_.passes(filter::Hook::prerouting, now))
    settle(frame, true, refused_in(now, packet, header));
  else if (const auto reason = arrival.looped() ? std::nullopt : judge_whole(now, header))
    settle(frame, true, {reason});
  else
    settle(frame, true, deliver(now, packet, header));
  return {};
}

// A packet that was put together, as rules left it.
template <Link L>
std::optional<DropReason> Ip<L>::judge_whole(TimeNs now, const Ipv4Header& as_it_came) {
  if (!filter_.is_active()) return std::nullopt;
  const auto header = filter_.header(as_it_came, now);
  return header ? judge_ipv4(*header, routes_, false) : DropReason::malformed_ipv4;
}

// Writes the header before `payload_bytes` of the packet; returns its frame, of the right length.
template <Link L>
Frame Ip<L>::finish_packet(Reassembly::Packet& packet, uint32_t payload_bytes) {
  Ipv4Header& header = packet.header;
  header.header_bytes = Ipv4Header::kMinBytes;  // options of the first fragment are not kept
  header.total_bytes = static_cast<uint16_t>(Ipv4Header::kMinBytes + payload_bytes);
  header.fragment_offset = 0;
  header.more_fragments = packet.end == 0;
  Frame frame = packet.frame;
  frame.length = EthernetHeader::kBytes + header.total_bytes;
  header.emit(loopback_.data(frame).data() + EthernetHeader::kBytes);
  return frame;
}

template <Link L>
void Ip<L>::abandon(Reassembly::Packet& packet, DropReason reason) {
  drops_.count(reason);
  loopback_.give_back(packet.frame);
  reassembly_.remove(packet);
}

// What waited too long is given up, and its sender told if the beginning is here (RFC 1122 section 3.3.2).
template <Link L>
void Ip<L>::expire_fragments(TimeNs now) {
  while (reassembly_.deadline() <= now) {
    Reassembly::Packet& packet = reassembly_.oldest();
    // Never about ICMP: it may be an error itself (RFC 1122 section 3.2.2).
    if (packet.has_beginning() && routes_.is_ours(packet.header.destination) &&
        packet.header.protocol != IpProtocol::kIcmp) {
      const uint32_t bytes =
          std::min<uint32_t>(packet.pieces[0].right, IcmpReplies::kMaxQuoteBytes - Ipv4Header::kMinBytes);
      packet.end = 0;
      const Frame frame = finish_packet(packet, bytes);
      const IcmpNote note{frame,
                          true,
                          packet.header.destination,
                          packet.header.source,
                          {IcmpType::kTimeExceeded, kReassemblyTimeExceeded},
                          ConstBytes(loopback_.data(frame)).subspan(EthernetHeader::kBytes)};
      if (icmp_replies_.promise(now, note)) {
        drops_.count(DropReason::fragments_missing);
        reassembly_.remove(packet);
        continue;
      }
    }
    abandon(packet, DropReason::fragments_missing);
  }
}

// Rules judge the whole packet, as on Linux, where it is cut behind them.
template <Link L>
int Ip<L>::send_in_pieces(TimeNs now, Way& way, std::span<const ConstBytes> segment, uint32_t mtu) {
  uint8_t* const whole = whole_.get();
  uint32_t end = Ipv4Header::kMinBytes;
  for (const ConstBytes piece : segment) {
    if (!piece.empty()) std::memcpy(whole + end, piece.data(), piece.size());
    end += static_cast<uint32_t>(piece.size());
  }
  uint32_t left = end - uint32_t{Ipv4Header::kMinBytes};
  uint32_t most = left <= mtu ? left : mtu & ~7u;  // offsets count in eights
  if (kTxQueue - tx_count_ < (left + most - 1) / most) {
    starved_ = true;
    return EAGAIN;
  }
  if (reserve(way) == 0) return EAGAIN;

  Ipv4Header ip;
  ip.source = way.route.source;
  ip.destination = way.destination;
  ip.identification = ++identification_;
  ip.ttl = way.marks.ttl;
  ip.type_of_service = way.marks.type_of_service;
  ip.protocol = way.protocol;
  ip.total_bytes = static_cast<uint16_t>(end);
  ip.emit(whole);
  Way* on = &way;
  if (filter_.is_active()) {
    if (!filter_.passes_out({whole, end}, {.loops = way.loops(), .summed = true}, now)) {
      refused_out();
      return EPERM;
    }
    ip.read({whole, Ipv4Header::kMinBytes});  // it may have been changed
    if (filter_.goes_elsewhere()) {
      if (!find_elsewhere()) return EHOSTUNREACH;
      on = &elsewhere_;
      if (on->loops())
        most = left;
      else if (left > transport_mtu(*on))
        most = std::min(most, transport_mtu(*on) & ~7u);
    }
  }
  for (uint32_t offset = 0; left > 0; offset += most) {
    const uint32_t bytes = std::min(left, most);
    if (reserve(*on) < bytes) {
      drops_.count(DropReason::no_memory);  // of no use without the rest
      return 0;
    }
    left -= bytes;
    Outgoing out = open(*on, bytes);
    marks_[tx_count_] = filter_.left_mark();
    std::memcpy(out.ethernet(), on->headers.data(), EthernetHeader::kBytes);
    ip.total_bytes = static_cast<uint16_t>(Ipv4Header::kMinBytes + bytes);
    ip.fragment_offset = static_cast<uint16_t>(offset);
    ip.more_fragments = left > 0;
    ip.emit(out.ethernet() + EthernetHeader::kBytes);
    std::memcpy(out.transport, whole + Ipv4Header::kMinBytes + offset, bytes);
    if (ip.is_fragment()) ++counters_.fragments_out;
    dispatch(now, *on, out);
  }
  return 0;
}

}  // namespace skerry::stack
