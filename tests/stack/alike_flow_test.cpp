// Packets of connections that are like others that passed take a way of their own through Ip, too. Two stacks
// with the same rules meet the same conversations; in one each packet is judged. What comes in, what goes out
// and what the rules count must be the same.
#include <string>

#include "filter/conversations.hpp"
#include "filter/load.hpp"
#include "stack/world.hpp"
#include "wire/tcp.hpp"

namespace skerry::stack {
namespace {

using filter::Octets;

Octets state_is(uint8_t bit) {
  return filter::join(
      filter::expression("ct", filter::join(filter::attribute(filter::nft::kCtTo, filter::be32(1)),
                                            filter::attribute(filter::nft::kCtKey, filter::be32(0)))),
      filter::cmp(0, {bit, 0, 0, 0}));
}

filter::Engine rules() {
  constexpr uint8_t kInvalid = 1, kEstablished = 2, kFresh = 8;
  const auto at = [](filter::Hook hook) { return filter::hook(static_cast<uint32_t>(hook)); };
  const auto says = [](uint8_t state, int32_t verdict) {
    return filter::join(state_is(state), filter::counter(), filter::verdict(verdict));
  };
  filter::Ruleset ruleset;
  const auto refused = filter::load(
      filter::batch(filter::table(), filter::chain("in", at(filter::Hook::input)),
                    filter::rule("in", says(kEstablished, 1)), filter::rule("in", says(kInvalid, 0)),
                    filter::rule("in", says(kFresh, 1)), filter::chain("out", at(filter::Hook::output)),
                    filter::rule("out", says(kEstablished, 1)), filter::rule("out", says(kFresh, 1))),
      ruleset);
  EXPECT_FALSE(refused) << refused->sentence;
  return filter::Engine(std::move(ruleset));
}

class Stack : public World {
 public:
  explicit Stack(bool remembers) {
    introduce_peer();
    filter::Engine engine = rules();
    if (!remembers) engine.remember_none(true);
    ip_.filter().use(std::move(engine), now_);
  }
  void wait(DurationNs time) {
    now_ += time;
    peer_sends(arp_frame({ArpOperation::kRequest, kPeerMac, kPeer, {}, kOurs}));
    breathe();
    peer_receives();
  }

  // What came of a packet from the peer.
  std::vector<std::string> comes(const Packet& frame, uint8_t flags) {
    peer_sends(frame, flags);
    ip_.rx(now_);
    return what_happened();
  }
  // Or of one that is sent: its transport header and what follows.
  std::vector<std::string> leaves(Ipv4Address to, const Ipv4Header& header, const Packet& transport) {
    Way way(header.protocol);
    CHECK(ip_.find(way, to, 0, {64, header.type_of_service}) && ip_.reserve(way) >= transport.size());
    Outgoing out = ip_.open(way, static_cast<uint32_t>(transport.size()));
    std::copy(transport.begin(), transport.end(), out.transport);
    ip_.settle_checksum(
        out, way,
        header.protocol == IpProtocol::kTcp ? TcpHeader::kChecksumOffset : UdpHeader::kChecksumOffset);
    ip_.send(now_, way, out);
    ip_.tx(now_);
    ip_.rx(now_);
    return what_happened();
  }
  // Whether such a packet goes that way: `ip` from its header on.
  bool is_alike(const Packet& ip, bool leaves, bool damaged = false) {
    const ConstBytes transport = ConstBytes(ip).subspan(Ipv4Header::kMinBytes);
    const auto length = static_cast<uint32_t>(ip.size());
    const auto seen = filter::TransportSeen::read(transport.data());
    return leaves ? ip_.filter().is_like_one_that_left(ip.data(), transport.data(), seen, length, false, now_)
                  : ip_.filter().is_like_one_that_came(ip.data(), transport, length, now_,
                                                       [&] { return !damaged; });
  }
  const filter::Engine& engine() { return ip_.filter().engine(); }
  uint32_t flows() { return ip_.filter().conntrack()->flows(); }

