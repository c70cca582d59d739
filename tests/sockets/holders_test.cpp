// Who holds sockets, and what becomes of those that a process held when it ends.
#include "sockets/server.hpp"

#include <gtest/gtest.h>

#include "one_stack.hpp"

namespace skerry::sockets {
namespace {

class HoldersTest : public ::testing::Test {
 protected:
  OneStack stack_;
  SessionView& view_ = stack_.view();
};

TEST_F(HoldersTest, AProcessThatDiesLosesItsSocketsAndOnlyThose) {
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

// A server forks, its child accepts and ends without close(), and the parent still listens.
TEST_F(HoldersTest, AConnectionOfAProcessThatDiesIsOverAtOnceThoughItsListenerIsNot) {
  const auto [listener, client, server] = stack_.connected();
  stack_.server().process_arrived(1);
  view_.refs(1)[listener / 64].fetch_or(uint64_t{1} << (listener % 64));
  view_.refs(1)[client / 64].fetch_or(uint64_t{1} << (client % 64));
  view_.names(server).option_bits.fetch_or(kAccepted);
  stack_.server().process_died(kProcess);
  stack_.settle();
  EXPECT_TRUE(stack_.status(listener) & kListening);
  EXPECT_TRUE(stack_.status(client) & kPeerClosed);
}

TEST_F(HoldersTest, ANewProgramHoldsWhatItsProcessKept) {
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

TEST_F(HoldersTest, AnotherSleeperIsToldWhenTheOneThatWasToldEnds) {
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

TEST_F(HoldersTest, WhoSleepsOnASocketThatIsClosedIsTold) {
  const uint32_t socket = stack_.open(true);
  view_.in(socket).watchers[0].store(1);
  view_.waiter(0).armed.store(kFutex);
  stack_.close(socket);
  EXPECT_EQ(view_.waiter(0).armed.load(), kAwake);
}

TEST_F(HoldersTest, ASleeperThatWasKilledIsNoSleeper) {
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

TEST_F(HoldersTest, AFaultTakesNoIndexThatIsCarried) {
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

TEST_F(HoldersTest, ASocketOnItsWayToAProcessIsHeld) {
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

TEST_F(HoldersTest, AProcessThatIsKilledEndsItsStreamsAsACloseWould) {
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

TEST_F(HoldersTest, AProcessThatIsKilledResetsWhereACloseWould) {
  const auto [listener, client, server] = stack_.connected();
  view_.names(server).option_bits = kResetsOnClose;
  stack_.server().process_arrived(1);
  view_.refs(1)[client / 64].fetch_or(uint64_t{1} << (client % 64));
  stack_.server().process_died(kProcess);
  stack_.settle();
  EXPECT_EQ(view_.out(client).error.load(), static_cast<uint32_t>(ECONNRESET));
}

TEST_F(HoldersTest, ADeadProcessHoldsNoCallSlots) {
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

TEST_F(HoldersTest, AConnectionTakenFromTheQueueByADyingProcessIsClosedAfterASecond) {
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

}  // namespace
}  // namespace skerry::sockets
