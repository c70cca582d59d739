// Room for announcements that become longer on their way through a stack, and what becomes of one that has
// none.
#include "filter/announcement.hpp"
#include "stack/ftp_hooks_world.hpp"
#include "stack/tcp_component.hpp"
#include "tcp/host.hpp"
#include "wire/tcp.hpp"

namespace skerry::stack {
namespace {

using filter::Ends;
using filter::kAck;
using filter::kSyn;
using filter::Octets;
using filter::said;
using filter::segment;

// A line that announces, and what was said in the same breath.
std::string lines(size_t bytes) {
  const std::string announcement = "PORT 10,0,0,2,4,210\r\n";
  return announcement + std::string(bytes - announcement.size() - 2, 'x') + "\r\n";
}

class FtpRoom : public FtpClient {
 protected:
  // One that fills a packet of `mtu` bytes between these ends is not sent, and its sender told what is short
  // enough to grow, so that it gets through when it is sent again.
  void expect_sent_again_in_a_smaller_one(const Ends& ends, uint16_t mtu) {
    EXPECT_TRUE(we_say(said(ends, 1008, 5000, lines(mtu - 40U))).bytes.empty());
    ASSERT_EQ(ip_.tcp_errors().view().size(), 1U);
    const TransportError error = ip_.tcp_errors().view().front();
    ip_.tcp_errors().clear();
    EXPECT_EQ(error.local, (Endpoint{IpAddress::v4(ends.from), ends.from_port}));
    EXPECT_EQ(error.remote, (Endpoint{IpAddress::v4(ends.to), ends.to_port}));
    EXPECT_EQ(error.tcp_seq, 1008U);
    EXPECT_EQ(error.next_hop_mtu, mtu - filter::kMostGrowth);
    EXPECT_TRUE(error.own);
    const Seen seen = we_say(said(ends, 1008, 5000, lines(error.next_hop_mtu - 40U)));
    EXPECT_EQ(seen.payload().size(), error.next_hop_mtu + 2U);
  }
};

TEST_F(FtpRoom, OneThatFillsItsPacketIsSentAgainInASmallerOne) {
  expect_sent_again_in_a_smaller_one(kInside, 1500);
  ip_.learn_path_mtu(now_, kPeer, 1000);
  expect_sent_again_in_a_smaller_one(kInside, 1000);
}

// It is to loop, and has the room of what loops, until rules lead it to the link.
TEST_F(FtpRoom, AlsoOneThatRulesLeadFromTheLoopbackToTheLink) {
  const Octets to_us = filter::join(filter::payload(1, 16, 4), filter::cmp(0, filter::be32(kOurs)));
  use(ftp_rules(filter::Hook::output,
                filter::join(filter::nat_chain("dst", filter::Hook::output),
                             filter::rule("dst", filter::join(to_us, filter::nat(filter::kDnat, kPeer))),
                             behind_long())));
  const Ends inside{kOurs, kOurs, 40001, 21}, outside{kPeer, kLong, 21, 40001};
  we_say(segment(inside, kSyn, 999));
  peer_says(segment(outside, kSyn | kAck, 4999, 1000));
  ASSERT_FALSE(we_say(said(inside, 1000, 5000, "USER a\r\n")).bytes.empty());
  expect_sent_again_in_a_smaller_one(inside, 1500);
  ip_.learn_path_mtu(now_, kOurs, 1000);
  expect_sent_again_in_a_smaller_one(inside, 1000);
}

// It takes a look at what is known of the path.
TEST_F(FtpRoom, IsAskedOfPacketsAloneWhoseLinesAreRead) {
  const auto asked = [&](const Ends& ends) {
    int times = 0;
    Octets packet = said(ends, 1008, 5000, "NOOP\r\n");
    const auto room = [&](bool) {
      ++times;
      return size_t{99};
    };
    EXPECT_TRUE(ip_.filter().passes_out(packet, {.room = std::ref(room)}, now_));
    return times;
  };
  EXPECT_EQ(asked(kInside), 1);
  EXPECT_EQ(asked({kOurs, kPeer, 40000, 80}), 0);
}

TEST_F(FtpClientInMemory, ASuperFrameGrowsBecauseTheLinkCutsIt) {
  const Seen seen = we_say(said(kInside, 1008, 5000, lines(2920)), 1460);
  EXPECT_EQ(seen.payload().size(), 2920U + 40U + 2U);
  EXPECT_EQ(seen.marks.gso_size, 1460);
}

// Also one that is no longer than a packet, and lies in a frame for those.
TEST_F(FtpClientInMemory, AShortSuperFrameGrowsToo) {
  for (const size_t bytes : {1459U, 1460U}) {
    const Seen seen = we_say(said(kInside, 1008, 5000, lines(bytes)), 1000);
    EXPECT_EQ(seen.payload().size(), bytes + 40U + 2U);
  }
}

// A whole TCP above the rules. What we say goes on, though its first segment had no room to grow.
class FtpOverTcp : public FtpHooksTest {
 protected:
  // A connection that says so much goes on, over a path that takes `mtu` bytes.
  void expect_said(uint16_t mtu);

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

void FtpOverTcp::expect_said(uint16_t mtu) {
  const std::string text = lines(3 * (mtu - 40U));
  ip_.learn_path_mtu(now_, kPeer, mtu);
  use(ftp_rules(filter::Hook::output, behind_long()));
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

  host_.write(now_, id, text);
  std::string said;
  for (int breaths = 0; breaths < 3; ++breaths) {
    breathe_all();
    for (const auto& [header, text] : sent()) {
      const size_t at = header.seq - answer.ack;
      said.resize(std::max(said.size(), at + text.size()), '?');
      said.replace(at, text.size(), text);
    }
  }
  EXPECT_EQ(said, "PORT 10,0,0,200,4,210\r\n" + text.substr(21));
}

TEST_F(FtpOverTcp, ALongAnnouncementDelaysNothing) {
  expect_said(1500);
}

// What it is told then is less than a stranger would be believed.
TEST_F(FtpOverTcp, NorDoesOneOnAPathThatTakesLittle) {
  expect_said(560);
}

}  // namespace
}  // namespace skerry::stack
