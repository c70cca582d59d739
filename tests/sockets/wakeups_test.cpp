// What the stack reads of a waiter it reads when it rings, behind the words that it published before.
#include "sockets/wakeups.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "one_stack.hpp"
#include "sockets/notes.hpp"

namespace skerry::sockets {
namespace {

class WakeupsTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kSocket = 70, kWaiter = 3;

  void watch(uint32_t waiter) { view_.in(kSocket).watchers[0].store(static_cast<uint16_t>(waiter + 1)); }
  std::vector<uint32_t> notes(uint32_t waiter) {
    std::vector<uint32_t> sockets;
    take_notes(view_.ready(waiter), view_.waiter(waiter).ready_summary, OneStack::kSize.sockets,
               [&](uint32_t socket) { sockets.push_back(socket); });
    return sockets;
  }
  using Sockets = std::vector<uint32_t>;

  OneStack stack_;
  SessionView& view_ = stack_.view();
  Wakeups wakeups_{view_};
};

TEST_F(WakeupsTest, AWatcherThatComesBetweenNewsAndRingIsTold) {
  wakeups_.touch(kSocket);
  watch(kWaiter);
  view_.waiter(kWaiter).armed.store(kFutex);
  EXPECT_EQ(wakeups_.ring(), 1u);
  EXPECT_EQ(notes(kWaiter), Sockets{kSocket});
  EXPECT_EQ(view_.waiter(kWaiter).armed.load(), uint32_t{kAwake});
  EXPECT_EQ(wakeups_.ring(), 0u);
  EXPECT_EQ(notes(kWaiter), Sockets{}) << "told once";
}

TEST_F(WakeupsTest, SpaceIsToldToWhoWishedForItAndWhenAThirdIsFree) {
  watch(kWaiter);
  view_.out(kSocket).tx_limit.store(OneStack::kSize.stream_bytes);
  view_.in(kSocket).tx_written.store(OneStack::kSize.stream_bytes);
  wakeups_.freed(kSocket);
  view_.in(kSocket).want_space.store(1);
  wakeups_.ring();
  EXPECT_EQ(notes(kWaiter), Sockets{}) << "nothing is free";
  view_.out(kSocket).tx_acked.store(OneStack::kSize.stream_bytes / 3 + 1);
  wakeups_.freed(kSocket);
  wakeups_.ring();
  EXPECT_EQ(notes(kWaiter), Sockets{kSocket});
  EXPECT_EQ(view_.in(kSocket).want_space.load(), 0u);
  wakeups_.freed(kSocket);
  wakeups_.ring();
  EXPECT_EQ(notes(kWaiter), Sockets{}) << "nobody wished again";
}

// Nobody reads the pipe of a waiter that brings signals, and nobody arms it again.
TEST_F(WakeupsTest, AWaiterThatBringsSignalsStaysArmedAndItsPipeMayFill) {
  static std::atomic<int> signals = 0;
  const auto count = [](int) { ++signals; };
  struct sigaction before {
  }, counting{};
  counting.sa_handler = count;
  ASSERT_EQ(::sigaction(SIGURG, &counting, &before), 0);
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  while (::write(ends[1], "full", 4) > 0) {
  }
  ASSERT_EQ(::fcntl(ends[0], F_SETOWN, ::getpid()), 0);
  ASSERT_EQ(::fcntl(ends[0], F_SETSIG, SIGURG), 0);
  ASSERT_EQ(::fcntl(ends[0], F_SETFL, O_NONBLOCK | O_ASYNC), 0);
  wakeups_.set_pipe(kWaiter, Fd(ends[1]));
  view_.waiter(kWaiter).armed.store(kSignal);
  view_.names(kSocket).urgent_bell.store(kWaiter + 1);
  for (int i = 1; i <= 3; ++i) {
    wakeups_.urgent(kSocket);
    EXPECT_EQ(wakeups_.ring(), 1u);
    for (int turn = 0; turn < 5000 && signals < i; ++turn) ::usleep(1000);
    EXPECT_EQ(signals, i);
  }
  wakeups_.touch(kSocket);
  EXPECT_EQ(wakeups_.ring(), 0u) << "data is not urgent";
  view_.waiter_owners()[kWaiter].store(1);
  view_.in(kSocket).watch_all.store(1);
  wakeups_.touch(kSocket);
  EXPECT_EQ(wakeups_.ring(), 0u);
  view_.names(kSocket).urgent_bell.store(OneStack::kSize.waiters + 1);
  wakeups_.urgent(kSocket);
  EXPECT_EQ(wakeups_.ring(), 0u) << "there is no such waiter";
  ::close(ends[0]);
  ::sigaction(SIGURG, &before, nullptr);
}

TEST_F(WakeupsTest, ANoteUnderASummaryBitThatIsSetAlreadyIsTaken) {
  watch(kWaiter);
  view_.waiter(kWaiter).ready_summary[0].store(uint64_t{1} << (kSocket / 64));
  wakeups_.touch(kSocket);
  wakeups_.ring();
  EXPECT_EQ(notes(kWaiter), Sockets{kSocket});
}

TEST_F(WakeupsTest, ASetLastsAsLongAsAProcessThatHasItLives) {
  for (const uint32_t slot : {1u, 2u}) view_.process(slot).sets[kWaiter / 64].store(1u << kWaiter);
  view_.waiter_owners()[kWaiter].store(kSetOwner | 5);
  view_.waiter(kWaiter).armed.store(kFutex);
  const uint32_t others[] = {0, 2};
  wakeups_.program_over(1, others);
  EXPECT_EQ(view_.waiter_owners()[kWaiter].load(), kSetOwner | 5);
  EXPECT_EQ(view_.waiter(kWaiter).armed.load(), kAwake);
  EXPECT_EQ(notes(kWaiter).size(), OneStack::kSize.sockets) << "whatever it had taken is looked at again";
  wakeups_.program_over(2, std::span(others).first(1));
  EXPECT_EQ(view_.waiter_owners()[kWaiter].load(), 0u);
}

class ExclusiveTest : public WakeupsTest {
 protected:
  // Watchers 0 to 2 are exclusive, 3 is not.
  void SetUp() override {
    for (uint32_t waiter = 0; waiter < 4; ++waiter)
      view_.in(kSocket).watchers[waiter].store(
          static_cast<uint16_t>((waiter + 1) | (waiter < 3 ? kExclusive : 0)));
    sleep_all();
  }
  void sleep_all() {
    for (uint32_t waiter = 0; waiter < 4; ++waiter) view_.waiter(waiter).armed.store(kFutex);
  }
  bool is_awake(uint32_t waiter) { return view_.waiter(waiter).armed.load() == kAwake; }
  uint32_t awake() { return uint32_t{is_awake(0)} + is_awake(1) + is_awake(2); }
};

TEST_F(ExclusiveTest, OneSleeperForEachConnection) {
  wakeups_.touch(kSocket, 1);
  EXPECT_EQ(wakeups_.ring(), 2u);
  EXPECT_EQ(awake(), 1u);
  EXPECT_TRUE(is_awake(3)) << "who is not exclusive is told always";
  sleep_all();
  wakeups_.touch(kSocket, 1);
  wakeups_.touch(kSocket, 1);
  wakeups_.ring();
  EXPECT_EQ(awake(), 2u);
  sleep_all();
  wakeups_.touch(kSocket, 100);
  wakeups_.ring();
  EXPECT_EQ(awake(), 3u);
}

TEST_F(ExclusiveTest, EachSleeperHasItsTurn) {
  for (uint32_t turn = 0; turn < 6; ++turn) {
    sleep_all();
    wakeups_.touch(kSocket, 1);
    wakeups_.ring();
    EXPECT_EQ(awake(), 1u);
    EXPECT_TRUE(is_awake(turn % 3)) << turn;
  }
}

TEST_F(ExclusiveTest, WhoIsAwakeIsToldButDoesNotCount) {
  view_.waiter(0).armed.store(kAwake);
  wakeups_.touch(kSocket, 1);
  wakeups_.ring();
  EXPECT_EQ(notes(0), Sockets{kSocket});
  EXPECT_TRUE(is_awake(1));
  EXPECT_FALSE(is_awake(2));
}

}  // namespace
}  // namespace skerry::sockets
