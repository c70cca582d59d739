#include "run/waiter.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

namespace skerry {
namespace {

TimeNs clock_now() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<TimeNs>(now.tv_sec) * kSecond + static_cast<TimeNs>(now.tv_nsec);
}

class WaiterTest : public testing::Test {
 protected:
  WaiterTest() : waiter_(std::move(*Waiter::create())) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    read_.reset(ends[0]);
    write_.reset(ends[1]);
  }
  void ring(int times = 1) {
    for (int i = 0; i < times; ++i) ASSERT_EQ(::write(write_.get(), "!", 1), 1);
  }
  Result<void> watch() {
    return waiter_.watch(read_.get(), [this](uint32_t) {
      char rings[200];
      const ssize_t ignored = ::read(read_.get(), rings, sizeof rings);
      static_cast<void>(ignored);
    });
  }
  // How long a wait with that time-out took.
  DurationNs waited(DurationNs timeout_ns) {
    const TimeNs before = clock_now();
    waiter_.wait(timeout_ns);
    return clock_now() - before;
  }

  Waiter waiter_;
  Fd read_, write_;
};

TEST_F(WaiterTest, ARingEndsTheWaitOnce) {
  ASSERT_TRUE(watch());
  ring(100);
  EXPECT_LT(waited(20 * kSecond), 10 * kSecond);
  EXPECT_GE(waited(5 * kMillisecond), 5 * kMillisecond) << "all rings were drained at once";
}

TEST_F(WaiterTest, WaitsToTheNanosecondNotToTheMillisecond) {
  DurationNs shortest = kNever;
  for (int i = 0; i < 20; ++i) shortest = std::min(shortest, waited(50 * kMicrosecond));
  EXPECT_GE(shortest, 50 * kMicrosecond);
  EXPECT_LT(shortest, 900 * kMicrosecond);
}

TEST_F(WaiterTest, EdgesEndTheWaitWhenTheyCome) {
  ASSERT_TRUE(waiter_.watch_edges(read_.get()));
  ring();
  EXPECT_LT(waited(20 * kSecond), 10 * kSecond);
  EXPECT_GE(waited(5 * kMillisecond), 5 * kMillisecond) << "the byte is still there, but it is old";
  ring();
  EXPECT_LT(waited(20 * kSecond), 10 * kSecond);
}

TEST_F(WaiterTest, ADeadNeighbourDoesNotKeepUsAwake) {
  ASSERT_TRUE(watch());
  ring();
  write_.reset();
  EXPECT_LT(waited(20 * kSecond), 10 * kSecond) << "what it rang before it died";
  EXPECT_LT(waited(20 * kSecond), 10 * kSecond);
  EXPECT_GE(waited(5 * kMillisecond), 5 * kMillisecond);
}

TEST_F(WaiterTest, AHandlerMayRemoveItselfAndOthers) {
  int other_ends[2];
  ASSERT_EQ(::pipe(other_ends), 0);
  const Fd other_read(other_ends[0]), other_write(other_ends[1]);
  int calls = 0;
  const auto remove_both = [&](uint32_t events) {
    EXPECT_TRUE(events & EPOLLIN);
    ++calls;
    waiter_.unwatch(read_.get());
    waiter_.unwatch(other_read.get());
  };
  ASSERT_TRUE(waiter_.watch(read_.get(), remove_both));
  ASSERT_TRUE(waiter_.watch(other_read.get(), remove_both));
  ring();
  ASSERT_EQ(::write(other_write.get(), "!", 1), 1);
  waiter_.wait(kSecond);
  waiter_.wait(0);
  EXPECT_EQ(calls, 1);
}

TEST_F(WaiterTest, WatchingTwiceOrNothingIsAnError) {
  EXPECT_TRUE(watch());
  EXPECT_FALSE(watch());
  EXPECT_FALSE(waiter_.watch(-1, [](uint32_t) {}));
  waiter_.unwatch(read_.get());
  waiter_.unwatch(read_.get());
  EXPECT_TRUE(watch());
}

}  // namespace
}  // namespace skerry
