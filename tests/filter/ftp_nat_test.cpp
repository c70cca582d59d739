// Announcements of connections that are translated: written anew, with sequence numbers to match, and what
// they announce is translated too.
#include "filter/ftp_world.hpp"
#include "filter/sequence_shift.hpp"

namespace skerry::filter {
namespace {

constexpr uint32_t kLong = 0x0a0000c8;  // 10.0.0.200, which is longer to write than 10.0.0.1
constexpr size_t kHeaders = 40;

std::string payload_of(const std::optional<Octets>& packet) {
  if (!packet) return "dropped";
  EXPECT_TRUE(intact(*packet));
  EXPECT_EQ(load_be16(&(*packet)[2]), packet->size());
  return {packet->begin() + 20 + ((*packet)[32] >> 4) * 4, packet->end()};
}
uint32_t seq_of(const std::optional<Octets>& packet) {
  return packet ? load_be32(&(*packet)[24]) : 0;
}
uint32_t ack_of(const std::optional<Octets>& packet) {
  return packet ? load_be32(&(*packet)[28]) : 0;
}
Octets with_sack(const Ends& ends, uint32_t seq, uint32_t ack, uint32_t left, uint32_t right) {
  Octets whole = segment(ends, kAck, seq, ack);
  Octets tcp(whole.begin() + 20, whole.end());
  tcp[12] = 8 << 4;
  store_be16(&tcp[16], 0);
  return v4(kProtocolTcp, ends.from, ends.to,
            join(tcp, Octets{1, 5, 10}, be32(left), be32(right), Octets{1}));
}

// A client here that seems to be another outside.
class FtpBehindSnat : public FtpTest {
 protected:
  FtpBehindSnat() {
    use(batch(table(), helper_object(helper_words()), chain("out", hook(static_cast<uint32_t>(Hook::output))),
              nat_chain("post", Hook::postrouting), rule("out", join(port_is(21), help())),
              rule("post", nat(kSnat, kLong))));
    EXPECT_TRUE(leaves(segment(kInside, kSyn, 999)));
    EXPECT_TRUE(comes(segment(kOutside, kSyn | kAck, 4999, 1000)));
    EXPECT_TRUE(leaves(segment(kInside, kAck, 1000, 5000)));
    EXPECT_TRUE(comes(said(kOutside, 5000, 1000, "220 hi\r\n")));
    EXPECT_TRUE(leaves(said(kInside, 1000, 5008, "USER a\r\n")));
  }
  std::optional<Octets> announce(const std::string& text = "PORT 10,0,0,1,4,210\r\n") {
    return leaves(said(kInside, 1008, 5008, text));
  }

