// Who sends when: what a program with datagrams to send can ask of one breath, and what happens when nothing
// can be sent.
#include "sockets/datagram_component.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "one_stack.hpp"

namespace skerry::sockets {
namespace {

// Takes what it is given, or nothing from the socket that is `stuck`.
struct Outlet {
  int send(TimeNs, uint32_t socket, const Endpoint&, const IpAddress&, const stack::DatagramRules&,
           ConstBytes, ConstBytes) {
    if (socket == stuck) return EAGAIN;
    sent.push_back(socket);
    if (on_send) on_send(socket);
    return error;
  }
  uint32_t stuck = kNoSocket;
  int error = 0;
  std::vector<uint32_t> sent;
  std::function<void(uint32_t)> on_send;
};

class DatagramComponentTest : public ::testing::Test {
 protected:
  // The program puts so many empty datagrams into the ring.
  void put(uint32_t socket, uint32_t count) {
    SessionView& view = stack_.view();
    std::atomic<uint32_t>& written = view.in(socket).tx_written;
    for (; count > 0; --count) {
      const DatagramHeader header;
      for (uint32_t i = 0; i < sizeof header; ++i) {
        view.tx(socket)[(written.load() + i) % OneStack::kSize.stream_bytes] =
            reinterpret_cast<const uint8_t*>(&header)[i];
      }
      written.store(written.load() + datagram_bytes(0));
    }
    stack_.note_of(socket);
  }
  uint32_t breathe() {
    now_ += 10 * kMicrosecond;
    stack_.server().tx(now_);
    return component_.tx(now_);
  }

  OneStack stack_;
  Outlet outlet_;
  DatagramComponent<Outlet> component_{stack_.server(), outlet_};
  const uint32_t one_ = stack_.open(false), two_ = stack_.open(false);
  TimeNs now_ = 10 * kSecond;
};

TEST_F(DatagramComponentTest, WhatCannotBeSentIsTriedAgainAfterAWhile) {
  put(one_, 3);
  outlet_.stuck = one_;
  EXPECT_EQ(breathe(), 0u);
  EXPECT_EQ(component_.deadline(), now_ + kMillisecond);
  EXPECT_GT(stack_.server().deadline(), now_) << "nobody breathes without end for it";
  now_ += kMillisecond;
  outlet_.stuck = kNoSocket;
  EXPECT_EQ(breathe(), 3u);
  EXPECT_EQ(component_.deadline(), kNever);
}

TEST_F(DatagramComponentTest, AProgramThatKeepsWritingDoesNotHoldTheBreath) {
  outlet_.on_send = [this](uint32_t socket) {
    if (outlet_.sent.size() < 100'000) put(socket, 1);
  };
  put(one_, 1);
  const uint32_t work = breathe();
  EXPECT_GT(work, 0u);
  EXPECT_LE(work, 256u);
  EXPECT_GT(breathe(), 0u) << "the rest goes in the next breath";
}

// Whom a server sends to next is not the one whose datagram a rule refused.
TEST_F(DatagramComponentTest, WhatARuleRefusesIsAnErrorOfAConnectedSocketOnly) {
  Endpoint peer{IpAddress::v4(kLoopback), 7};
  ASSERT_EQ(stack_.call(Op::connect, two_, &peer), 0);
  outlet_.error = EPERM;
  put(one_, 1);
  put(two_, 1);
  EXPECT_EQ(breathe(), 2u);
  EXPECT_EQ(stack_.view().out(one_).error.load(), 0);
  EXPECT_EQ(stack_.view().out(two_).error.load(), EPERM);
  outlet_.error = ENETUNREACH;
  put(one_, 1);
  breathe();
  EXPECT_EQ(stack_.view().out(one_).error.load(), ENETUNREACH);
}

TEST_F(DatagramComponentTest, SocketsTakeTurns) {
  put(one_, 100);
  put(two_, 100);
  while (breathe() > 0) {
  }
  ASSERT_EQ(outlet_.sent.size(), 200u);
  uint32_t run = 0, longest = 0;
  for (size_t i = 0; i < 128; ++i) {
    run = i > 0 && outlet_.sent[i] == outlet_.sent[i - 1] ? run + 1 : 1;
    longest = std::max(longest, run);
  }
  EXPECT_LE(longest, 32u);
}

TEST_F(DatagramComponentTest, OneThatCannotSendDoesNotStopTheOthers) {
  for (const uint32_t stuck : {one_, two_}) {
    put(one_, 50);
    put(two_, 50);
    outlet_.stuck = stuck;
    outlet_.sent.clear();
    EXPECT_EQ(breathe(), 50u);
    EXPECT_EQ(component_.deadline(), now_ + kMillisecond);
    outlet_.stuck = kNoSocket;
    EXPECT_EQ(breathe(), 50u);
  }
}

}  // namespace
}  // namespace skerry::sockets
