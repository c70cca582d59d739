// Announcements that pass a stack: those that are longer than what rules look at, and those that become
// longer on their way.
#include "filter/announcement.hpp"
#include "filter/ftp_world.hpp"
#include "stack/filter_hooks.hpp"
#include "stack/tcp_component.hpp"
#include "stack/world.hpp"
#include "tcp/host.hpp"
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
  Seen we_say(const Octets& packet, uint16_t gso_size = 0) {
    Way way{IpProtocol::kTcp};
    const auto bytes = static_cast<uint32_t>(packet.size() - Ipv4Header::kMinBytes);
    EXPECT_TRUE(ip_.find(way, load_be32(&packet[16]), 0));
    EXPECT_GE(ip_.reserve(way), bytes);
    Outgoing out = ip_.open(way, bytes);
    std::copy(packet.begin() + Ipv4Header::kMinBytes, packet.end(), out.transport);
    if (gso_size != 0) {
      out.frame->gso_size = gso_size;
      out.frame->flags |= kSegmentTcp4;
    }
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

// The server is known by a longer address, which is written into what it announces; then it is refused,
// because an option is damaged where numbers are counted anew.
TEST_F(FtpHooksTest, WhatIsRefusedAfterItHasGrownIsAsItCame) {
  use(batch(table(), helper_object(helper_words()), chain("out", hook(filter::Hook::output)),
            nat_chain("dst", filter::Hook::output), rule("out", join(port_is(21), filter::help())),
            rule("dst", nat(filter::kDnat, kPeer))));
  const Ends inside{kOurs, kLong, 40000, 21}, answers{kPeer, kOurs, 21, 40000};
  const std::string announcement = "227 (10,0,0,1,4,210)\r\n";
  we_say(segment(inside, kSyn, 999));
  peer_says(segment(answers, kSyn | kAck, 4999, 1000));
  we_say(said(inside, 1000, 5000, "PASV\r\n"));
  peer_says(said(answers, 5000, 1006, "220 hi\r\n"));
  peer_says(said(answers, 5008, 1006, announcement));
  EXPECT_EQ(last_heard().second, "227 (10,0,0,200,4,210)\r\n");
  const Octets whole = said(answers, 5030, 1006, "xxxx" + announcement);
  Octets tcp(whole.begin() + Ipv4Header::kMinBytes, whole.end());
  tcp[12] = 6 << 4;
  const uint8_t damaged[] = {5, 200, 0, 0};
  std::copy(std::begin(damaged), std::end(damaged), tcp.begin() + TcpHeader::kMinBytes);
  store_be16(&tcp[TcpHeader::kChecksumOffset], 0);
  peer_says(filter::v4(filter::kProtocolTcp, kPeer, kOurs, tcp));
  EXPECT_EQ(drops(DropReason::filter_input), 1U);
  EXPECT_EQ(drops(DropReason::malformed_ipv4), 0U);
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

// A line that announces, and what was said in the same breath.
std::string lines(size_t bytes) {
  const std::string announcement = "PORT 10,0,0,2,4,210\r\n";
  return announcement + std::string(bytes - announcement.size() - 2, 'x') + "\r\n";
}

// Its sender is told what is short enough to grow, so that it gets through when it is sent again.
TEST_F(FtpClient, OneThatFillsItsPacketIsSentAgainInASmallerOne) {
  for (const uint16_t mtu : {uint16_t{1500}, uint16_t{1000}}) {
    if (mtu < 1500) ip_.learn_path_mtu(now_, kPeer, mtu);
    EXPECT_TRUE(we_say(said(kInside, 1008, 5000, lines(mtu - 40U))).bytes.empty());
    ASSERT_EQ(ip_.tcp_errors().view().size(), 1U);
    const TransportError error = ip_.tcp_errors().view().front();
    ip_.tcp_errors().clear();
    EXPECT_EQ(error.local, (Endpoint{IpAddress::v4(kOurs), 40000}));
    EXPECT_EQ(error.tcp_seq, 1008U);
    EXPECT_EQ(error.next_hop_mtu, mtu - filter::kMostGrowth);
    EXPECT_TRUE(error.own);
    const Seen seen = we_say(said(kInside, 1008, 5000, lines(error.next_hop_mtu - 40U)));
    EXPECT_EQ(seen.payload().size(), error.next_hop_mtu + 2U);
  }
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

TEST_F(FtpClientInMemory, ASuperFrameGrowsBecauseTheLinkCutsIt) {
  const Seen seen = we_say(said(kInside, 1008, 5000, lines(2920)), 1460);
  EXPECT_EQ(seen.payload().size(), 2920U + 40U + 2U);
  EXPECT_EQ(seen.marks.gso_size, 1460);
}

// A whole TCP above the rules. What we say goes on, though its first segment had no room to grow.
class FtpOverTcp : public FtpHooksTest {
 protected:
  void breathe_all() { breathe_with(component_, host_); }
  // The segments that left since.
  std::vector<std::pair<TcpHeader, std::string>> sent() {
    std::vector<std::pair<TcpHeader, std::string>> all;
    for (const Seen& seen : peer_receives()) {
      const ConstBytes tcp = seen.payload().subspan(Ipv4Header::kMinBytes);
      const auto header = TcpHeader::parse(tcp);
      EXPECT_TRUE(header);
      all.push_back({*header, {tcp.begin() + header->header_bytes, tcp.end()}});
    }
    return all;
  }
  void peer_answers(TcpHeader header) {
    Octets tcp(header.emitted_bytes());
    header.emit(tcp.data());
    peer_sends(ethernet_frame({kOurMac, kPeerMac, EtherType::kIpv4},
                              filter::v4(filter::kProtocolTcp, kPeer, kLong, tcp)));
    breathe_all();
  }

  tcp::Host host_{kOurs, {}};
  TcpComponent<Ip<LocalLink>> component_{ip_, host_.tcp};
};

TEST_F(FtpOverTcp, ALongAnnouncementDelaysNothing) {
  use(batch(table(), helper_object(helper_words()), chain("out", hook(filter::Hook::output)),
            nat_chain("post", filter::Hook::postrouting), rule("out", join(port_is(21), filter::help())),
            rule("post", nat(filter::kSnat, kLong))));
  const tcp::ConnectionId id = host_.open();
  ASSERT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(kPeer), 21}), 0);
  breathe_all();
  const auto syn = sent();
  ASSERT_EQ(syn.size(), 1U);
  TcpHeader answer{.source_port = 21, .destination_port = syn[0].first.source_port, .seq = 4999};
  answer.ack = syn[0].first.seq + 1;
  answer.window = 60000;
  answer.flags = kTcpSyn | kTcpAck;
  answer.options.has_mss = answer.options.sack_permitted = true;
  answer.options.mss = 1460;
  peer_answers(answer);
  host_.write(now_, id, "USER a\r\n");
  breathe_all();
  answer.flags = kTcpAck;
  answer.options = {};
  ++answer.seq;
  answer.ack += 8;
  peer_answers(answer);
  sent();

  host_.write(now_, id, lines(3 * 1460));
  std::string said;
  for (int breaths = 0; breaths < 3; ++breaths) {
    breathe_all();
    for (const auto& [header, text] : sent()) {
      const size_t at = header.seq - answer.ack;
      said.resize(std::max(said.size(), at + text.size()), '?');
      said.replace(at, text.size(), text);
    }
  }
  EXPECT_EQ(said, "PORT 10,0,0,200,4,210\r\n" + lines(3 * 1460).substr(21));
}

}  // namespace
}  // namespace skerry::stack
