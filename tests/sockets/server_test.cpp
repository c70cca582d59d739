// The stack's side of the door against a program that works on the session by hand, honest and not.
#include "sockets/server.hpp"

#include <gtest/gtest.h>

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

TEST_F(ServerTest, AProcessThatDiesLosesItsSocketsAndOnlyThose) {
  const auto [listener, client, server] = stack_.connected();
  stack_.server().process_arrived(1);
  stack_.server().process_forked(kProcess, 1);
  stack_.close(listener);
  stack_.settle();
  EXPECT_TRUE(stack_.status(listener) & kListening) << "the child still holds it";
  stack_.server().process_died(1);
  stack_.settle();
  EXPECT_EQ(stack_.status(listener) & kOpen, 0u);
  stack_.write(client, "still here");
  stack_.settle();
  EXPECT_EQ(stack_.read(server), "still here");
  stack_.server().process_died(kProcess);
  stack_.pass(2 * kSecond);
  EXPECT_EQ(stack_.ids().allocated(), 0u);
}

TEST_F(ServerTest, ANewProgramHoldsWhatItsProcessKept) {
  const auto [listener, client, server] = stack_.connected();
  const uint32_t other = stack_.open(true);
  view_.waiter_owners()[3].store(kProcess + 1);
  view_.kept(kProcess)[server / 64].fetch_or(uint64_t{1} << (server % 64));
  view_.kept(kProcess)[200 / 64].fetch_or(uint64_t{1} << (200 % 64));  // which it never had
  stack_.server().process_executed(kProcess);
  stack_.settle();
  EXPECT_EQ(stack_.status(listener) & kOpen, 0u);
  EXPECT_EQ(stack_.status(other) & kOpen, 0u);
  EXPECT_TRUE(stack_.status(server) & kPeerClosed);
  EXPECT_TRUE(stack_.status(server) & kOpen);
  EXPECT_EQ(view_.refs(kProcess)[200 / 64].load() >> (200 % 64) & 1, 0u);
  EXPECT_EQ(view_.waiter_owners()[3].load(), 0u) << "its threads are gone";
}

TEST_F(ServerTest, AnotherSleeperIsToldWhenTheOneThatWasToldEnds) {
  const uint32_t listener = stack_.listener(7);
  stack_.server().process_arrived(1);
  stack_.server().process_forked(kProcess, 1);
  const auto awake = [&] {
    return uint32_t{view_.waiter(0).armed.load() == kAwake} + (view_.waiter(1).armed.load() == kAwake);
  };
  for (uint32_t waiter = 0; waiter < 2; ++waiter) {
    view_.in(listener).watchers[waiter].store(static_cast<uint16_t>((waiter + 1) | kExclusive));
    view_.waiter(waiter).armed.store(kFutex);
  }
  stack_.connect(stack_.open(true), 7);
  stack_.settle();
  EXPECT_EQ(awake(), 1u);
  stack_.server().process_died(1);
  stack_.settle();
  EXPECT_EQ(awake(), 2u);
  stack_.server().process_arrived(1);
  stack_.server().process_forked(kProcess, 1);
  view_.waiter(1).armed.store(kFutex);
  view_.waiter(0).armed.store(kFutex);
  stack_.close(listener);  // one process of the two
  EXPECT_EQ(awake(), 1u);
}

TEST_F(ServerTest, WhoSleepsOnASocketThatIsClosedIsTold) {
  const uint32_t socket = stack_.open(true);
  view_.in(socket).watchers[0].store(1);
  view_.waiter(0).armed.store(kFutex);
  stack_.close(socket);
  EXPECT_EQ(view_.waiter(0).armed.load(), kAwake);
}

