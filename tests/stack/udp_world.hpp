// A stack's Ip with rules, and datagrams that come to it and leave it, as who sends and gets them believes to
// see them.
#pragma once

#include "filter/load.hpp"
#include "stack/world.hpp"

namespace skerry::stack {

inline constexpr MacAddress kOtherMac{{2, 0, 0, 0, 0, 9}};

struct Udp {
  Ipv4Address source, destination;
  uint16_t source_port, destination_port;
  friend bool operator==(const Udp&, const Udp&) = default;
};

// Of a packet that is intact.
inline Udp read_udp(ConstBytes packet, bool unfinished = false) {
  const auto ip = Ipv4Header::parse(packet);
  if (!ip || !Ipv4Header::checksum_intact(packet.first(ip->header_bytes))) return {};
  const ConstBytes transport = packet.subspan(ip->header_bytes, ip->payload_bytes());
  InternetChecksum sum = ipv4_pseudo_header(ip->source, ip->destination, static_cast<uint8_t>(ip->protocol),
                                            static_cast<uint16_t>(transport.size()));
  if (unfinished) {
    EXPECT_EQ(load_be16(transport.data() + (ip->protocol == IpProtocol::kUdp ? 6 : 16)), sum.sum());
  } else {
    sum.add(transport);
    EXPECT_TRUE(sum.intact());
  }
  return {ip->source, ip->destination, load_be16(transport.data()), load_be16(transport.data() + 2)};
}

class UdpWorld : public World {
 protected:
  explicit UdpWorld(LinkFacts (*facts)(const MacAddress&) = wire_facts) : World(facts) {
    introduce_peer();
    peer_sends(arp_frame({ArpOperation::kRequest, kOtherMac, kOther, {}, kOurs}));
    breathe();
    peer_receives();
  }

  void use(const filter::Octets& bytes) {
    filter::Ruleset ruleset;
    const auto refused = filter::load(bytes, ruleset);
    ASSERT_FALSE(refused) << refused->sentence;
    ip_.filter().use(filter::Engine(std::move(ruleset)), now_);
  }
  // Follows all packets at the hooks of these chains.
  void follow(const filter::Octets& bytes) {
    filter::Ruleset match;
    ASSERT_FALSE(filter::load(bytes, match));
    ip_.filter().follow(filter::Engine(std::move(match)), now_);
  }
  const filter::TraceStep& last_step() {
    const filter::Trace& trace = *ip_.filter().trace();
    return trace[trace.next() - 1];
  }
  void peer_asks(uint16_t port, Ipv4Address from = kPeer, uint16_t from_port = 1000, uint8_t flags = 0) {
    Ipv4Header header = from_peer(IpProtocol::kUdp);
    header.source = from;
    peer_sends(ipv4_frame(header, udp_datagram(from, kOurs, from_port, port, bytes_of("question"))), flags);
    ip_.rx(now_);
  }
  // What UDP gets, as it believes to see it.
  std::vector<Udp> came() {
    std::vector<Udp> seen;
    for (const Segment& segment : ip_.udp_segments().view()) {
      seen.push_back({segment.source, segment.destination, load_be16(segment.header().data()),
                      load_be16(segment.header().data() + 2)});
      EXPECT_TRUE(std::equal(segment.header().begin(), segment.header().begin() + 8, segment.bytes.begin()));
      ip_.give_back(segment);
    }
    ip_.udp_segments().clear();
    return seen;
  }
  bool we_send(const Udp& ends, const Packet& payload = bytes_of("answer")) {
    if (!ip_.find(way_, ends.destination, ends.source) || ip_.reserve(way_) == 0) return false;
    Outgoing out = ip_.open(way_, static_cast<uint32_t>(UdpHeader::kBytes + payload.size()));
    UdpHeader{ends.source_port, ends.destination_port, static_cast<uint16_t>(out.transport_bytes), 0}.emit(
        out.transport);
    std::copy(payload.begin(), payload.end(), out.transport + UdpHeader::kBytes);
    ip_.settle_checksum(out, way_, UdpHeader::kChecksumOffset);
    const bool passed = ip_.send(now_, way_, out);
    ip_.tx(now_);
    return passed;
  }
  std::vector<TransportError> errors() {
    const auto view = ip_.udp_errors().view();
    std::vector<TransportError> seen(view.begin(), view.end());
    ip_.udp_errors().clear();
    return seen;
  }
};

}  // namespace skerry::stack
