// What a stream is when it was shut, reset, disconnected or something else before.
#include "sockets/server.hpp"

#include <gtest/gtest.h>

#include "one_stack.hpp"

namespace skerry::sockets {
namespace {

class StreamLifeTest : public ::testing::Test {
 protected:
  OneStack stack_;
  SessionView& view_ = stack_.view();
};

TEST_F(StreamLifeTest, ASocketThatWasConnectedIsNotConnectedAgain) {
  const auto [listener, client, server] = stack_.connected();
  stack_.write(client, "unread");
  stack_.settle();
  stack_.close(server);  // a reset, because bytes are unread
  stack_.settle();
  ASSERT_EQ(view_.out(client).error.load(), ECONNRESET);
  EXPECT_EQ(stack_.connect(client, 7), -EISCONN);
  EXPECT_TRUE(stack_.status(client) & kHungUp);
  const uint32_t refused = stack_.open(true);
  stack_.connect(refused, 9);
  stack_.settle();
  EXPECT_EQ(stack_.connect(refused, 7), 0) << "a failed attempt is not a connection";
}

TEST_F(StreamLifeTest, AConnectionToItselfTakesUpAnEarlierShutdown) {
  for (const uint64_t how : {1u, 2u}) {
    const uint32_t id = stack_.open(true);
    Endpoint any{IpAddress::v4(kLoopback), 0};
    ASSERT_EQ(stack_.call(Op::bind, id, &any), 0);
    ASSERT_EQ(stack_.call(Op::shutdown, id, nullptr, how), -ENOTCONN);
    EXPECT_EQ(stack_.connect(id, any.port), 0);
    stack_.settle();
    EXPECT_EQ(stack_.status(id) & (kConnected | kHungUp | kOver), kHungUp | kOver);
    EXPECT_EQ(view_.out(id).error.load(), 0);
    EXPECT_EQ(stack_.call(Op::disconnect, id), 0);
  }
}

TEST_F(StreamLifeTest, AListenerIsShownWhereItWasBound) {
  const uint32_t id = stack_.open(true);
  Endpoint at{IpAddress{}, 7};
  ASSERT_EQ(stack_.call(Op::bind, id, &at, kV6Only), 0);
  ASSERT_EQ(stack_.call(Op::listen, id, nullptr, 4), 0);
  EXPECT_EQ(view_.names(id).local, (Endpoint{IpAddress{}, 7}));
  const uint32_t unbound = stack_.open(true);
  ASSERT_EQ(stack_.call(Op::listen, unbound, nullptr, 4), 0);
  EXPECT_NE(view_.names(unbound).local.port, 0);
}

TEST_F(StreamLifeTest, AListenerIsShownWhereItListensThoughAConnectWasRefusedBefore) {
  const uint32_t id = stack_.open(true), client = stack_.open(true);
  ASSERT_EQ(stack_.connect(id, 9), 0);
  stack_.settle();
  ASSERT_EQ(view_.out(id).error.load(), ECONNREFUSED);
  ASSERT_EQ(stack_.call(Op::listen, id, nullptr, 4), 0);
  EXPECT_EQ(view_.names(id).local.address, IpAddress{});
  EXPECT_EQ(stack_.connect(client, view_.names(id).local.port), 0);
  stack_.settle();
  EXPECT_EQ(view_.out(client).error.load(), 0);
  EXPECT_TRUE(stack_.accept(id).has_value());
}

// The address outlives the port, as on Linux; but not a bind() that found the port taken (__inet_bind()).
TEST_F(StreamLifeTest, AListenerHearsWhereItIsShownThoughItsPortWasGivenBack) {
  constexpr Ipv4Address kElsewhere = 0x0a000002;
  for (const bool taken : {false, true}) {
    const uint32_t id = stack_.open(true), near = stack_.open(true), far = stack_.open(true);
    Endpoint at{IpAddress::v4(kLoopback), 0};
    ASSERT_EQ(stack_.call(Op::bind, id, &at), 0);
    ASSERT_EQ(stack_.connect(id, 9), 0);
    stack_.settle();
    ASSERT_EQ(view_.out(id).error.load(), ECONNREFUSED);
    if (taken) {
      stack_.listener(7);
      Endpoint other{IpAddress::v4(kElsewhere), 7};
      ASSERT_EQ(stack_.call(Op::bind, id, &other), -EADDRINUSE);
    }
    ASSERT_EQ(stack_.call(Op::listen, id, nullptr, 4), 0);
    EXPECT_EQ(view_.names(id).local.address, taken ? IpAddress{} : IpAddress::v4(kLoopback));
    const uint16_t port = view_.names(id).local.port;
    Endpoint to{IpAddress::v4(kElsewhere), port};
    EXPECT_EQ(stack_.connect(near, port), 0);
    EXPECT_EQ(stack_.call(Op::connect, far, &to), 0);
    stack_.settle();
    EXPECT_EQ(view_.out(near).error.load(), 0);
    EXPECT_EQ(view_.out(far).error.load(), taken ? 0 : ECONNREFUSED);
  }
}

TEST_F(StreamLifeTest, AListenerOfIpv6AloneTakesNoIpv4ThoughItWasNotBound) {
  const uint32_t id = stack_.open(true), client = stack_.open(true);
  view_.call(0).value[1] = kV6Only;
  ASSERT_EQ(stack_.call(Op::listen, id, nullptr, 4), 0);
  view_.call(0).value[1] = 0;
  EXPECT_EQ(view_.names(id).local.address, IpAddress{});
  stack_.connect(client, view_.names(id).local.port);
  stack_.settle();
  EXPECT_EQ(view_.out(client).error.load(), ECONNREFUSED);
}

TEST_F(StreamLifeTest, AResetAfterTheLastByteOnlyStopsTheWriter) {
  const auto [listener, client, server] = stack_.connected();
  stack_.close(server);
  stack_.settle();
  ASSERT_TRUE(stack_.status(client) & kFinSeen);
  stack_.write(client, "too late");
  stack_.settle();
  EXPECT_EQ(view_.out(client).error.load(), EPIPE) << "it was told that nothing follows";
  EXPECT_TRUE(stack_.status(client) & kHungUp);
}

// Linux tcp_reset() in CLOSE-WAIT.
TEST_F(StreamLifeTest, AResetBehindTheLastByteBeforeAcceptOnlyStopsTheWriter) {
  const uint32_t listener = stack_.listener(7), client = stack_.open(true);
  stack_.connect(client, 7);
  stack_.call(Op::shutdown, client, nullptr, 1);
  stack_.settle();
  stack_.call(Op::close, client, nullptr, 1);
  stack_.settle();
  const uint32_t server = stack_.accept(listener).value();
  EXPECT_TRUE(stack_.status(server) & kFinSeen);
  EXPECT_EQ(view_.out(server).error.load(), EPIPE);
}

// Linux inet_getname(): only a connection in CLOSED has no peer's name.
TEST_F(StreamLifeTest, AConnectionIsOverWhenBothFinsAreAcknowledged) {
  const auto [listener, client, server] = stack_.connected();
  stack_.call(Op::shutdown, client, nullptr, 1);
  stack_.settle();
  EXPECT_FALSE((stack_.status(client) | stack_.status(server)) & kOver);
  stack_.call(Op::shutdown, server, nullptr, 1);
  stack_.settle();
  EXPECT_TRUE(stack_.status(client) & stack_.status(server) & kOver);
}

TEST_F(StreamLifeTest, WhatBindSaidStaysWhenASocketIsDisconnected) {
  for (const bool stream : {true, false}) {
    const uint32_t id = stack_.open(stream);
    Endpoint at{IpAddress::v4(kLoopback), 77};
    ASSERT_EQ(stack_.call(Op::bind, id, &at), 0);
    ASSERT_EQ(stack_.call(Op::disconnect, id), 0);
    EXPECT_EQ(view_.names(id).local, at);
    EXPECT_EQ(stack_.connect(id, 9), 0);
    stack_.settle();
    ASSERT_EQ(stack_.call(Op::disconnect, id), 0);
    EXPECT_EQ(view_.names(id).local, at);
  }
}

TEST_F(StreamLifeTest, ShutdownWithoutAConnectionIsRefusedAndSeen) {
  const uint32_t stream = stack_.open(true), datagram = stack_.open(false);
  for (const uint32_t socket : {stream, datagram}) {
    EXPECT_EQ(stack_.call(Op::shutdown, socket, nullptr, 2), -ENOTCONN);
    EXPECT_EQ(stack_.status(socket) & (kReadShut | kWriteShut), kReadShut | kWriteShut);
  }
}

TEST_F(StreamLifeTest, ADisconnectedStreamIsAsNew) {
  const auto [listener, client, server] = stack_.connected();
  stack_.write(client, "x");
  stack_.settle();
  const uint32_t connections = stack_.server().connected();
  ASSERT_EQ(stack_.call(Op::disconnect, client), 0);
  EXPECT_EQ(view_.out(client).error.load(), ECONNRESET);
  EXPECT_EQ(stack_.status(client), kOpen | kStream);
  EXPECT_EQ(view_.out(server).error.load(), ECONNRESET) << "the peer is told";
  EXPECT_EQ(stack_.server().connected(), connections - 1);
  ASSERT_EQ(stack_.connect(client, 7), 0);
  stack_.settle();
  const std::optional<uint32_t> again = stack_.accept(listener);
  ASSERT_TRUE(again);
  EXPECT_EQ(view_.out(client).error.load(), 0) << "a new attempt begins without the old error";
  stack_.write(client, "positions begin again");
  stack_.settle();
  EXPECT_EQ(stack_.read(*again), "positions begin again");
  EXPECT_EQ(stack_.server().counters().faults, 0u);
}

TEST_F(StreamLifeTest, AListenerThatReadsNoMoreIsNone) {
  const uint32_t listener = stack_.listener(7), client = stack_.open(true), late = stack_.open(true);
  ASSERT_EQ(stack_.connect(client, 7), 0);
  stack_.settle();
  EXPECT_EQ(stack_.call(Op::shutdown, listener, nullptr, 1), 0);
  EXPECT_TRUE(stack_.status(listener) & kListening) << "SHUT_WR is nothing to it";
  EXPECT_EQ(stack_.call(Op::shutdown, listener, nullptr, 0), 0);
  stack_.settle();
  EXPECT_EQ(stack_.status(listener), kOpen | kStream);
  EXPECT_EQ(view_.out(client).error.load(), ECONNRESET) << "nobody will accept it";
  ASSERT_EQ(stack_.connect(late, 7), 0);
  stack_.settle();
  EXPECT_EQ(view_.out(late).error.load(), ECONNREFUSED);
  EXPECT_EQ(stack_.call(Op::listen, listener, nullptr, 4), 0);
  ASSERT_EQ(stack_.connect(stack_.open(true), 7), 0);
  stack_.settle();
  EXPECT_TRUE(stack_.accept(listener));
}

// An accept() in another thread has read the queue's position and index, and takes it by compare-and-swap.
TEST_F(StreamLifeTest, WhoAcceptsLateGetsNothingFromAnAbandonedQueue) {
  for (const bool closed : {false, true}) {
    const uint32_t listener = stack_.listener(7), client = stack_.open(true);
    ASSERT_EQ(stack_.connect(client, 7), 0);
    stack_.settle();
    std::atomic<uint32_t>& position = view_.in(listener).rx_read;
    uint32_t read = position.load();
    ASSERT_EQ(view_.out(listener).rx_written.load() - read, 4u);
    ASSERT_EQ(closed ? stack_.close(listener) : stack_.call(Op::shutdown, listener, nullptr, 0), 0);
    stack_.settle();
    EXPECT_EQ(view_.out(client).error.load(), ECONNRESET);
    EXPECT_FALSE(position.compare_exchange_strong(read, read + 4)) << "the connection was reset";
    if (!closed) {
      EXPECT_EQ(stack_.close(listener), 0);
    }
    stack_.close(client);
    stack_.settle();
  }
  EXPECT_EQ(stack_.server().counters().faults, 0u);
}

TEST_F(StreamLifeTest, WhatWasAListenerCanBeEverythingAgain) {
  const uint32_t other = stack_.listener(8);
  const auto [listener, client, server] = stack_.connected();
  ASSERT_EQ(stack_.connect(stack_.open(true), 7), 0);
  stack_.settle();
  ASSERT_EQ(stack_.call(Op::shutdown, listener, nullptr, 0), 0);
  EXPECT_EQ(view_.out(listener).rx_written.load(), view_.in(listener).rx_read.load()) << "it has no input";
  ASSERT_EQ(stack_.call(Op::set_options, listener), 0);  // looks at its positions

  ASSERT_EQ(stack_.call(Op::listen, listener, nullptr, 4), 0);
  const uint32_t again = stack_.open(true);
  ASSERT_EQ(stack_.connect(again, 7), 0);
  stack_.settle();
  const std::optional<uint32_t> accepted = stack_.accept(listener);
  ASSERT_TRUE(accepted);
  stack_.write(again, "to a listener");
  stack_.settle();
  EXPECT_EQ(stack_.read(*accepted), "to a listener");

  ASSERT_EQ(stack_.call(Op::shutdown, listener, nullptr, 0), 0);
  ASSERT_EQ(stack_.connect(listener, 8), 0);
  stack_.settle();
  const std::optional<uint32_t> peer = stack_.accept(other);
  ASSERT_TRUE(peer);
  stack_.write(*peer, "positions begin again");
  stack_.settle();
  EXPECT_EQ(stack_.read(listener), "positions begin again");
  stack_.write(listener, "both ways");
  stack_.settle();
  EXPECT_EQ(stack_.read(*peer), "both ways");
  EXPECT_EQ(stack_.close(listener), 0);
  stack_.settle();
  EXPECT_EQ(stack_.server().counters().faults, 0u);
}

// Linux tcp_disconnect().
TEST_F(StreamLifeTest, ADisconnectThatLeavesDataUnsentBehindBothFinsIsAReset) {
  const auto [listener, client, server] = stack_.connected();
  const std::string full(OneStack::kSize.stream_bytes, 'x');
  stack_.write(client, full);
  stack_.settle();
  ASSERT_EQ(view_.out(client).tx_acked.load(), full.size()) << "nobody reads it, and the window is closed";
  stack_.write(client, "unsent");
  stack_.call(Op::shutdown, server, nullptr, 1);
  stack_.call(Op::shutdown, client, nullptr, 1);
  ASSERT_EQ(stack_.tcp().state(client), tcp::State::last_ack);
  ASSERT_EQ(stack_.call(Op::disconnect, client), 0);
  EXPECT_EQ(view_.out(client).error.load(), ECONNRESET);
  EXPECT_EQ(view_.out(server).error.load(), ECONNRESET);
}

TEST_F(StreamLifeTest, DataForWhatIsShutBothWaysMeetsAReset) {
  const auto [listener, client, server] = stack_.connected();
  ASSERT_EQ(stack_.call(Op::shutdown, server, nullptr, 0), 0);
  stack_.write(client, "still taken in");
  stack_.settle();
  EXPECT_EQ(stack_.read(server), "still taken in");
  ASSERT_EQ(stack_.call(Op::shutdown, server, nullptr, 1), 0);
  stack_.settle();
  EXPECT_EQ(view_.out(server).error.load(), 0);
  stack_.write(client, "too much");
  stack_.settle();
  EXPECT_EQ(view_.out(server).error.load(), ECONNRESET);
  EXPECT_EQ(view_.out(client).error.load(), EPIPE);
}

}  // namespace
}  // namespace skerry::sockets
