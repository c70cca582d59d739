// Announcements that pass a stack: those that are longer than what rules look at, and those that become
// longer on their way.
#include "filter/ftp_world.hpp"
#include "stack/filter_hooks.hpp"
#include "stack/world.hpp"
#include "wire/tcp.hpp"

namespace skerry::stack {
namespace {

using filter::batch;
using filter::chain;
using filter::counter;
using filter::Ends;
using filter::helper_object;
using filter::helper_words;
using filter::join;
using filter::kAck;
using filter::kSyn;
using filter::nat;
using filter::nat_chain;
using filter::Octets;
using filter::port_is;
using filter::rule;
using filter::said;
using filter::segment;
using filter::state_is;
using filter::table;

constexpr uint32_t kLong = 0x0a0000c8;  // 10.0.0.200

Octets hook(filter::Hook at) {
  return filter::hook(static_cast<uint32_t>(at));
}

class FtpHooksTest : public World {
 protected:
  explicit FtpHooksTest(LinkFacts (*facts)(const MacAddress&) = wire_facts) : World(facts) {
    introduce_peer();
  }
  void use(const Octets& bytes) {
    filter::Ruleset ruleset;
    const auto refused = filter::load(bytes, ruleset);
    ASSERT_FALSE(refused) << refused->sentence;
    ip_.filter().use(filter::Engine(std::move(ruleset)), now_);
  }
  void peer_says(const Octets& packet) {
    peer_sends(ethernet_frame({kOurMac, kPeerMac, EtherType::kIpv4}, packet));
    ip_.rx(now_);
  }
  // The frame that left; without bytes: none did.
  Seen we_say(const Octets& packet) {
    Way way{IpProtocol::kTcp};
    const auto bytes = static_cast<uint32_t>(packet.size() - Ipv4Header::kMinBytes);
    EXPECT_TRUE(ip_.find(way, load_be32(&packet[16]), 0));
    EXPECT_GE(ip_.reserve(way), bytes);
    Outgoing out = ip_.open(way, bytes);
    std::copy(packet.begin() + Ipv4Header::kMinBytes, packet.end(), out.transport);
    ip_.settle_checksum(out, way, TcpHeader::kChecksumOffset);
    ip_.send(now_, way, out);
    ip_.tx(now_);
    const auto seen = peer_receives();
    return seen.empty() ? Seen{} : seen.back();
  }
  // What the segment acknowledges that came last, and its payload.
  std::pair<uint32_t, std::string> last_heard() {
    std::pair<uint32_t, std::string> heard;
    for (const Segment& segment : ip_.tcp_segments().view()) {
      heard.first = load_be32(segment.header().data() + 8);
      heard.second.assign(segment.bytes.begin() + TcpHeader::kMinBytes, segment.bytes.end());
      ip_.give_back(segment);
    }
    ip_.tcp_segments().clear();
    return heard;
  }
  uint64_t counted(uint32_t stateful) { return ip_.filter().engine().tally(stateful).packets; }
};

TEST_F(FtpHooksTest, AnAnnouncementIsReadToItsEnd) {
  use(batch(table(), helper_object(helper_words()), chain("pre", hook(filter::Hook::prerouting)),
            chain("out", hook(filter::Hook::output)), rule("pre", join(port_is(21), filter::help())),
            rule("pre", join(state_is(filter::kRelated), counter())),
            rule("out", join(state_is(filter::kRelated), counter()))));
  const Ends asked{kPeer, kOurs, 40000, 21}, answers = asked.answer();
  const std::string words(900, 'x');
  peer_says(segment(asked, kSyn, 999));
  we_say(segment(answers, kSyn | kAck, 4999, 1000));
  we_say(said(answers, 5000, 1000, "220 hi\r\n"));
  we_say(said(answers, 5008, 1000, "227 " + words + " 10,0,0,2,4,210\r\n"));
  peer_says(segment({kPeer, kOurs, 2000, 1234}, kSyn));
  EXPECT_EQ(counted(1), 1U);
  peer_says(said(asked, 1000, 5008, "NOOP\r\n"));
  peer_says(said(asked, 1006, 5008, "PORT" + words + " 10,0,0,1,4,211\r\n"));
  we_say(segment({kOurs, kPeer, 20, 1235}, kSyn));
  EXPECT_EQ(counted(2), 1U);
}

// A client here, behind a longer address.
class FtpClient : public FtpHooksTest {
 protected:
  explicit FtpClient(LinkFacts (*facts)(const MacAddress&) = wire_facts) : FtpHooksTest(facts) {
    use(batch(table(), helper_object(helper_words()), chain("out", hook(filter::Hook::output)),
              nat_chain("post", filter::Hook::postrouting), rule("out", join(port_is(21), filter::help())),
              rule("post", nat(filter::kSnat, kLong))));
    we_say(segment(kInside, kSyn, 999));
    peer_says(segment(kOutside, kSyn | kAck, 4999, 1000));
    we_say(said(kInside, 1000, 5000, "USER a\r\n"));
  }
  static constexpr Ends kInside{kOurs, kPeer, 40000, 21}, kOutside{kPeer, kLong, 21, 40000};
  static constexpr const char* kBefore = "PORT 10,0,0,2,4,210\r\n";
  static constexpr const char* kBehind = "PORT 10,0,0,200,4,210\r\n";
};

TEST_F(FtpClient, AnAnnouncementGrowsInItsFrame) {
  const Seen seen = we_say(said(kInside, 1008, 5000, kBefore));
  const Octets packet(seen.payload().begin(), seen.payload().end());
  EXPECT_TRUE(filter::intact(packet));
  EXPECT_EQ(load_be16(&packet[2]), packet.size());
  EXPECT_EQ(std::string(packet.begin() + 40, packet.end()), kBehind);
}

TEST_F(FtpClient, WhatIsHeardFitsWhatWasSaid) {
  we_say(said(kInside, 1008, 5000, kBefore));
  last_heard();
  peer_says(said(kOutside, 5000, 1031, "200 ok\r\n"));
  EXPECT_EQ(last_heard(), (std::pair<uint32_t, std::string>{1029, "200 ok\r\n"}));
  peer_says(segment({kPeer, kLong, 20, 1234}, kSyn));
  EXPECT_EQ(ip_.tcp_segments().view().size(), 1U) << "to us, who announced it";
}

TEST_F(FtpClient, OneThatFillsItsFrameCannotGrow) {
  const std::string full = "PORT" + std::string(1460 - 4 - 17, 'x') + " 10,0,0,2,4,210\r\n";
  EXPECT_TRUE(we_say(said(kInside, 1008, 5000, full)).bytes.empty());
}

class FtpClientInMemory : public FtpClient {
 protected:
  FtpClientInMemory() : FtpClient(memory_facts) {}
};

TEST_F(FtpClientInMemory, AChecksumThatIsUnfinishedStaysSo) {
  const Seen seen = we_say(said(kInside, 1008, 5000, kBefore));
  const Octets packet(seen.payload().begin(), seen.payload().end());
  EXPECT_EQ(std::string(packet.begin() + 40, packet.end()), kBehind);
  EXPECT_TRUE((seen.marks.flags & kChecksumNeeded) != 0);
  EXPECT_EQ(load_be16(&packet[36]), filter::sum_of({}, filter::pseudo_header(packet)));
}

}  // namespace
}  // namespace skerry::stack
