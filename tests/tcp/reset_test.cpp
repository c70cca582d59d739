// Resets, ours and the peer's: on unread data (RFC 2525 section 2.17), on an abort, and in each state.
#include <gtest/gtest.h>

#include <cerrno>

#include "tcp/close.hpp"

namespace skerry::tcp {
namespace {

class Reset : public Close {};

TEST_F(Reset, UnreadDataMeansReset) {  // RFC 2525 section 2.17
  start();
  peer_->send(now_, kTcpAck, 1, 1, "unread");
  host_->tcp.close(now_, id_, false);
  const Sent reset = one();
  EXPECT_EQ(reset.flags, kTcpRst | kTcpAck);
  EXPECT_EQ(reset.seq, 1u);
  EXPECT_EQ(events(), uint32_t{kGone});
  EXPECT_EQ(host_->tcp.deadline(), kNever);
}

TEST_F(Reset, AbortMeansReset) {  // linger 0
  start();
  host_->tcp.close(now_, id_, true);
  EXPECT_EQ(one().flags, kTcpRst | kTcpAck);
  EXPECT_EQ(events(), uint32_t{kGone});
}

// Linux: send() puts on the wire what the windows allow, and only then can close() discard the rest.
TEST_F(Reset, AnAbortComesBehindWhatTheWindowsAllow) {
  start();
  peer_->window = 2920;
  peer_->send(now_, kTcpAck, 1, 1);
  host_->write(now_, id_, std::string(5000, 'x'));
  host_->tcp.close(now_, id_, true);
  EXPECT_EQ(host_->ids.allocated(), 2u) << "what was written is still in the ring";
  const auto sent = peer_->drain(now_);
  ASSERT_EQ(sent.size(), 3u);
  EXPECT_EQ(sent[0].payload.size() + sent[1].payload.size(), 2920u);
  EXPECT_EQ(sent[2].flags, kTcpRst | kTcpAck);
  EXPECT_EQ(sent[2].seq, 2921u);
  EXPECT_EQ(events(), uint32_t{kGone});
  EXPECT_EQ(host_->ids.allocated(), 1u);
  EXPECT_TRUE(peer_->drain(now_).empty());
}

TEST_F(Reset, UnreadDataResetsBehindWhatWasWritten) {
  start();
  peer_->send(now_, kTcpAck | kTcpPsh, 1, 1, "unread");
  host_->take_events();
  host_->write(now_, id_, "answer");
  host_->tcp.shutdown_write(now_, id_);
  host_->tcp.close(now_, id_, false);
  const auto sent = peer_->drain(now_);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].payload, "answer");
  EXPECT_TRUE((sent[0].flags & kTcpFin) != 0);
  EXPECT_EQ(sent[1].flags, kTcpRst | kTcpAck);
}

TEST_F(Reset, WhatComesWhileAnAbortWaitsForTheLinkTakesNothingBack) {
  start();
  host_->write(now_, id_, "last words");
  host_->tcp.close(now_, id_, true);
  peer_->send(now_, kTcpAck | kTcpPsh, 1, 1, "more");
  const auto sent = peer_->drain(now_);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].payload, "last words");
  EXPECT_EQ(sent[1].flags, kTcpRst | kTcpAck);
  EXPECT_EQ(events(), uint32_t{kGone});
  EXPECT_EQ(host_->ids.allocated(), 1u);
}

TEST_F(Reset, DataAfterCloseMeansReset) {  // RFC 9293 section 3.6.1
  start();
  host_->tcp.close(now_, id_, false);
  one();
  peer_->send(now_, kTcpAck, 1, 2, "nobody reads this");
  EXPECT_EQ(one().flags, kTcpRst | kTcpAck);
  EXPECT_EQ(events(), uint32_t{kGone});
}

TEST_F(Reset, ResetsEndEachState) {
  struct Row {
    const char* name;
    void (*reach)(Close&);
  };
  const Row rows[] = {
      {"established", [](Close&) {}},
      {"fin_wait_1", [](Close& t) { t.host_->tcp.shutdown_write(t.now_, t.id_); }},
      {"fin_wait_2",
       [](Close& t) {
         t.host_->tcp.shutdown_write(t.now_, t.id_);
         t.peer_->drain(t.now_);
         t.peer_->send(t.now_, kTcpAck, 1, 2);
       }},
  };
  for (const Row& row : rows) {
    start();
    row.reach(*this);
    peer_->drain(now_);
    peer_->send(now_, kTcpRst, 1, 0);
    EXPECT_EQ(host_->tcp.state(id_), State::closed) << row.name;
    EXPECT_EQ(host_->tcp.error(id_), ECONNRESET) << row.name;
    EXPECT_TRUE(events() & kFailed) << row.name;
    EXPECT_TRUE(peer_->drain(now_).empty()) << row.name;
    host_->tcp.close(now_, id_, false);
    EXPECT_EQ(events(), uint32_t{kGone}) << row.name;
  }
  for (const bool both : {false, true}) {  // CLOSE-WAIT, CLOSING
    start();
    if (both) host_->tcp.shutdown_write(now_, id_);
    peer_->drain(now_);
    peer_->send(now_, kTcpFin | kTcpAck, 1, 1);
    peer_->drain(now_);
    EXPECT_EQ(host_->tcp.state(id_), both ? State::closing : State::close_wait);
    peer_->send(now_, kTcpRst, 2, 0);
    EXPECT_EQ(host_->tcp.error(id_), ECONNRESET);
  }
}

TEST_F(Reset, WhatArrivedBeforeAResetCanBeRead) {
  start();
  peer_->send(now_, kTcpAck, 1, 1, "last words");
  peer_->send(now_, kTcpRst, 11, 0);
  EXPECT_EQ(host_->read_text(now_, id_), "last words");
}

}  // namespace
}  // namespace skerry::tcp
