// Urgent data as everybody has it: the pointer is to the byte after the urgent one (RFC 6093 section 3.2).
#include <gtest/gtest.h>

#include "tcp/peer.hpp"

namespace skerry::tcp {
namespace {

class UrgentData : public ::testing::Test {
 public:
  void start(const HostSettings& host_settings = {}) {
    host_.emplace(kOurAddress, host_settings);
    peer_.emplace(*host_);
    id_ = peer_->connect(now_, host_->listen(80)).value();
    host_->take_events();
  }
  void write_urgent(const std::string& text) {
    host_->write(now_, id_, text);
    EXPECT_TRUE(host_->tcp.urgent(id_, host_->sockets[id_].tx_written));
  }
  bool told() {
    host_->sockets[id_].events = 0;
    host_->take_events();
    return (host_->sockets[id_].events & kUrgent) != 0;
  }

  std::optional<Host> host_;
  std::optional<Peer> peer_;
  ConnectionId id_ = kNoConnection;
  TimeNs now_ = 10 * kSecond;
};

TEST_F(UrgentData, IsAnnouncedUntilItIsAcknowledged) {
  start();
  write_urgent("abc");
  auto sent = peer_->drain(now_);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].flags, kTcpAck | kTcpPsh | kTcpUrg);
  EXPECT_EQ(sent[0].urgent, 3);
  host_->write(now_, id_, "de");
  sent = peer_->drain(now_);
  ASSERT_EQ(sent.size(), 1u) << "Nagle does not hold back what goes with it";
  EXPECT_EQ(sent[0].flags, kTcpAck | kTcpPsh) << "it begins behind the urgent byte";
  peer_->send(now_, kTcpAck, 1, 6);
  write_urgent("f");
  peer_->drain(now_);
  peer_->send(now_, kTcpAck, 1, 7);
  host_->write(now_, id_, "g");
  sent = peer_->drain(now_);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].flags, kTcpAck | kTcpPsh);
  EXPECT_EQ(sent[0].urgent, 0);
}

TEST_F(UrgentData, EachSegmentBeforeItPointsToIt) {
  HostSettings settings;
  settings.super_frame = 60000;
  start(settings);
  write_urgent(std::string(3000, 'u'));
  auto sent = peer_->drain(now_);
  ASSERT_EQ(sent.size(), 3u);
  const auto point_to_it = [&] {
    for (const Sent& one : sent) {
      EXPECT_TRUE((one.flags & kTcpUrg) != 0);
      EXPECT_EQ(one.gso_size, 0);
      EXPECT_EQ(one.seq + one.urgent, 3001u);
    }
  };
  point_to_it();
  sent.clear();
  for (const auto& [when, one] : peer_->run(now_, now_ + kSecond)) sent.push_back(one);  // all of it was lost
  peer_->send(now_, kTcpAck, 1, 1 + 1460);
  for (const Sent& one : peer_->drain(now_)) sent.push_back(one);
  EXPECT_GE(sent.size(), 2u);
  point_to_it();
}

TEST_F(UrgentData, IsNotWhatWasNotWritten) {
  start();
  host_->write(now_, id_, "abc");
  EXPECT_FALSE(host_->tcp.urgent(id_, 4));
  EXPECT_EQ(peer_->drain(now_)[0].flags, kTcpAck | kTcpPsh);
}

TEST_F(UrgentData, OfThePeerIsToldWithItsPosition) {
  start();
  peer_->send_urgent(now_, 1, 1, 3, "abcd");
  EXPECT_TRUE(told());
  EXPECT_EQ(host_->tcp.urgent(id_).count, 1u);
  EXPECT_EQ(host_->tcp.urgent(id_).position, 2u);
  EXPECT_EQ(host_->read_text(now_, id_), "abcd") << "the byte stays in the stream";
}

TEST_F(UrgentData, OfThePeerIsToldBeforeItComes) {
  start();
  peer_->send_urgent(now_, 1, 1, 10);
  EXPECT_TRUE(told());
  EXPECT_EQ(host_->tcp.urgent(id_).position, 9u);
}

TEST_F(UrgentData, OfThePeerCountsOnlyIfItIsNewer) {
  start();
  peer_->send_urgent(now_, 1, 1, 5, "abcde");
  EXPECT_TRUE(told());
  peer_->send_urgent(now_, 6, 1, 0, "f");  // a pointer of 0 means the byte itself
  EXPECT_TRUE(told());
  EXPECT_EQ(host_->tcp.urgent(id_).position, 5u);
  peer_->send_urgent(now_, 1, 1, 5, "abcde");
  EXPECT_FALSE(told());
  EXPECT_EQ(host_->tcp.urgent(id_).count, 2u);
}

}  // namespace
}  // namespace skerry::tcp
