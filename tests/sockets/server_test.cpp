// The stack's side of the door against a program that works on the session by hand, honest and not.
#include "sockets/server.hpp"

#include <gtest/gtest.h>

#include <utility>

#include "one_stack.hpp"

namespace skerry::sockets {
namespace {

class ServerTest : public ::testing::Test {
 protected:
  OneStack stack_;
  SessionView& view_ = stack_.view();
};

TEST_F(ServerTest, ConnectAcceptAndBytesBothWays) {
  const auto [listener, client, server] = stack_.connected();
  ASSERT_NE(server, kNoSocket);
  EXPECT_TRUE(stack_.status(client) & kConnected);
  EXPECT_TRUE(stack_.status(server) & kConnected);
  EXPECT_EQ(view_.names(client).remote, (Endpoint{IpAddress::v4(kLoopback), 7}));
  EXPECT_EQ(view_.names(server).remote, view_.names(client).local);
  stack_.write(client, "PING\r\n");
  stack_.settle();
  EXPECT_EQ(stack_.read(server), "PING\r\n");
  stack_.write(server, "+PONG\r\n");
  stack_.settle();
  EXPECT_EQ(stack_.read(client), "+PONG\r\n");
}

TEST_F(ServerTest, SmallRequestsStayAtTheBeginningOfTheirRings) {
  const auto [listener, client, server] = stack_.connected();
  for (int i = 0; i < 100; ++i) {
    stack_.write(client, std::string(1000, 'q'));
    stack_.settle();
    ASSERT_EQ(stack_.read(server), std::string(1000, 'q'));
    stack_.write(server, "a");
    stack_.settle();
    ASSERT_EQ(stack_.read(client), "a");
  }
  EXPECT_EQ(view_.out(server).rx_written.load(), 100'000u);
  EXPECT_EQ(view_.out(server).rx_written.load() - view_.out(server).rx_base.load(), 1000u);
  for (uint32_t at = 1000; at < OneStack::kSize.stream_bytes; ++at) ASSERT_EQ(view_.rx(server)[at], 0) << at;
}

// Nagle holds each back until the one before is acknowledged, which no answer does: the reader's read does.
TEST_F(ServerTest, SmallWritesThatNobodyAnswersWaitForNoTimer) {
  const auto [listener, client, server] = stack_.connected();
  std::string got;
  for (int i = 0; i < 50; ++i) {
    stack_.write(client, "x");
    stack_.settle();
    got += stack_.read(server);
    stack_.settle();
    ASSERT_EQ(got.size(), i + 1u);
  }
}

TEST_F(ServerTest, RequestsAndAnswersCarryEachOthersAcks) {
  const auto [listener, client, server] = stack_.connected();
  uint64_t before = 0;
  for (int i = 0; i < 51; ++i) {
    if (i == 1) before = stack_.tcp().counters().segments_out;  // from here on both know
    for (const auto& [from, to] : {std::pair(client, server), std::pair(server, client)}) {
      stack_.write(from, "x");
      stack_.settle();
      ASSERT_EQ(stack_.read(to), "x");
      stack_.settle();  // it thinks
    }
  }
  EXPECT_EQ(stack_.tcp().counters().segments_out - before, 100u);
}

TEST_F(ServerTest, CloseGivesTheIndicesBack) {
  const uint32_t before = stack_.ids().allocated();
  const auto [listener, client, server] = stack_.connected();
  EXPECT_EQ(stack_.close(client), 0);
  stack_.settle();
  EXPECT_TRUE(stack_.status(server) & kPeerClosed);
  EXPECT_EQ(stack_.close(server), 0);
  EXPECT_EQ(stack_.close(listener), 0);
  stack_.settle();
  EXPECT_EQ(stack_.ids().allocated(), before);
  EXPECT_EQ(stack_.status(client) & kOpen, 0u);
}

TEST_F(ServerTest, AnIndexHasAnotherLifeWhenItIsUsedAgain) {
  for (const bool stream : {true, false}) {
    const uint32_t id = stack_.open(stream);
    const uint32_t life = view_.out(id).life.load();
    stack_.call(Op::disconnect, id);
    EXPECT_EQ(view_.out(id).life.load(), life);
    stack_.close(id);
    stack_.settle();
    const uint32_t after = view_.out(id).life.load();
    EXPECT_NE(after, life);
    ASSERT_EQ(stack_.open(stream), id);
    EXPECT_NE(view_.out(id).life.load(), life);
    EXPECT_NE(view_.out(id).life.load(), after);
    stack_.close(id);
  }
}

TEST_F(ServerTest, BytesWrittenRightBeforeTheCloseArrive) {
  const auto [listener, client, server] = stack_.connected();
  stack_.write(client, "last words");
  stack_.close(client);
  stack_.settle();
  EXPECT_EQ(stack_.read(server), "last words");
  EXPECT_TRUE(stack_.status(server) & kPeerClosed);
}

TEST_F(ServerTest, AWriteThatRacesAShutdownHarmsNothing) {
  const auto [listener, client, server] = stack_.connected();
  stack_.write(client, "before");
  stack_.call(Op::shutdown, client, nullptr, 1);  // SHUT_WR
  stack_.write(client, "behind");
  stack_.settle();
  EXPECT_EQ(view_.out(client).error.load(), 0);
  EXPECT_EQ(stack_.server().counters().faults, 0u);
  EXPECT_EQ(stack_.read(server), "before");
  EXPECT_TRUE(stack_.status(server) & kPeerClosed);
}

TEST_F(ServerTest, RefusedConnectionSetsTheErrorOnce) {
  const uint32_t client = stack_.open(true);
  EXPECT_EQ(stack_.connect(client, 9), 0) << "under way";
  stack_.settle();
  EXPECT_EQ(view_.out(client).error.exchange(0), ECONNREFUSED);
  EXPECT_TRUE(stack_.status(client) & kHungUp);
}

TEST_F(ServerTest, ClosingAListenerResetsWhatNobodyAccepted) {
  const uint32_t listener = stack_.listener(7);
  const uint32_t client = stack_.open(true);
  stack_.connect(client, 7);
  stack_.settle();
  EXPECT_EQ(stack_.close(listener), 0);
  stack_.settle();
  EXPECT_EQ(view_.out(client).error.load(), ECONNRESET);
  stack_.close(client);
  stack_.settle();
  EXPECT_EQ(stack_.ids().allocated(), 0u);
}

TEST_F(ServerTest, DatagramsKeepTheirBorders) {
  const uint32_t server = stack_.open(false), client = stack_.open(false);
  Endpoint at{IpAddress::v4(0), 53};
  ASSERT_EQ(stack_.call(Op::bind, server, &at), 0);
  const auto put = [&](std::string_view payload) {
    DatagramHeader header;
    header.payload_bytes = static_cast<uint32_t>(payload.size());
    header.peer = IpAddress::v4(kLoopback);
    header.peer_port = 53;
    SocketIn& in = view_.in(client);
    const uint32_t from = in.tx_written.load();
    std::memcpy(view_.tx(client) + from, &header, sizeof header);
    std::memcpy(view_.tx(client) + from + sizeof header, payload.data(), payload.size());
    in.tx_written.store(from + datagram_bytes(header.payload_bytes));
    stack_.note_of(client);
  };
  put("one");
  put("");
  put("three");
  stack_.settle();
  EXPECT_EQ(view_.out(server).rx_written.load(), datagram_bytes(3) + datagram_bytes(0) + datagram_bytes(5));
  DatagramHeader first;
  std::memcpy(&first, view_.rx(server), sizeof first);
  EXPECT_EQ(first.payload_bytes, 3u);
  EXPECT_EQ(std::memcmp(view_.rx(server) + sizeof first, "one", 3), 0);
  EXPECT_EQ(first.peer_port, view_.names(client).local.port) << "bound by its first datagram";
  stack_.close(client);
  stack_.close(server);
  EXPECT_EQ(stack_.ids().allocated(), 0u);
}

// ip(7) IP_RECVERR.
TEST_F(ServerTest, WhatWentWrongWithADatagramIsKeptForWhoAskedForIt) {
  const uint32_t id = stack_.open(false);
  stack::TransportError error;
  error.error = ECONNREFUSED;
  error.remote = {IpAddress::v4(kLoopback), 9};
  error.take_quote(ConstBytes(reinterpret_cast<const uint8_t*>("what it said"), 12));
  const auto refuse = [&](int number) {
    error.error = number;
    stack_.server().refused(kSecond, id, error);
  };
  const auto waiting = [&] {
    return std::pair(view_.out(id).errors_queued.load(), view_.out(id).error.load());
  };
  refuse(ECONNREFUSED);
  EXPECT_EQ(waiting(), std::pair(0u, 0)) << "it is not connected, and did not ask";
  view_.call(0).value[kOptionBits] = kReceiveErrors;
  EXPECT_EQ(stack_.call(Op::set_options, id, nullptr, kReceiveErrors), 0);
  refuse(ECONNREFUSED);
  refuse(EHOSTUNREACH);
  EXPECT_EQ(waiting(), std::pair(2u, EHOSTUNREACH));
  ASSERT_EQ(stack_.call(Op::take_error, id), 0);
  DatagramError told;
  std::memcpy(&told, view_.call(0).value, sizeof told);
  EXPECT_EQ(told.error, ECONNREFUSED);
  EXPECT_EQ(told.destination, error.remote);
  EXPECT_EQ(std::string(told.payload, told.payload + told.payload_bytes), "what it said");
  EXPECT_EQ(waiting(), std::pair(1u, EHOSTUNREACH));
  ASSERT_EQ(stack_.call(Op::take_error, id), 0);
  EXPECT_EQ(waiting(), std::pair(0u, 0));
  EXPECT_EQ(stack_.call(Op::take_error, id), -EAGAIN);
  for (int i = 0; i < 1000; ++i) refuse(ECONNREFUSED);
  EXPECT_EQ(waiting().first, DatagramErrors::kMostOfOne);
  EXPECT_EQ(stack_.close(id), 0);
  const uint32_t next = stack_.open(false);
  EXPECT_EQ(next, id);
  EXPECT_EQ(stack_.call(Op::take_error, next), -EAGAIN) << "they were another socket's";
}

TEST_F(ServerTest, LiesAboutPositionsResetOnlyThatSocket) {
  const auto [listener, client, server] = stack_.connected();
  const auto other = stack_.connected(8);
  view_.in(client).tx_written.store(OneStack::kSize.stream_bytes + 1);
  stack_.note_of(client);
  stack_.settle();
  EXPECT_EQ(stack_.server().counters().faults, 1u);
  EXPECT_EQ(view_.out(client).error.load(), ECONNABORTED);
  EXPECT_EQ(view_.out(server).error.load(), ECONNRESET);
  stack_.write(other.client, "unharmed");
  stack_.settle();
  EXPECT_EQ(stack_.read(other.server), "unharmed");

  view_.in(other.client).rx_read.store(5);
  stack_.note_of(other.client);
  stack_.settle();
  EXPECT_EQ(stack_.server().counters().faults, 2u);
}

TEST_F(ServerTest, ADatagramHeaderThatCannotBeTrueEmptiesTheRing) {
  const uint32_t id = stack_.open(false);
  DatagramHeader header;
  header.payload_bytes = 1 << 30;
  std::memcpy(view_.tx(id), &header, sizeof header);
  view_.in(id).tx_written.store(64);
  stack_.note_of(id);
  stack_.settle();
  EXPECT_EQ(stack_.server().counters().faults, 1u);
  EXPECT_EQ(view_.out(id).tx_acked.load(), 64u);
}

// A thread asks for a close without waiting for it, and its next call may stand in a slot that comes first.
TEST_F(ServerTest, ACloseIsServedBeforeWhatWasAskedForBehindIt) {
  const uint32_t first = stack_.listener(7), second = stack_.open(true);
  Call& close = view_.call(1);
  close.op = static_cast<uint32_t>(Op::close);
  close.process = kProcess;
  close.socket = first;
  close.state.store(kCallRequested);
  view_.control().call_bits[0].fetch_or(2);
  Endpoint at{IpAddress::v4(0), 7};
  EXPECT_EQ(stack_.call(Op::bind, second, &at), 0);
  EXPECT_EQ(close.state.load(), kCallDone);
}

TEST_F(ServerTest, CallsThatMakeNoSenseGetAnError) {
  EXPECT_EQ(stack_.call(Op::close, 5), -EBADF);
  EXPECT_EQ(stack_.call(Op::close, UINT32_MAX), -EBADF);
  EXPECT_EQ(stack_.call(static_cast<Op>(77), stack_.open(true)), -ENOSYS);
  const uint32_t datagram = stack_.open(false), stream = stack_.open(true);
  EXPECT_EQ(stack_.call(Op::listen, datagram), -EOPNOTSUPP);
  EXPECT_EQ(stack_.call(Op::shutdown, stream, nullptr, 1), -ENOTCONN);
  Endpoint foreign{IpAddress::v4(0x01020304), 80};
  EXPECT_EQ(stack_.call(Op::bind, stream, &foreign), -EADDRNOTAVAIL);
  Endpoint nowhere{IpAddress::v4(0x01020304), 80};
  EXPECT_EQ(stack_.call(Op::connect, stream, &nowhere), -ENETUNREACH);
  const uint32_t first = stack_.listener(7);
  ASSERT_NE(first, kNoSocket);
  EXPECT_EQ(stack_.listener(7), kNoSocket) << "address in use";
}

TEST_F(ServerTest, SocketsBeyondTheLimitAreRefused) {
  for (uint32_t i = 0; i < OneStack::kSize.sockets; ++i) ASSERT_GE(stack_.call(Op::open, 0, nullptr, 1), 0);
  EXPECT_EQ(stack_.call(Op::open, 0, nullptr, 1), -ENFILE);
}

TEST_F(ServerTest, ArmSeesWhatCameBeforeIt) {
  EXPECT_TRUE(stack_.server().arm());
  EXPECT_EQ(view_.control().stack_armed.load(), 1u);
  stack_.server().disarm();
  EXPECT_EQ(view_.control().stack_armed.load(), 0u);
  stack_.note_of(3);
  EXPECT_FALSE(stack_.server().arm());
}

}  // namespace
}  // namespace skerry::sockets
