// How long an ACK waits for something to travel with: for the program to read while no answers come, for an
// answer where they do (Linux tcp_cleanup_rbuf, inet_csk_in_pingpong_mode).
#include <gtest/gtest.h>

#include "tcp/peer.hpp"

namespace skerry::tcp {
namespace {

class AckDelay : public ::testing::Test {
 protected:
  // What the peer has to say for now.
  void says(const std::string& text) {
    peer_.send(now_, kTcpAck | kTcpPsh, seq_, ack_, text);
    seq_ += static_cast<uint32_t>(text.size());
  }
  void is_answered(const std::string& text) {
    host_.write(now_, id_, text);
    const std::vector<Sent> sent = peer_.drain(now_);
    ASSERT_EQ(sent.size(), 1u) << "no ACK goes beside it";
    EXPECT_EQ(sent[0].payload, text);
    EXPECT_EQ(sent[0].ack, seq_);
    ack_ += static_cast<uint32_t>(text.size());
  }
  size_t acks() {
    const std::vector<Sent> sent = peer_.drain(now_);
    for (const Sent& each : sent) {
      EXPECT_TRUE(each.is_bare_ack());
      EXPECT_EQ(each.ack, seq_);
    }
    return sent.size();
  }
  std::string read() { return host_.read_text(now_, id_); }

  Host host_{kOurAddress, {}};
  Peer peer_{host_};
  TimeNs now_ = 10 * kSecond;
  ConnectionId id_ = peer_.connect(now_, host_.listen(80)).value();
  uint32_t seq_ = 1, ack_ = 1;
};

TEST_F(AckDelay, WhatWasPushedIsAcknowledgedOnceAllOfItIsRead) {
  for (int i = 0; i < 20; ++i) {
    says("piece");
    EXPECT_EQ(acks(), 0u);
    host_.read(now_, id_, 4);
    EXPECT_EQ(acks(), 0u) << "there is more to read";
    EXPECT_EQ(read(), "e");
    EXPECT_EQ(acks(), 1u) << "the peer may have more behind it (RFC 896)";
  }
  EXPECT_TRUE(peer_.run(now_, now_ + kSecond).empty());
}

TEST_F(AckDelay, TcpAsksToHearOfThatRead) {
  const uint32_t step = host_.tcp.receive_buffer(id_) / 4;
  EXPECT_EQ(host_.tcp.tell_at(id_), step);
  says("piece");
  EXPECT_EQ(host_.tcp.tell_at(id_), 5u);
  read();
  EXPECT_EQ(host_.tcp.tell_at(id_), 5 + step);
}

TEST_F(AckDelay, TheWindowStillMattersWhereMuchIsNotRead) {
  peer_.send(now_, kTcpAck, seq_, ack_, std::string(40000, 'x'));
  seq_ += 40000;
  EXPECT_EQ(acks(), 1u);
  says("piece");
  EXPECT_EQ(host_.tcp.tell_at(id_), host_.tcp.receive_buffer(id_) / 4);
}

TEST_F(AckDelay, HalfOfASegmentThatIsNotTheLastWaits) {
  peer_.send(now_, kTcpAck, seq_, ack_, "there is more behind it");
  seq_ += 23;
  read();
  EXPECT_EQ(acks(), 0u);
  EXPECT_EQ(peer_.run(now_, now_ + kSecond).size(), 1u);
}

TEST_F(AckDelay, WhereAnswersComeTheyCarryTheAcks) {
  for (int i = 0; i < 20; ++i) {
    now_ += kSecond;
    says("ping");
    read();
    if (i > 0) {
      EXPECT_EQ(acks(), 0u);
      EXPECT_GT(host_.tcp.tell_at(id_), seq_) << "nor need TCP hear of it";
    }
    now_ += 10 * ms;
    is_answered("pong");
  }
}

TEST_F(AckDelay, AnswersThatStayAwayAreWaitedForOnce) {
  says("ping");
  read();
  is_answered("pong");
  says("one");
  read();
  const auto sent = peer_.run(now_, now_ + kSecond);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].second.ack, seq_);
  for (int i = 0; i < 5; ++i) {
    says("more");
    read();
    EXPECT_EQ(acks(), 1u);
  }
}

// What our program says of its own accord answers nothing.
TEST_F(AckDelay, WhatComesLateIsNoAnswer) {
  says("ping");
  read();
  EXPECT_EQ(acks(), 1u);
  now_ += 100 * ms;
  is_answered("pong");
  says("ping");
  read();
  EXPECT_EQ(acks(), 1u);
}

TEST_F(AckDelay, WhoHasClosedItsOwnDirectionReadsOn) {
  says("piece");
  read();
  EXPECT_EQ(acks(), 1u);
  host_.tcp.shutdown_write(now_, id_);
  EXPECT_EQ(peer_.drain(now_).size(), 1u);
  ack_ = 2;
  for (int i = 0; i < 5; ++i) {
    says("piece");
    read();
    EXPECT_EQ(acks(), 1u);
  }
}

}  // namespace
}  // namespace skerry::tcp
