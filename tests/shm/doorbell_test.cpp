#include "shm/doorbell.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

namespace skerry {
namespace {

bool readable(int fd) {
  pollfd entry{fd, POLLIN, 0};
  return ::poll(&entry, 1, 0) == 1;
}

struct DoorbellTest : testing::Test {
  void SetUp() override {
    ::signal(SIGPIPE, SIG_IGN);
    Result<DoorbellPipe> created = DoorbellPipe::create();
    ASSERT_TRUE(created);
    pipe = std::move(*created);
  }
  DoorbellPipe pipe;
};

TEST_F(DoorbellTest, ARingWakesUntilDrained) {
  Result<Ringer> ringer = Ringer::adopt(std::move(pipe.ring));
  Result<Waker> waker = Waker::adopt(std::move(pipe.wake));
  ASSERT_TRUE(ringer && waker);
  EXPECT_FALSE(readable(waker->fd()));
  EXPECT_TRUE(waker->drain());  // nothing there: does not block
  EXPECT_TRUE(ringer->ring());
  EXPECT_TRUE(ringer->ring());
  EXPECT_TRUE(readable(waker->fd()));
  EXPECT_TRUE(waker->drain());
  EXPECT_FALSE(readable(waker->fd()));
}

TEST_F(DoorbellTest, AFullPipeHasBeenRung) {
  Result<Ringer> ringer = Ringer::adopt(Fd(::dup(pipe.ring.get())));
  ASSERT_TRUE(ringer);
  char bytes[4096] = {};
  while (::write(pipe.ring.get(), bytes, sizeof bytes) > 0) {
  }
  EXPECT_TRUE(ringer->ring());
}

TEST_F(DoorbellTest, BlockingEndsAreMadeNonBlocking) {
  ASSERT_EQ(::fcntl(pipe.ring.get(), F_SETFL, 0), 0);
  ASSERT_EQ(::fcntl(pipe.wake.get(), F_SETFL, 0), 0);
  Result<Ringer> ringer = Ringer::adopt(Fd(::dup(pipe.ring.get())));
  Result<Waker> waker = Waker::adopt(Fd(::dup(pipe.wake.get())));
  ASSERT_TRUE(ringer && waker);
  EXPECT_TRUE(::fcntl(pipe.ring.get(), F_GETFL) & O_NONBLOCK);
  EXPECT_TRUE(::fcntl(pipe.wake.get(), F_GETFL) & O_NONBLOCK);
}

// Whoever holds one end can open the other through /proc; what it gets is a description of its own.
TEST_F(DoorbellTest, FlagsOfAnEndOpenedAnewAreNotOurs) {
  Result<Ringer> ringer = Ringer::adopt(std::move(pipe.ring));
  ASSERT_TRUE(ringer);
  const std::string path = "/proc/self/fd/" + std::to_string(pipe.wake.get());
  Fd intruder(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK));
  ASSERT_TRUE(intruder);
  ASSERT_EQ(::fcntl(intruder.get(), F_SETFL, O_DIRECT | O_NONBLOCK), 0);
  while (::write(intruder.get(), "x", 1) > 0) {
  }
  ASSERT_EQ(::fcntl(intruder.get(), F_SETFL, 0), 0);  // blocking
  EXPECT_TRUE(ringer->ring());
}

TEST_F(DoorbellTest, AGoneReaderIsNoticedAndDoesNotKill) {
  Result<Ringer> ringer = Ringer::adopt(std::move(pipe.ring));
  ASSERT_TRUE(ringer);
  pipe.wake.reset();
  EXPECT_FALSE(ringer->ring());
}

TEST_F(DoorbellTest, AGoneRingerIsNoticedAndNotPolledForEver) {
  Result<Waker> waker = Waker::adopt(std::move(pipe.wake));
  ASSERT_TRUE(waker);
  ASSERT_EQ(::write(pipe.ring.get(), "x", 1), 1);
  pipe.ring.reset();
  EXPECT_TRUE(waker->drain());  // what was rung before
  EXPECT_FALSE(waker->drain());
  EXPECT_EQ(waker->fd(), -1);
  EXPECT_FALSE(waker->drain());
}

TEST_F(DoorbellTest, RefusesWrongEndsAndOtherFiles) {
  EXPECT_FALSE(Ringer::adopt(Fd(::dup(pipe.wake.get()))));
  EXPECT_FALSE(Waker::adopt(Fd(::dup(pipe.ring.get()))));
  EXPECT_FALSE(Ringer::adopt(Fd()));
  int sockets[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
  EXPECT_FALSE(Ringer::adopt(Fd(sockets[0])));
  EXPECT_FALSE(Waker::adopt(Fd(sockets[1])));
}

TEST_F(DoorbellTest, RefusesAProcessThatWouldDieOfIt) {
  ::signal(SIGPIPE, SIG_DFL);
  Result<Ringer> ringer = Ringer::adopt(std::move(pipe.ring));
  ::signal(SIGPIPE, SIG_IGN);
  ASSERT_FALSE(ringer);
  EXPECT_NE(ringer.error().message.find("SIGPIPE"), std::string::npos);
}

}  // namespace
}  // namespace skerry
