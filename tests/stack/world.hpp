// A stack's Ip on one end of a local link, and on the other end a peer that writes and reads raw frames.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "link/local_link.hpp"
#include "stack/ip.hpp"
#include "wire/arp.hpp"
#include "wire/checksum.hpp"
#include "wire/ethernet.hpp"
#include "wire/icmp.hpp"
#include "wire/ipv4.hpp"
#include "wire/udp.hpp"

namespace skerry::stack {

using Packet = std::vector<uint8_t>;

inline constexpr MacAddress kOurMac{{2, 0, 0, 0, 0, 2}};
inline constexpr MacAddress kPeerMac{{2, 0, 0, 0, 0, 1}};
inline constexpr MacAddress kBroadcastMac{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
inline constexpr Ipv4Address kOurs = 0x0a000002;   // 10.0.0.2/24
inline constexpr Ipv4Address kPeer = 0x0a000001;   // 10.0.0.1, also the gateway
inline constexpr Ipv4Address kOther = 0x0a000009;  // 10.0.0.9
inline constexpr Ipv4Address kFar = 0xc6336407;    // 198.51.100.7
inline constexpr Ipv4Address kLoop = 0x7f000001;   // 127.0.0.1

inline Packet bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}

inline Packet ethernet_frame(const EthernetHeader& header, const Packet& payload) {
  Packet frame(EthernetHeader::kBytes + payload.size());
  header.emit(frame.data());
  std::copy(payload.begin(), payload.end(), frame.begin() + EthernetHeader::kBytes);
  return frame;
}

inline Packet arp_frame(const ArpPacket& arp, const MacAddress& to = kBroadcastMac) {
  Packet packet(ArpPacket::kBytes);
  arp.emit(packet.data());
  return ethernet_frame({to, arp.sender_mac, EtherType::kArp}, packet);
}

inline Packet ipv4_packet(Ipv4Header header, const Packet& payload) {
  header.total_bytes = static_cast<uint16_t>(Ipv4Header::kMinBytes + payload.size());
  if (header.ttl == 0) header.ttl = 64;
  Packet packet(header.total_bytes);
  header.emit(packet.data());
  std::copy(payload.begin(), payload.end(), packet.begin() + Ipv4Header::kMinBytes);
  return packet;
}

inline Packet ipv4_frame(const Ipv4Header& header, const Packet& payload, const MacAddress& to = kOurMac) {
  return ethernet_frame({to, kPeerMac, EtherType::kIpv4}, ipv4_packet(header, payload));
}

inline Ipv4Header from_peer(IpProtocol protocol) {
  Ipv4Header header;
  header.source = kPeer;
  header.destination = kOurs;
  header.protocol = protocol;
  return header;
}

inline Packet icmp_message(IcmpHeader header, const Packet& body) {
  Packet message(IcmpHeader::kBytes + body.size());
  std::copy(body.begin(), body.end(), message.begin() + IcmpHeader::kBytes);
  header.checksum = 0;
  header.emit(message.data());
  InternetChecksum sum;
  sum.add(message);
  header.checksum = sum.finish();
  header.emit(message.data());
  return message;
}

inline Packet udp_datagram(Ipv4Address source, Ipv4Address destination, uint16_t source_port,
                           uint16_t destination_port, const Packet& payload) {
  UdpHeader header{source_port, destination_port, static_cast<uint16_t>(UdpHeader::kBytes + payload.size()),
                   0};
  Packet datagram(header.length_bytes);
  std::copy(payload.begin(), payload.end(), datagram.begin() + UdpHeader::kBytes);
  header.emit(datagram.data());
  InternetChecksum sum = ipv4_pseudo_header(source, destination, 17, header.length_bytes);
  sum.add(datagram);
  header.checksum = sum.finish();
  header.emit(datagram.data());
  return datagram;
}

class World : public testing::Test {
 protected:
  // A link like a wire: nothing is vouched for, checksums must be finished, no frame above 1514.
  static LinkFacts wire_facts(const MacAddress& mac) {
    LinkFacts facts;
    facts.mac = mac;
    return facts;
  }
  // A link like shared memory.
  static LinkFacts memory_facts(const MacAddress& mac) {
    LinkFacts facts;
    facts.mac = mac;
    facts.max_frame = kMaxFrame;
    facts.takes_unfinished = facts.segments_tcp4 = true;
    return facts;
  }