 private:
  void TestBody() override {}
  std::vector<std::string> what_happened() {
    std::vector<std::string> lines;
    for (SegmentQueue* queue : {&ip_.tcp_segments(), &ip_.udp_segments()}) {
      for (const Segment& one : queue->view()) {
        std::string line = "took";
        for (const uint32_t value : {one.source, one.destination, uint32_t{one.looped}, uint32_t{one.intact},
                                     uint32_t{one.ttl}, uint32_t{one.type_of_service}})
          line += ' ' + std::to_string(value);
        lines.push_back(line + ' ' + std::string(one.bytes.begin(), one.bytes.end()));
        ip_.give_back(one);
      }
      queue->clear();
    }
    for (const Seen& sent : peer_receives()) lines.emplace_back(sent.bytes.begin(), sent.bytes.end());
    for (size_t i = 0; i < kDropReasons; ++i)
      lines.push_back(std::to_string(drops(static_cast<DropReason>(i))));
    return lines;
  }
};

void expect_same_counts(const filter::Engine& one, const filter::Engine& other) {
  for (uint32_t i = 0; i < one.ruleset().stateful.size(); ++i) {
    EXPECT_EQ(one.tally(i).packets, other.tally(i).packets) << "counter " << i;
    EXPECT_EQ(one.tally(i).bytes, other.tally(i).bytes) << "counter " << i;
  }
}

void sum(Packet& transport, uint8_t protocol, Ipv4Address from, Ipv4Address to) {
  const size_t field = protocol == 6 ? TcpHeader::kChecksumOffset : UdpHeader::kChecksumOffset;
  if (transport.size() < field + 2) return;
  store_be16(&transport[field], 0);
  InternetChecksum sum = ipv4_pseudo_header(from, to, protocol, static_cast<uint16_t>(transport.size()));
  sum.add(transport);
  const uint16_t checksum = sum.finish();
  store_be16(&transport[field], checksum == 0 ? 0xffff : checksum);
}

TEST(AlikeFlows, GoTheSameWayAsThoseThatAreJudgedEach) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    filter::Conversations conversations(seed, kPeer, kOurs);
    Stack again(true), each(false);
    for (int i = 1; i <= 2000; ++i) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", packet " + std::to_string(i));
      const Octets bytes = conversations.packet().bytes;
      Ipv4Header header = *Ipv4Header::parse(bytes);
      Packet transport(bytes.begin() + Ipv4Header::kMinBytes, bytes.end());
      const DurationNs time = conversations.wait();
      again.wait(time);
      each.wait(time);
      const auto protocol = static_cast<uint8_t>(header.protocol);
      const bool known = header.protocol == IpProtocol::kTcp || header.protocol == IpProtocol::kUdp;
      // One conversation is with ourselves.
      constexpr uint16_t kLooped = 1001;
      const bool loops = load_be16(&transport[0]) == kLooped || load_be16(&transport[2]) == kLooped;
      if (header.source == kOurs || loops) {
        if (!known) continue;
        const Ipv4Address to = loops ? kLoop : header.destination;
        ASSERT_EQ(again.leaves(to, header, transport), each.leaves(to, header, transport));
      } else {
        sum(transport, protocol, header.source, header.destination);
        if (conversations.one_in(12)) transport[transport.size() - 1] ^= 1;
        const uint8_t flags = conversations.one_in(2) ? kChecksumVouched : uint8_t{0};
        const Packet frame = ipv4_frame(header, transport);
        ASSERT_EQ(again.comes(frame, flags), each.comes(frame, flags));
      }
      ASSERT_EQ(again.flows(), each.flows());
    }
    expect_same_counts(again.engine(), each.engine());
    EXPECT_GT(each.engine().tally(1).packets, 50U) << "invalid ones came too";
  }
}

TEST(AlikeFlows, AreFoundAgain) {
  for (const bool remembers : {true, false}) {
    Stack stack(remembers);
    const Packet question = udp_datagram(kPeer, kOurs, 5000, 80, bytes_of("a question")),
                 answer = udp_datagram(kOurs, kPeer, 80, 5000, bytes_of("an answer"));
    Ipv4Header asks = from_peer(IpProtocol::kUdp), answers = asks;
    std::swap(answers.source, answers.destination);
    asks.ttl = answers.ttl = 64;
    stack.comes(ipv4_frame(asks, question), 0);
    stack.leaves(kPeer, answers, answer);
    stack.comes(ipv4_frame(asks, question), 0);
    EXPECT_FALSE(stack.is_alike(ipv4_packet(asks, question), false, true));
    EXPECT_EQ(stack.is_alike(ipv4_packet(asks, question), false), remembers);
    EXPECT_EQ(stack.is_alike(ipv4_packet(answers, answer), true), remembers);
  }
}

}  // namespace
}  // namespace skerry::stack
