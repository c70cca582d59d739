// Ip::tx and what transports call to send. Included by ip.hpp alone.
#pragma once

namespace skerry::stack {

template <Link L>
uint32_t Ip<L>::tx(TimeNs now) {
  if (reassembly_.deadline() <= now) [[unlikely]]
    expire_fragments(now);
  send_icmp(now);
  if (!resets_.view().empty()) [[unlikely]]
    send_resets(now);
  if (arp_.neighbours().held() > 0 || arp_.deadline() <= now) [[unlikely]] {
    send_held(now);
    send_arp(now);
  }
  if (filter_.judges_egress()) [[unlikely]]
    judge_leaving(now);
  uint32_t sent = 0;
  if (tx_count_ > 0) {
    sent = static_cast<uint32_t>(link_.send(std::span<const Frame>(tx_.data(), tx_count_)));
    std::copy(tx_.begin() + sent, tx_.begin() + tx_count_, tx_.begin());
    tx_count_ -= sent;
    judged_ = tx_count_;
  }
  // What waits for room looks again after a while: the link tells us of arrivals, not of room.
  if (tx_count_ > 0 || starved_) retry_at_ = now + kRetry;
  return sent;
}

template <Link L>
void Ip<L>::forget_frames() {
  while (in_next_ < in_.count) link_.give_back(in_.frames[in_next_++]);
  for (std::optional<Frame>* spare : {&small_, &large_}) {
    if (*spare) link_.give_back(**spare);
    spare->reset();
  }
  while (tx_count_ > 0) link_.give_back(tx_[--tx_count_]);
  judged_ = 0;
  for (uint32_t neighbour = 0; arp_.neighbours().held() > 0; ++neighbour) {
    while (const auto held = arp_.neighbours().take_held(neighbour)) link_.give_back(*held);
  }
  if constexpr (requires { link_.forget(); }) link_.forget();
}

template <Link L>
uint32_t Ip<L>::path_mtu(TimeNs now, Ipv4Address destination, bool looped) const {
  const uint32_t link = transport_mtu(looped);
  const uint32_t path = looped ? UINT32_MAX : path_mtus_.find(now, destination);
  return path == UINT32_MAX ? link : std::min(link, path - uint32_t{Ipv4Header::kMinBytes});
}

template <Link L>
uint32_t Ip<L>::transport_super_frame(const Way& way) const {
  if (way.loops() || !cuts_segments()) return 0;
  return std::min(large_bytes_ - kHeaderBytes, kMaxTransportBytes) - filter::kMostGrowth;
}

template <Link L>
uint32_t Ip<L>::reserve_link() {
  if (has_tx_room() && !small_) small_ = link_.allocate(small_room_);
  if (!has_tx_room() || !small_) {
    starved_ = true;
    return 0;
  }
  if (!cuts_segments()) return kMaxTransportBytes;  // the MTU is for transports to keep
  if (!large_) large_ = link_.allocate(large_bytes_);
  return (large_ ? large_bytes_ : small_bytes_) - kHeaderBytes;
}

template <Link L>
uint32_t Ip<L>::reserve_loopback() {
  if (loopback_.free() > 0) return kMaxTransportBytes;
  starved_ = true;
  return 0;
}

template <Link L>
bool Ip<L>::find(Way& way, Ipv4Address destination, Ipv4Address source, const Marks& marks) {
  if (way.leads_to(destination, source, marks)) [[likely]]
    return true;
  way.route = routes_.lookup(destination, source);
  way.destination = destination;
  way.asked_source = source;
  way.marks = marks;
  way.neighbour = Neighbours::kNone;
  if (way.route.kind == Route::Kind::none) return false;

  EthernetHeader ethernet{{}, facts_.mac, EtherType::kIpv4};
  if (way.route.kind == Route::Kind::broadcast) ethernet.destination.bytes.fill(0xff);
  ethernet.emit(way.headers.data());
  Ipv4Header ip;
  ip.source = way.route.source;
  ip.destination = destination;
  ip.dont_fragment =
      true;  // so identification may be 0 (RFC 6864 section 4.1), and too long is told (RFC 1191)
  ip.ttl = marks.ttl;
  ip.type_of_service = marks.type_of_service;
  ip.protocol = way.protocol;
  uint8_t* const header = way.headers.data() + EthernetHeader::kBytes;
  ip.emit(header);
  store_be16(header + kIpv4ChecksumOffset, 0);
  way.sum = InternetChecksum();
  way.sum.add({header, Ipv4Header::kMinBytes});
  return true;
}

template <Link L>
Outgoing Ip<L>::open(const Way& way, uint32_t transport_bytes) {
  const uint32_t bytes = kHeaderBytes + transport_bytes;
  Frame& frame = tx_[tx_count_];  // free: the reserve saw to it
  Outgoing out{&frame, nullptr, transport_bytes, way.loops()};
  if (out.looped) {
    const auto looped = loopback_.allocate(bytes);
    CHECK(looped.has_value());
    frame = *looped;
    out.transport = loopback_.data(frame).data() + kHeaderBytes;
    return out;
  }
  std::optional<Frame>& spare = bytes <= small_bytes_ ? small_ : large_;
  CHECK(spare.has_value());
  frame = *spare;
  frame.length = bytes;
  out.transport = link_.data(frame).data() + kHeaderBytes;
  // The next spare right away: by the time it is used its lines have arrived.
  spare = link_.allocate(bytes <= small_bytes_ ? small_room_ : large_bytes_);
  return out;
}

template <Link L>
void Ip<L>::settle_checksum(Outgoing& out, const Way& way, uint32_t field) {
  uint8_t* const place = out.transport + field;
  store_be16(place, 0);
  if (out.looped) return;  // nobody looks
  InternetChecksum sum =
      ipv4_pseudo_header(way.route.source, way.destination, static_cast<uint8_t>(way.protocol),
                         static_cast<uint16_t>(out.transport_bytes));
  if (facts_.takes_unfinished) [[likely]] {
    store_be16(place, sum.sum());
    out.frame->flags |= kChecksumNeeded;
    out.frame->checksum_start = kHeaderBytes;
    out.frame->checksum_offset = static_cast<uint8_t>(field);
    return;
  }
  sum.add({out.transport, out.transport_bytes});
  const uint16_t checksum = sum.finish();
  // To UDP a checksum of 0 means that there is none; both zeros are the same number (RFC 768). TCP takes
  // either.
  store_be16(place, checksum == 0 ? 0xffff : checksum);
}

template <Link L>
bool Ip<L>::send(TimeNs now, Way& way, const Outgoing& out, bool answers) {
  uint8_t* const to = out.ethernet();
  std::memcpy(to, way.headers.data(), kHeaderBytes);
  uint8_t* const ip = to + EthernetHeader::kBytes;
  const auto total = static_cast<uint16_t>(Ipv4Header::kMinBytes + out.transport_bytes);
  store_be16(ip + 2, total);
  InternetChecksum sum = way.sum;
  sum.add_be16(total);
  store_be16(ip + kIpv4ChecksumOffset, sum.finish());
  if (filter_.is_active()) [[unlikely]] {
    if (!is_like_one_that_left(now, way, out)) return send_filtered(now, way, out, {ip, total}, answers);
    marks_[tx_count_] = 0;
  }
  dispatch(now, way, out);
  return true;
}

template <Link L>
void Ip<L>::dispatch(TimeNs now, Way& way, const Outgoing& out) {
  ++counters_.packets_out;
  if (way.route.kind == Route::Kind::neighbour) [[likely]] {
    send_to_neighbour(now, way, out);
  } else if (out.looped) {
    ++counters_.looped;
    loopback_.send(*out.frame, filter_.left_as());
  } else {
    ++tx_count_;  // a broadcast
  }
}

template <Link L>
void Ip<L>::send_to_neighbour(TimeNs now, Way& way, const Outgoing& out) {
  Neighbours& neighbours = arp_.neighbours();
  if (way.neighbour == Neighbours::kNone || neighbours.address(way.neighbour) != way.route.next_hop)
      [[unlikely]]
    way.neighbour = neighbours.resolve(now, way.route.next_hop);
  if (way.neighbour == Neighbours::kNone) [[unlikely]] {
    drops_.count(DropReason::unresolved);
    link_.give_back(*out.frame);
    return;
  }
  last_neighbour_ = way.neighbour;
  if (const MacAddress* mac = neighbours.use(now, way.neighbour)) [[likely]] {
    std::memcpy(out.ethernet(), mac->bytes.data(), 6);
    ++tx_count_;
    return;
  }
  // The last frame does not wait for the answer: it is needed for the question.
  if (!small_ || !neighbours.hold(way.neighbour, *out.frame, marks_[tx_count_])) {
    drops_.count(DropReason::unresolved);
    link_.give_back(*out.frame);
  }
}

template <Link L>
void Ip<L>::send_icmp(TimeNs now) {
  for (const IcmpNote& note : icmp_replies_.view()) {
    const uint32_t bytes = static_cast<uint32_t>(IcmpHeader::kBytes + note.body.size());
    if (!find(icmp_way_, note.to, note.from) || reserve(icmp_way_) < bytes ||
        bytes > transport_mtu(icmp_way_)) {
      drops_.count(DropReason::no_memory);
    } else {
      const Outgoing out = open(icmp_way_, bytes);
      IcmpHeader header = note.header;
      header.checksum = 0;
      header.emit(out.transport);
      std::memcpy(out.transport + IcmpHeader::kBytes, note.body.data(), note.body.size());
      InternetChecksum sum;
      sum.add({out.transport, bytes});
      header.checksum = sum.finish();
      header.emit(out.transport);
      if (send(now, icmp_way_, out, header.is_error())) ++counters_.icmp_out;
    }
    give_back(note.frame, note.looped);
  }
  icmp_replies_.clear();
}

// Frames whose neighbour has answered go; those whose neighbour never will come back as errors.
template <Link L>
void Ip<L>::send_held(TimeNs now) {
  Neighbours& neighbours = arp_.neighbours();
  while (has_tx_room()) {
    const auto ready = neighbours.next_ready();
    if (!ready) break;
    std::memcpy(link_.data(ready->frame).data(), ready->mac.bytes.data(), 6);
    queue(ready->frame, ready->mark);
  }
  while (const auto failed = neighbours.next_failed(now)) {
    while (const auto frame = neighbours.take_held(*failed)) {
      uint8_t copy[Ipv4Header::kMinBytes + UdpHeader::kBytes + TransportError::kQuoteBytes];
      const ConstBytes packet = link_.data(*frame).subspan(EthernetHeader::kBytes);
      const size_t copied = std::min(packet.size(), sizeof copy);
      copy_once(copy, packet.data(), copied);
      filter_.translate_back(Bytes(copy, copied), now);
      tell_ourselves({IcmpType::kDestinationUnreachable, kHostUnreachable}, {copy, copied});
      drops_.count(DropReason::unresolved);
      link_.give_back(*frame);
    }
    neighbours.forget(*failed);
  }
}

// As Linux does by an ICMP message to itself. `packet` is the beginning of one of ours that did not leave, as
// its sender knows it, in a private copy.
template <Link L>
void Ip<L>::tell_ourselves(const IcmpHeader& header, ConstBytes packet) {
  auto notice = read_icmp_error(header, packet);
  if (!notice) return;
  notice->error.own = true;
  notice->note_quote(notice->error.local.address.as_v4(), packet);
  notice->error.ttl = Marks{}.ttl;
  errors_of(notice->protocol).push(notice->error);
}

template <Link L>
void Ip<L>::send_arp(TimeNs now) {
  while (const auto packet = arp_.next_packet(now)) {
    uint8_t arp[ArpPacket::kBytes];
    packet->packet.emit(arp);
    if (filter_.judges_arp() && !judge_arp_out(now, arp)) continue;
    if (!small_) small_ = link_.allocate(small_room_);
    if (!small_ || !has_tx_room()) {
      drops_.count(DropReason::no_memory);
      continue;
    }
    Frame frame = *small_;
    small_.reset();
    frame.length = EthernetHeader::kBytes + ArpPacket::kBytes;
    const Bytes data = link_.data(frame);
    EthernetHeader{packet->to, facts_.mac, EtherType::kArp}.emit(data.data());
    std::memcpy(data.data() + EthernetHeader::kBytes, arp, sizeof arp);
    queue(frame, filter_.judges_arp() ? filter_.left_mark() : 0);
    ++counters_.arp_out;
  }
}

}  // namespace skerry::stack
