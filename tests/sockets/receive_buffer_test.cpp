// SO_RCVBUF. Of a stream, below a quarter of the ring: the stack must hear of reading more often, or the
// window stays closed.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>

#include "one_stack.hpp"

namespace skerry::sockets {
namespace {

// What a program that only reads gets of a stream eight windows long, or where it stalls.
class SmallReceiveBuffer : public ::testing::Test {
 protected:
  static constexpr uint32_t kBuffer = OneStack::kSize.stream_bytes / 8;
  static constexpr uint32_t kTotal = 8 * kBuffer;

  size_t carried(uint32_t from, uint32_t to) {
    size_t got = 0, sent = 0;
    for (int turn = 0; turn < 100 && got < kTotal; ++turn) {
      if (sent < kTotal && view_.out(from).tx_acked.load() == view_.in(from).tx_written.load()) {
        stack_.write(from, std::string(kBuffer, 's'));
        sent += kBuffer;
      }
      stack_.pass(100 * kMillisecond);
      got += stack_.read(to).size();
    }
    return got;
  }

  OneStack stack_;
  SessionView& view_ = stack_.view();
};

TEST_F(SmallReceiveBuffer, SetBeforeConnect) {
  const uint32_t listener = stack_.listener(7), client = stack_.open(true);
  stack_.set_receive_buffer(client, kBuffer);
  stack_.connect(client, 7);
  stack_.settle();
  const uint32_t server = stack_.accept(listener).value_or(kNoSocket);
  EXPECT_EQ(carried(server, client), kTotal);
}

TEST_F(SmallReceiveBuffer, SetOnTheListener) {
  const uint32_t listener = stack_.listener(7), client = stack_.open(true);
  stack_.set_receive_buffer(listener, kBuffer);
  stack_.connect(client, 7);
  stack_.settle();
  const uint32_t server = stack_.accept(listener).value_or(kNoSocket);
  EXPECT_EQ(carried(client, server), kTotal);
}

TEST_F(SmallReceiveBuffer, SetInMidLife) {
  const auto [listener, client, server] = stack_.connected();
  EXPECT_EQ(carried(client, server), kTotal);
  stack_.set_receive_buffer(server, kBuffer);
  EXPECT_EQ(carried(client, server), kTotal);
  stack_.set_receive_buffer(server, kBuffer / 4);
  EXPECT_EQ(carried(client, server), kTotal);
}

// What Linux 6.18 keeps waiting on its loopback; the buffer is what getsockopt() shows.
TEST(ReceiveBufferOfDatagrams, KeepsAsManyWaitingAsLinux) {
  constexpr struct {
    uint32_t buffer, payload, many;
  } kRows[] = {{2304, 0, 2},    {2304, 1000, 1}, {2304, 8000, 1},  {8192, 1, 9},     {8192, 400, 6},
               {8192, 1000, 3}, {32768, 1, 39},  {32768, 400, 25}, {32768, 1000, 14}};
  for (const auto& row : kRows) {
    OneStack stack;
    const uint32_t id = stack.open(false);
    stack.set_receive_buffer(id, row.buffer / 2);
    const std::vector<uint8_t> bytes(row.payload + 1);
    const ConstBytes payload(bytes.data(), row.payload);
    const auto arrives = [&] {
      return stack.server().deliver(kSecond, id, {IpAddress::v4(kLoopback), 9}, {}, {}, payload);
    };
    uint32_t many = 0;
    while (many < 1000 && arrives()) ++many;
    EXPECT_EQ(many, row.many) << row.buffer << " of " << row.payload;
    for (int i = 0; i < 100; ++i) {  // round the ring
      stack.view().in(id).rx_read += datagram_bytes(row.payload);
      EXPECT_TRUE(arrives());
      EXPECT_FALSE(arrives());
    }
  }
}

// What waits is not looked at for each that comes: another header there would count for more.
TEST(ReceiveBufferOfDatagrams, WhatWaitsIsCountedOnceWhenItCame) {
  OneStack stack;
  const uint32_t id = stack.open(false);
  stack.set_receive_buffer(id, 8192 / 2);
  const uint8_t byte = 0;
  const auto arrives = [&] {
    return stack.server().deliver(kSecond, id, {IpAddress::v4(kLoopback), 9}, {}, {}, {&byte, 1});
  };
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(arrives());
  const uint32_t longest = 65507;
  for (uint32_t at = 0; at < 8 * datagram_bytes(1); at += datagram_bytes(1))
    std::memcpy(stack.view().rx(id) + at + offsetof(DatagramHeader, payload_bytes), &longest, sizeof longest);
  EXPECT_TRUE(arrives());
  EXPECT_FALSE(arrives());
}

TEST(ReceiveBufferOfDatagrams, WhatWaitsCountsAlsoWhereTheBufferWasLargerThen) {
  OneStack stack;
  const uint32_t id = stack.open(false);
  const uint8_t byte = 0;
  const auto arrives = [&] {
    return stack.server().deliver(kSecond, id, {IpAddress::v4(kLoopback), 9}, {}, {}, {&byte, 1});
  };
  const auto reads = [&](uint32_t many) { stack.view().in(id).rx_read += many * datagram_bytes(1); };
  for (const int round : {0, 1}) {
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(arrives()) << round;
    stack.set_receive_buffer(id, 8192 / 2);
    EXPECT_FALSE(arrives()) << round;
    reads(2);
    EXPECT_TRUE(arrives()) << round;
    EXPECT_FALSE(arrives()) << round;
    stack.set_receive_buffer(id, 0);
    stack.set_receive_buffer(id, 212992);
    EXPECT_TRUE(arrives()) << round;
    reads(10);
  }
}

// Its own loss, and nobody's time: it is counted within the ring.
TEST(ReceiveBufferOfDatagrams, AReaderThatGoesBackIsCountedAnew) {
  OneStack stack;
  const uint32_t id = stack.open(false);
  stack.set_receive_buffer(id, 8192 / 2);
  const uint8_t byte = 0;
  const auto arrives = [&] {
    return stack.server().deliver(kSecond, id, {IpAddress::v4(kLoopback), 9}, {}, {}, {&byte, 1});
  };
  for (int i = 0; i < 9; ++i) EXPECT_TRUE(arrives());
  std::atomic<uint32_t>& read = stack.view().in(id).rx_read;
  read += 3 * datagram_bytes(1) + 1;
  EXPECT_TRUE(arrives());
  read -= 2 * datagram_bytes(1) + 1;
  EXPECT_FALSE(arrives());
  read = 0;
  EXPECT_FALSE(arrives());
}

TEST(ReceiveBufferOfDatagrams, WhoChangesWhatWaitsHearsAsManyAsEverOnceAllIsRead) {
  OneStack stack;
  const uint32_t id = stack.open(false);
  stack.set_receive_buffer(id, 8192 / 2);
  const uint8_t byte = 0;
  const auto arrives = [&] {
    return stack.server().deliver(kSecond, id, {IpAddress::v4(kLoopback), 9}, {}, {}, {&byte, 1});
  };
  for (int i = 0; i < 9; ++i) EXPECT_TRUE(arrives());
  const uint32_t longest = 65507;
  std::memcpy(stack.view().rx(id) + offsetof(DatagramHeader, payload_bytes), &longest, sizeof longest);
  stack.view().in(id).rx_read += 9 * datagram_bytes(1);
  for (int i = 0; i < 9; ++i) EXPECT_TRUE(arrives()) << i;
  EXPECT_FALSE(arrives());
}

TEST(ReceiveBufferOfDatagrams, AMoreThanUsualOneIsAsLongAsTheRing) {
  OneStack stack;
  const uint32_t id = stack.open(false);
  stack.set_receive_buffer(id, 212992);
  const uint8_t beginning = 0;  // of the frame: what is empty there is not null
  uint32_t many = 0;
  while (stack.server().deliver(kSecond, id, {IpAddress::v4(kLoopback), 9}, {}, {}, {&beginning, 0})) ++many;
  EXPECT_EQ(many, OneStack::kSize.stream_bytes / datagram_bytes(0));
}

}  // namespace
}  // namespace skerry::sockets
