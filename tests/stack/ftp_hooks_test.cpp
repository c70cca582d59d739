// Announcements that pass a stack: those that are longer than what rules look at, and those that become
// longer on their way. Whether they have room to is for ftp_room_test.cpp.
#include "stack/ftp_hooks_world.hpp"
#include "wire/tcp.hpp"

namespace skerry::stack {
namespace {

using filter::counter;
using filter::Ends;
using filter::join;
using filter::kAck;
using filter::kSyn;
using filter::Octets;
using filter::port_is;
using filter::rule;
using filter::said;
using filter::segment;
using filter::state_is;

TEST_F(FtpHooksTest, AnAnnouncementIsReadToItsEnd) {
  const auto output = filter::hook(static_cast<uint32_t>(filter::Hook::output));
  use(ftp_rules(filter::Hook::prerouting,
                join(rule("c", join(state_is(filter::kRelated), counter())), filter::chain("out", output),
                     rule("out", join(state_is(filter::kRelated), counter())))));
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
class FtpServerElsewhere : public FtpHooksTest {
 protected:
  FtpServerElsewhere() {
    use(ftp_rules(filter::Hook::output, join(filter::nat_chain("dst", filter::Hook::output),
                                             rule("dst", filter::nat(filter::kDnat, kPeer)))));
    const Ends inside{kOurs, kLong, 40000, 21};
    we_say(segment(inside, kSyn, 999));
    peer_says(segment(kAnswers, kSyn | kAck, 4999, 1000));
    we_say(said(inside, 1000, 5000, "PASV\r\n"));
    peer_says(said(kAnswers, 5000, 1006, "220 hi\r\n"));
    peer_says(said(kAnswers, 5008, 1006, kAnnouncement));
    EXPECT_EQ(last_heard().second, "227 (10,0,0,200,4,210)\r\n");
  }
  void announce_in_a_damaged_segment() {
    const Octets whole = said(kAnswers, 5030, 1006, "xxxx" + kAnnouncement);
    Octets tcp(whole.begin() + Ipv4Header::kMinBytes, whole.end());
    tcp[12] = 6 << 4;
    const uint8_t damaged[] = {5, 200, 0, 0};
    std::copy(std::begin(damaged), std::end(damaged), tcp.begin() + TcpHeader::kMinBytes);
    store_be16(&tcp[TcpHeader::kChecksumOffset], 0);
    peer_says(filter::v4(filter::kProtocolTcp, kPeer, kOurs, tcp));
  }

  static constexpr Ends kAnswers{kPeer, kOurs, 21, 40000};
  const std::string kAnnouncement = "227 (10,0,0,1,4,210)\r\n";
};

TEST_F(FtpServerElsewhere, WhatIsRefusedAfterItHasGrownIsAsItCame) {
  announce_in_a_damaged_segment();
  EXPECT_EQ(drops(DropReason::filter_input), 1U);
  EXPECT_EQ(drops(DropReason::malformed_ipv4), 0U);
}

// The connection was translated when it began, and stays so.
TEST_F(FtpServerElsewhere, AlsoWhereRulesTranslateNothingAnyMore) {
  use(ftp_rules(filter::Hook::prerouting, {}));
  announce_in_a_damaged_segment();
  EXPECT_EQ(drops(DropReason::filter_input), 1U);
  EXPECT_EQ(drops(DropReason::malformed_ipv4), 0U);
}

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

TEST_F(FtpClientInMemory, AChecksumThatIsUnfinishedStaysSo) {
  const Seen seen = we_say(said(kInside, 1008, 5000, kBefore));
  const Octets packet(seen.payload().begin(), seen.payload().end());
  EXPECT_EQ(std::string(packet.begin() + 40, packet.end()), kBehind);
  EXPECT_TRUE((seen.marks.flags & kChecksumNeeded) != 0);
  EXPECT_EQ(load_be16(&packet[36]), filter::sum_of({}, filter::pseudo_header(packet)));
}

}  // namespace
}  // namespace skerry::stack
