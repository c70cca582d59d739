// A whole process around a loop: it idles for nothing, wakes when rung, and ends when told.
#include "run/host.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/loop.hpp"
#include "shm/doorbell.hpp"

namespace skerry {
namespace {

struct Idle {
  uint32_t rx(TimeNs) { return 0; }
  uint32_t tx(TimeNs) { return 0; }
  TimeNs deadline() { return kNever; }
  bool arm() { return true; }
  void disarm() {}
};

class ProcessTest : public testing::Test {
 protected:
  ProcessTest()
      : memory_(std::move(*create_stats_memory())), reader_(std::move(*StatsReader::attach(memory_))) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    wake_.reset(ends[0]);
    ring_.reset(ends[1]);
  }
  ~ProcessTest() override {
    if (child_ > 0) ::kill(child_, SIGKILL), ::waitpid(child_, nullptr, 0);
  }

  void start() {
    child_ = ::fork();
    ASSERT_GE(child_, 0);
    if (child_ > 0) return;
    Result<Host> host = Host::create();
    Result<Stats> stats = Stats::attach(memory_);
    if (!host || !stats || !watch(*host)) ::_exit(2);
    Idle idle;
    Loop loop(idle, *host, *stats, LoopPolicy{});
    loop.run();
    ::_exit(0);
  }

  Result<void> watch(Host& host) {
    Result<Waker> waker = Waker::adopt(std::move(wake_));
    if (!waker) return waker.error();
    waker_.emplace(std::move(*waker));
    return host.waiter().watch(waker_->fd(), [this](uint32_t) { waker_->drain(); });
  }

  // Waits, for at most 5 s, until the counter has at least that value.
  bool reaches(const char* name, uint64_t value) {
    for (int i = 0; i < 5000; ++i) {
      if (reader_.value(name).value_or(0) >= value) return true;
      ::usleep(1000);
    }
    return false;
  }

  Fd memory_;
  StatsReader reader_;
  Fd wake_, ring_;
  std::optional<Waker> waker_;
  pid_t child_ = -1;
};

TEST_F(ProcessTest, IdleCostsNothingAndTermEndsIt) {
  start();
  ASSERT_TRUE(reaches("asleep", 1));
  const uint64_t breaths = *reader_.value("breaths");
  ::usleep(300'000);
  EXPECT_EQ(reader_.value("breaths"), breaths) << "nobody rang, so nobody woke";

  ASSERT_EQ(::kill(child_, SIGTERM), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child_, &status, 0), child_);
  child_ = -1;
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(ProcessTest, EachRingWakesIt) {
  start();
  for (uint64_t i = 1; i <= 20; ++i) {
    ASSERT_TRUE(reaches("sleeps", i));
    ASSERT_EQ(::write(ring_.get(), "!", 1), 1);
  }
  EXPECT_TRUE(reaches("sleeps", 21));
}

TEST_F(ProcessTest, StopsWhileBusy) {
  Result<Host> host = Host::create();
  ASSERT_TRUE(host);
  ASSERT_FALSE(host->stop_requested());
  ASSERT_EQ(::kill(::getpid(), SIGTERM), 0);
  host->wait(0);
  EXPECT_TRUE(host->stop_requested());
}

}  // namespace
}  // namespace skerry
