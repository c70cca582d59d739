// Packets that are like others that passed rules take a way of their own through Ip. What comes of them must
// be what comes of all others: the same packets are sent to a stack without rules, and again and again to one
// whose rules let all pass.
#include <array>
#include <random>
#include <string>

#include "filter/batch.hpp"
#include "filter/load.hpp"
#include "stack/world.hpp"
#include "wire/tcp.hpp"

namespace skerry::stack {
namespace {

class AlikeTest : public World {
 protected:
  AlikeTest() { introduce_peer(); }

  void use_rules() {
    filter::Ruleset ruleset;
    const auto at = [](filter::Hook hook) { return filter::hook(static_cast<uint32_t>(hook)); };
    const auto refused = filter::load(
        filter::batch(filter::table(), filter::chain("pre", at(filter::Hook::prerouting)),
                      filter::rule("pre", filter::join(filter::payload(1, 8, 1), filter::cmp(0, {1}),
                                                       filter::verdict(1))),  // ip ttl 1 accept
                      filter::chain("in", at(filter::Hook::input)),
                      filter::rule("in", filter::join(filter::counter(), filter::verdict(1)))),
        ruleset);
    ASSERT_FALSE(refused) << refused->sentence;
    ip_.filter().use(filter::Engine(std::move(ruleset)), now_);
  }

  // What came of a frame: segments with all that is known of them, then drops.
  std::vector<std::string> outcome(const Packet& frame, uint8_t flags) {
    std::array<uint64_t, kDropReasons> before;
    for (size_t i = 0; i < kDropReasons; ++i) before[i] = drops(static_cast<DropReason>(i));
    peer_sends(frame, flags);
    ip_.rx(now_);
    std::vector<std::string> lines;
    for (SegmentQueue* queue : {&ip_.tcp_segments(), &ip_.udp_segments()}) {
      for (const Segment& one : queue->view()) {
        std::string line = queue == &ip_.tcp_segments() ? "tcp" : "udp";
        for (const uint32_t value :
             {one.source, one.destination, uint32_t{one.looped}, uint32_t{one.intact},
              uint32_t{one.broadcast}, uint32_t{one.ttl}, uint32_t{one.type_of_service}, one.frame.length})
          line += ' ' + std::to_string(value);
        line += ' ' + std::string(one.bytes.begin(), one.bytes.end());
        line += ' ' + std::string(one.header().begin(), one.header().end());
        lines.push_back(line);
        ip_.give_back(one);
      }
      queue->clear();
    }
    for (size_t i = 0; i < kDropReasons; ++i)
      if (const uint64_t more = drops(static_cast<DropReason>(i)) - before[i])
        lines.push_back(std::to_string(more) + ' ' + drop_reason_name(static_cast<DropReason>(i)));
    ip_.tx(now_);
    peer_receives();
    return lines;
  }
};

struct Sent {
  Packet frame;
  uint8_t flags;
};

// A packet of one of few flows, of which at times something is not as it should be.
Sent draw(std::mt19937& random) {
  const auto one_in = [&](uint32_t many) { return random() % many == 0; };
  const auto one_of = [&](std::initializer_list<uint32_t> values) {
    return values.begin()[random() % values.size()];
  };
  Ipv4Header header = from_peer(one_in(2) ? IpProtocol::kTcp : IpProtocol::kUdp);
  if (one_in(20)) header.protocol = static_cast<IpProtocol>(one_of({1, 2, 132}));
  if (one_in(8)) header.destination = one_of({kOther, kLoop, 0x0a0000ff, 0xffffffff, 0, 0xe0000001});
  if (one_in(8)) header.source = one_of({kOther, kLoop, kOurs, 0x0a0000ff, 0xffffffff, 0});
  header.ttl = static_cast<uint8_t>(one_of({64, 64, 1, 255}));
  header.type_of_service = static_cast<uint8_t>(one_of({0, 0, 3, 0xb8}));
  header.dont_fragment = one_in(2);
  if (one_in(12)) header.more_fragments = true;
  if (one_in(12)) header.fragment_offset = 8;
  Packet transport(one_of({0, 4, 8, 13, 14, 20, 24, 60, 61, 600}), 'a');
  const uint16_t ports[] = {static_cast<uint16_t>(one_of({1234, 1235, 80})), 80};
  for (size_t i = 0; i < 4 && i < transport.size(); ++i)
    transport[i] = static_cast<uint8_t>(ports[i / 2] >> (i % 2 == 0 ? 8 : 0));
  if (transport.size() >= 14) transport[12] = 0x50, transport[13] = 0x10;
  Packet frame = ipv4_frame(header, transport, one_in(12) ? kBroadcastMac : kOurMac);
  const uint8_t flags = one_in(2) ? uint8_t{0} : kChecksumVouched;
  if (one_in(8)) frame[EthernetHeader::kBytes + random() % Ipv4Header::kMinBytes] ^= 1 << random() % 8;
  if (one_in(8)) frame.resize(random() % frame.size() + 1);
  if (one_in(8)) frame.resize(frame.size() + 6);  // padding
  return {std::move(frame), flags};
}

TEST_F(AlikeTest, RulesThatLetAllPassChangeNothing) {
  std::mt19937 random(20261123);
  std::vector<Sent> sent;
  std::vector<std::vector<std::string>> came;
  constexpr size_t kPackets = 4000;
  for (size_t i = 0; i < kPackets; ++i) {
    sent.push_back(draw(random));
    came.push_back(outcome(sent[i].frame, sent[i].flags));
    now_ += 40 * kSecond;  // what waits for other pieces is given up, and ICMP may be sent again
    outcome(arp_frame({ArpOperation::kRequest, kPeerMac, kPeer, {}, kOurs}), 0);
  }
  use_rules();
  const uint64_t packets = ip_.counters().packets_in;
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i < kPackets; ++i) {
      for (int again = 0; again < 2; ++again) {
        EXPECT_EQ(outcome(sent[i].frame, sent[i].flags), came[i]) << "packet " << i << ", round " << round;
        now_ += 40 * kSecond;
        outcome(arp_frame({ArpOperation::kRequest, kPeerMac, kPeer, {}, kOurs}), 0);
      }
      if (HasFailure()) return;
    }
  }
  EXPECT_EQ(ip_.counters().packets_in - packets, ip_.filter().engine().tally(0).packets);
}

// One like it came to us, but each is looked at that came to others too.
TEST_F(AlikeTest, WhatIsForAllIsNeverForUsAlone) {
  use_rules();
  for (int i = 0; i < 3; ++i) {
    Ipv4Header header = from_peer(IpProtocol::kUdp);
    header.destination = 0x0a0000ff;
    peer_sends(ipv4_frame(header, udp_datagram(kPeer, header.destination, 1000, 80, bytes_of("all of you"))));
    ip_.rx(now_);
    ASSERT_EQ(ip_.udp_segments().view().size(), 1u);
    EXPECT_TRUE(ip_.udp_segments().view()[0].broadcast);
    take_udp();
  }
}

}  // namespace
}  // namespace skerry::stack