  explicit World(LinkFacts (*facts)(const MacAddress&) = wire_facts, const SlotGeometry& geometry = {})
      : wire_(facts(kOurMac), facts(kPeerMac), geometry), ip_(wire_.a(), settings(), random_) {}

  void peer_sends(const Packet& bytes, uint8_t flags = 0) {
    auto frame = peer().allocate(static_cast<uint32_t>(bytes.size()));
    ASSERT_TRUE(frame);
    frame->flags = flags;
    if (flags & kChecksumNeeded) frame->checksum_start = kHeaderBytes;
    std::copy(bytes.begin(), bytes.end(), peer().data(*frame).begin());
    ASSERT_EQ(peer().send({&*frame, 1}), 1u);
  }

  struct Seen {
    Packet bytes;
    Frame marks;
    EthernetHeader ethernet;
    ConstBytes payload() const { return ConstBytes(bytes).subspan(EthernetHeader::kBytes); }
  };
  // The frames that the stack has sent, in order.
  std::vector<Seen> peer_receives() {
    std::vector<Seen> seen;
    FrameBatch batch;
    for (peer().receive(batch); batch.count > 0; batch.clear(), peer().receive(batch)) {
      for (const Frame& frame : batch.view()) {
        const Bytes data = peer().data(frame);
        Seen one{Packet(data.begin(), data.end()), frame, {}};
        one.ethernet = *EthernetHeader::parse(one.bytes);
        seen.push_back(one);
        peer().give_back(frame);
      }
    }
    return seen;
  }

  void breathe() {
    ip_.rx(now_);
    ip_.tx(now_);
  }
  // With TCP above it, whose host takes what has happened.
  template <class Component, class Host>
  void breathe_with(Component& component, Host& host) {
    ip_.rx(now_);
    component.rx(now_);
    host.take_events();
    component.tx(now_);
    ip_.tx(now_);
  }

  // The stack learns the peer's MAC from a question that the peer asks, and answers it.
  void introduce_peer() {
    peer_sends(arp_frame({ArpOperation::kRequest, kPeerMac, kPeer, {}, kOurs}));
    breathe();
    ASSERT_EQ(peer_receives().size(), 1u);
  }

  // Sends a UDP datagram with `payload` through Ip alone.
  bool stack_sends(Ipv4Address to, const Packet& payload, Ipv4Address from = 0) {
    if (!ip_.find(way_, to, from) || ip_.reserve(way_) == 0) return false;
    Outgoing out = ip_.open(way_, static_cast<uint32_t>(UdpHeader::kBytes + payload.size()));
    UdpHeader{1000, 2000, static_cast<uint16_t>(out.transport_bytes), 0}.emit(out.transport);
    std::copy(payload.begin(), payload.end(), out.transport + UdpHeader::kBytes);
    ip_.settle_checksum(out, way_, UdpHeader::kChecksumOffset);
    ip_.send(now_, way_, out);
    return true;
  }

  // Takes the UDP segments that arrived out of their queue.
  std::vector<Packet> take_udp() {
    std::vector<Packet> taken;
    for (const Segment& segment : ip_.udp_segments().view()) {
      taken.emplace_back(segment.bytes.begin(), segment.bytes.end());
      ip_.give_back(segment);
    }
    ip_.udp_segments().clear();
    return taken;
  }

  uint64_t drops(DropReason reason) { return ip_.drops()[reason]; }
  LocalLink& peer() { return wire_.b(); }

  TimeNs now_ = 1000 * kSecond;

 private:
  static IpSettings settings() {
    static constexpr InterfaceAddress kAddresses[] = {{kOurs, 24}};
    return {kAddresses, kPeer};
  }

  LocalWire wire_;
  Random random_{7};

 protected:
  Ip<LocalLink> ip_;
  Way way_{IpProtocol::kUdp};
};

}  // namespace skerry::stack