  static constexpr Ends kInside{kHost, kPeer, 40000, 21}, kOutside{kPeer, kLong, 21, 40000};
};

TEST_F(FtpBehindSnat, AnAnnouncementIsWrittenAnew) {
  const auto left = announce();
  EXPECT_EQ(payload_of(left), "PORT 10,0,0,200,4,210\r\n");
  EXPECT_EQ(seq_of(left), 1008U) << "what comes before it is as long as it was";
  EXPECT_EQ(announce(), left) << "sent again it is the same";
}

TEST_F(FtpBehindSnat, InEachOfItsForms) {
  EXPECT_EQ(payload_of(announce("EPRT |1|10.0.0.1|1234|\r\n")), "EPRT |1|10.0.0.200|1234|\r\n");
}

TEST_F(FtpBehindSnat, WhatIsAnnouncedLeadsToWhoAnnouncedIt) {
  announce();
  const auto came = comes(segment({kPeer, kLong, 20, 1234}, kSyn));
  EXPECT_EQ(packet_.tracked.state, CtState::related);
  EXPECT_EQ(to(came), (Ends{kPeer, kHost, 20, 1234}));
  const auto answer = leaves(segment({kHost, kPeer, 1234, 20}, kSyn | kAck, 7, 101));
  EXPECT_EQ(packet_.tracked.state, CtState::established);
  EXPECT_EQ(to(answer), (Ends{kLong, kPeer, 1234, 20}));
}

TEST_F(FtpBehindSnat, WhatFollowsHasOtherNumbersOutside) {
  announce();
  const auto acked = comes(said(kOutside, 5008, 1031, "200 ok\r\n"));
  EXPECT_EQ(packet_.tracked.state, CtState::established);
  EXPECT_EQ(ack_of(acked), 1029U);
  EXPECT_EQ(payload_of(acked), "200 ok\r\n");
  const auto next = leaves(said(kInside, 1029, 5016, "LIST\r\n"));
  EXPECT_EQ(seq_of(next), 1031U);
  EXPECT_EQ(ack_of(next), 5016U);
  EXPECT_EQ(payload_of(next), "LIST\r\n");
}

TEST_F(FtpBehindSnat, BlocksThatAreAcknowledgedAheadTooHaveOthers) {
  announce();
  leaves(said(kInside, 1029, 5008, "LIST\r\n"));
  const auto came = comes(with_sack(kOutside, 5008, 1008, 1031, 1037));
  ASSERT_TRUE(came);
  EXPECT_TRUE(intact(*came));
  EXPECT_EQ(ack_of(came), 1008U) << "of what comes before the announcement";
  EXPECT_EQ(load_be32(&(*came)[kHeaders + 3]), 1029U);
  EXPECT_EQ(load_be32(&(*came)[kHeaders + 7]), 1035U);
}

TEST_F(FtpBehindSnat, SeveralAddUp) {
  announce();
  comes(said(kOutside, 5008, 1031, "200 ok\r\n"));
  EXPECT_EQ(payload_of(leaves(said(kInside, 1029, 5016, "PORT 10,0,0,1,4,211\r\n"))),
            "PORT 10,0,0,200,4,211\r\n");
  const auto acked = comes(said(kOutside, 5016, 1054, "200 ok\r\n"));
  EXPECT_EQ(ack_of(acked), 1050U);
  EXPECT_EQ(packet_.tracked.state, CtState::established);
  EXPECT_EQ(seq_of(leaves(said(kInside, 1050, 5024, "LIST\r\n"))), 1054U);
}

TEST_F(FtpBehindSnat, WithoutRoomItIsDropped) {
  room_ = 1;
  EXPECT_FALSE(announce());
  EXPECT_EQ(judgement_.chain, kAnnouncement);
  room_ = 64;
  comes(segment({kPeer, kLong, 20, 1234}, kSyn));
  EXPECT_NE(packet_.tracked.state, CtState::related) << "nobody has heard of it";
}

TEST_F(FtpBehindSnat, APortThatIsTakenIsAnotherOutside) {
  announce();
  const Ends second{kAlso, kPeer, 40001, 21}, outside{kPeer, kLong, 21, 40001};
  EXPECT_TRUE(leaves(segment(second, kSyn, 999)));
  EXPECT_TRUE(comes(segment(outside, kSyn | kAck, 4999, 1000)));
  EXPECT_TRUE(leaves(said(second, 1000, 5000, "USER b\r\n")));
  const std::string text = payload_of(leaves(said(second, 1008, 5000, "PORT 10,0,0,5,4,210\r\n")));
  EXPECT_EQ(text.substr(0, 16), "PORT 10,0,0,200,");
  EXPECT_NE(text, "PORT 10,0,0,200,4,210\r\n");
  const int above = std::stoi(text.substr(16)), below = std::stoi(text.substr(text.rfind(',') + 1));
  comes(segment({kPeer, kLong, 20, static_cast<uint16_t>(above * 256 + below)}, kSyn));
  EXPECT_EQ(packet_.tracked.state, CtState::related);
  const auto came = comes(segment({kPeer, kLong, 20, 1234}, kSyn));
  EXPECT_EQ(to(came), (Ends{kPeer, kHost, 20, 1234}));
}

TEST_F(FtpBehindSnat, AChecksumThatIsUnfinishedStaysSo) {
  Octets whole = said(kInside, 1008, 5008, "PORT 10,0,0,1,4,210\r\n");
  const auto pseudo = [](const Octets& packet) { return sum_of({}, pseudo_header(packet)); };
  store_be16(&whole[36], pseudo(whole));
  const auto left = pass(whole, true, true);
  ASSERT_TRUE(left);
  EXPECT_EQ(load_be16(&(*left)[36]), pseudo(*left));
}

// A server here that is reached by another address and port.
class FtpBehindDnat : public FtpTest {
 protected:
  FtpBehindDnat() {
    use(batch(table(), helper_object(helper_words()), chain("pre", hook(0, -150)),
              nat_chain("dnat", Hook::prerouting), rule("pre", join(port_is(2121), help())),
              rule("dnat", join(port_is(2121), nat(kDnat, kAlso, 21)))));
    EXPECT_TRUE(comes(segment(kOutside, kSyn, 999)));
    EXPECT_TRUE(leaves(segment(kInside, kSyn | kAck, 4999, 1000)));
    EXPECT_TRUE(leaves(said(kInside, 5000, 1000, "220 hi\r\n")));
  }
  static constexpr Ends kOutside{kPeer, kHost, 40000, 2121}, kInside{kAlso, kPeer, 21, 40000};
};

TEST_F(FtpBehindDnat, AServerIsWhereItsClientsSeeIt) {
  EXPECT_EQ(payload_of(leaves(said(kInside, 5008, 1000, "227 here (10,0,0,5,4,210)\r\n"))),
            "227 here (10,0,0,1,4,210)\r\n");
  EXPECT_EQ(to(comes(segment({kPeer, kHost, 50000, 1234}, kSyn))), (Ends{kPeer, kAlso, 50000, 1234}));
  EXPECT_EQ(packet_.tracked.state, CtState::related);
  EXPECT_EQ(payload_of(leaves(said(kInside, 5035, 1000, "229 here (!!!1235!)\r\n"))),
            "229 here (|||1235|)\r\n");
  EXPECT_EQ(to(comes(segment({kPeer, kHost, 50001, 1235}, kSyn))), (Ends{kPeer, kAlso, 50001, 1235}));
}

TEST(SequenceShift, IsThatOfBothSidesOfTheLastChange) {
  SequenceShift shift{};
  EXPECT_EQ(shift.at(5), 0U);
  shift.add(100, 3);
  EXPECT_EQ(shift.at(100), 0U);
  EXPECT_EQ(shift.at(101), 3U);
  EXPECT_EQ(shift.in(100), 0U);
  EXPECT_EQ(shift.in(104), 3U);
  shift.add(100, 3);
  EXPECT_EQ(shift.at(101), 3U) << "sent again";
  shift.add(200, static_cast<uint32_t>(-5));
  EXPECT_EQ(shift.at(200), 3U);
  EXPECT_EQ(shift.at(201), static_cast<uint32_t>(-2));
  EXPECT_EQ(shift.in(203), 3U);
  shift.add(150, 9);
  EXPECT_EQ(shift.at(201), static_cast<uint32_t>(-2)) << "older than the last";
}

TEST(SequenceShift, DamagedOptionsAreRefused) {
  const SequenceShift none{};
  for (const Octets& options : {Octets{5, 0, 0, 0}, Octets{5, 9, 0, 0}, Octets{1, 1, 1, 5}}) {
    Octets tcp = join(Octets(20), options);
    tcp[12] = 6 << 4;
    tcp[13] = kAck;
    EXPECT_FALSE(shift_segment(tcp, none, none, true));
  }
  Octets cut(20);
  cut[12] = 6 << 4;
  cut[13] = kAck;
  EXPECT_FALSE(shift_segment(cut, none, none, true));
}

}  // namespace
}  // namespace skerry::filter