TEST_F(ServerTest, ASleeperThatWasKilledIsNoSleeper) {
  const uint32_t listener = stack_.listener(7);
  stack_.server().process_arrived(1);
  stack_.server().process_forked(kProcess, 1);
  for (uint32_t waiter = 0; waiter < 2; ++waiter) {
    view_.in(listener).watchers[waiter].store(static_cast<uint16_t>((waiter + 1) | kExclusive));
    view_.waiter(waiter).armed.store(kFutex);
  }
  view_.waiter_owners()[0].store(1 + 1);  // of process 1, which is killed in its sleep
  stack_.server().process_died(1);
  stack_.connect(stack_.open(true), 7);
  stack_.settle();
  EXPECT_EQ(view_.waiter(1).armed.load(), kAwake) << "nobody else can accept it";
}

TEST_F(ServerTest, AFaultTakesNoIndexThatIsCarried) {
  const auto [listener, client, server] = stack_.connected();
  ASSERT_TRUE(stack_.server().carry(server));
  view_.in(server).tx_written.store(0x7fff'ffff);  // more than there is room for
  note(view_.dirty(), view_.control().dirty_summary, server);
  stack_.pass(2 * kSecond);
  EXPECT_TRUE(stack_.status(server) & kHungUp);
  EXPECT_FALSE(stack_.server().carry(server));
  const uint32_t before = stack_.ids().allocated();
  stack_.server().put_down(server);
  EXPECT_EQ(stack_.ids().allocated(), before - 1);
}

TEST_F(ServerTest, ASocketOnItsWayToAProcessIsHeld) {
  const auto [listener, client, server] = stack_.connected();
  ASSERT_TRUE(stack_.server().carry(server));
  stack_.close(server);
  stack_.pass(2 * kSecond);
  EXPECT_EQ(stack_.status(client) & kPeerClosed, 0u);
  stack_.server().process_arrived(1);
  stack_.server().claim(server, 1);
  stack_.server().put_down(server);
  stack_.settle();
  stack_.write(client, "here?");
  stack_.settle();
  EXPECT_EQ(stack_.read(server), "here?");
  ASSERT_TRUE(stack_.server().carry(server));
  stack_.server().process_died(1);
  stack_.settle();
  EXPECT_EQ(stack_.status(client) & kPeerClosed, 0u);
  stack_.server().put_down(server);
  stack_.settle();
  EXPECT_TRUE(stack_.status(client) & kPeerClosed) << "nobody fetched it";
  EXPECT_FALSE(stack_.server().carry(OneStack::kSize.sockets - 1)) << "there is none";
}

TEST_F(ServerTest, AProcessThatIsKilledEndsItsStreamsAsACloseWould) {
  const auto [listener, client, server] = stack_.connected();
  stack_.write(client, "request");
  stack_.settle();
  ASSERT_EQ(stack_.read(server), "request");
  // It wrote and was killed before it could say so.
  const std::string answer = "answer";
  std::memcpy(view_.tx(server), answer.data(), answer.size());
  view_.in(server).tx_written.store(static_cast<uint32_t>(answer.size()));
  // The other end is another process's.
  stack_.server().process_arrived(1);
  view_.refs(1)[client / 64].fetch_or(uint64_t{1} << (client % 64));
  stack_.server().process_died(kProcess);
  stack_.pass(2 * kSecond);
  EXPECT_EQ(stack_.read(client), answer);
  EXPECT_EQ(view_.out(client).error.load(), 0) << "a reset instead of the end of the stream";
  EXPECT_TRUE(stack_.status(client) & kPeerClosed);
}

TEST_F(ServerTest, AProcessThatIsKilledResetsWhereACloseWould) {
  const auto [listener, client, server] = stack_.connected();
  view_.names(server).option_bits = kResetsOnClose;
  stack_.server().process_arrived(1);
  view_.refs(1)[client / 64].fetch_or(uint64_t{1} << (client % 64));
  stack_.server().process_died(kProcess);
  stack_.settle();
  EXPECT_EQ(view_.out(client).error.load(), static_cast<uint32_t>(ECONNRESET));
}

TEST_F(ServerTest, ASocketThatWasConnectedIsNotConnectedAgain) {
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

TEST_F(ServerTest, AConnectionToItselfTakesUpAnEarlierShutdown) {
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

TEST_F(ServerTest, ADeadProcessHoldsNoCallSlots) {
  Call& unfetched = view_.call(3);
  unfetched.process = 1;
  unfetched.state.store(kCallDone);
  Call& living = view_.call(4);
  living.process = kProcess;
  living.state.store(kCallDone);
  stack_.server().process_died(1);
  EXPECT_EQ(unfetched.state.load(), kCallFree);
  EXPECT_EQ(living.state.load(), kCallDone);
}

TEST_F(ServerTest, AConnectionTakenFromTheQueueByADyingProcessIsClosedAfterASecond) {
  const uint32_t listener = stack_.listener(7);
  const uint32_t client = stack_.open(true);
  stack_.connect(client, 7);
  stack_.settle();
  // Another process popped it and was killed before it could note its reference.
  view_.in(listener).rx_read.fetch_add(4);
  stack_.server().process_arrived(1);
  stack_.server().process_died(1);
  stack_.settle();
  EXPECT_EQ(stack_.status(client) & kPeerClosed, 0u) << "it may be in the middle of an accept";
  stack_.pass(2 * kSecond);
  EXPECT_TRUE(stack_.status(client) & kPeerClosed);
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

TEST_F(ServerTest, AListenerIsShownWhereItWasBound) {
  const uint32_t id = stack_.open(true);
  Endpoint at{IpAddress{}, 7};
  ASSERT_EQ(stack_.call(Op::bind, id, &at, kV6Only), 0);
  ASSERT_EQ(stack_.call(Op::listen, id, nullptr, 4), 0);
  EXPECT_EQ(view_.names(id).local, (Endpoint{IpAddress{}, 7}));
  const uint32_t unbound = stack_.open(true);
  ASSERT_EQ(stack_.call(Op::listen, unbound, nullptr, 4), 0);
  EXPECT_NE(view_.names(unbound).local.port, 0);
}

TEST_F(ServerTest, AResetAfterTheLastByteOnlyStopsTheWriter) {
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
TEST_F(ServerTest, AResetBehindTheLastByteBeforeAcceptOnlyStopsTheWriter) {
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
TEST_F(ServerTest, AConnectionIsOverWhenBothFinsAreAcknowledged) {
  const auto [listener, client, server] = stack_.connected();
  stack_.call(Op::shutdown, client, nullptr, 1);
  stack_.settle();
  EXPECT_FALSE((stack_.status(client) | stack_.status(server)) & kOver);
  stack_.call(Op::shutdown, server, nullptr, 1);
  stack_.settle();
  EXPECT_TRUE(stack_.status(client) & stack_.status(server) & kOver);
}

TEST_F(ServerTest, WhatBindSaidStaysWhenASocketIsDisconnected) {
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

TEST_F(ServerTest, ShutdownWithoutAConnectionIsRefusedAndSeen) {
  const uint32_t stream = stack_.open(true), datagram = stack_.open(false);
  for (const uint32_t socket : {stream, datagram}) {
    EXPECT_EQ(stack_.call(Op::shutdown, socket, nullptr, 2), -ENOTCONN);
    EXPECT_EQ(stack_.status(socket) & (kReadShut | kWriteShut), kReadShut | kWriteShut);
  }
}

TEST_F(ServerTest, ADisconnectedStreamIsAsNew) {
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

TEST_F(ServerTest, AListenerThatReadsNoMoreIsNone) {
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
TEST_F(ServerTest, WhoAcceptsLateGetsNothingFromAnAbandonedQueue) {
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

TEST_F(ServerTest, WhatWasAListenerCanBeEverythingAgain) {
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
TEST_F(ServerTest, ADisconnectThatLeavesDataUnsentBehindBothFinsIsAReset) {
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

TEST_F(ServerTest, DataForWhatIsShutBothWaysMeetsAReset) {
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
