// Ip and translation: packets that are for others than they were sent to, and those that came to be so.
// Included by ip.hpp alone.
#pragma once

namespace skerry::stack {

// The packet is as it came, and what rules made of its beginning is in their private copy. From here on it is
// one of our own: whoever answers it quotes what is in the frame, and rules translate the answer back.
template <Link L>
auto Ip<L>::hand_over_changed(TimeNs now, const Arrival& arrival, const Ipv4Header& ip) -> Fate {
  const auto frame = loopback_.allocate(EthernetHeader::kBytes + ip.total_bytes);
  if (!frame) return {DropReason::no_memory};
  const Bytes own = Bytes(loopback_.data(*frame)).subspan(EthernetHeader::kBytes);
  const ConstBytes beginning = filter_.beginning();
  std::memcpy(own.data(), beginning.data(), beginning.size());
  copy_once(own.data() + beginning.size(), arrival.packet.data() + beginning.size(),
            own.size() - beginning.size());
  const Arrival changed{*frame, own, arrival.ethernet, arrival.broadcast, true, arrival.intact};
  settle(*frame, true, hand_over(now, changed, ip));
  return {};
}

// The way of the packet that passed last. False: there is none.
template <Link L>
bool Ip<L>::find_elsewhere() {
  const uint8_t* const ip = filter_.leaving().data();
  elsewhere_.protocol = static_cast<IpProtocol>(ip[9]);
  return find(elsewhere_, load_be32(ip + kIpv4DestinationOffset), load_be32(ip + kIpv4SourceOffset));
}

// Its way may lead to the other kind of frames.
template <Link L>
void Ip<L>::send_elsewhere(TimeNs now, const Outgoing& out) {
  const uint8_t* const packet = out.ethernet() + EthernetHeader::kBytes;
  const uint32_t bytes = uint32_t{Ipv4Header::kMinBytes} + out.transport_bytes;
  const auto lose = [&](DropReason reason) {
    drops_.count(reason);
    cancel(out);
  };
  if (!find_elsewhere()) return lose(DropReason::unresolved);
  if (elsewhere_.loops() == out.looped) {
    std::memcpy(out.ethernet(), elsewhere_.headers.data(), EthernetHeader::kBytes);
    return dispatch(now, elsewhere_, out);
  }
  const Frame old = *out.frame;  // its place in the queue is that of the new one
  if (out.looped && out.transport_bytes > transport_mtu(elsewhere_)) return lose(DropReason::too_long);
  if (reserve(elsewhere_) < out.transport_bytes) return lose(DropReason::no_memory);
  Outgoing moved = open(elsewhere_, out.transport_bytes);
  std::memcpy(moved.ethernet(), elsewhere_.headers.data(), EthernetHeader::kBytes);
  const ConstBytes judged = filter_.leaving();
  uint8_t* const to = moved.ethernet() + EthernetHeader::kBytes;
  std::memcpy(to, judged.data(), judged.size());
  copy_once(to + judged.size(), packet + judged.size(), bytes - judged.size());
  if (out.looped && elsewhere_.protocol == IpProtocol::kTcp)
    settle_checksum(moved, elsewhere_, TcpHeader::kChecksumOffset);
  if (out.looped && elsewhere_.protocol == IpProtocol::kUdp)
    settle_checksum(moved, elsewhere_, UdpHeader::kChecksumOffset);
  give_back(old, out.looped);
  dispatch(now, elsewhere_, moved);
}

}  // namespace skerry::stack
