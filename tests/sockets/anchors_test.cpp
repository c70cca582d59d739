// The door protocol: who may attach, what each gets, how a process's end is noticed.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "anchors_case.hpp"

namespace skerry::sockets {
namespace {

TEST_F(AnchorsTest, AttachGivesSlotSizesMemoryAndBell) {
  const Fd anchor = connect();
  const Answer answer = ask(anchor, {.pid = 7});
  ASSERT_EQ(answer.length, static_cast<ssize_t>(sizeof(AnchorReply)));
  EXPECT_EQ(answer.reply.error, 0);
  EXPECT_EQ(answer.reply.size.sockets, kSize.sockets);
  ASSERT_EQ(answer.fds.size(), 2u);
  ASSERT_EQ(::write(answer.fds[1].get(), "x", 1), 1);
  char byte;
  EXPECT_EQ(::read(wake_.get(), &byte, 1), 1);
  EXPECT_TRUE(anchors_->is_live(answer.reply.slot));
  EXPECT_EQ(arrived_, std::vector<uint32_t>{answer.reply.slot});
  EXPECT_EQ(view_.process_ids()[answer.reply.slot].load(), 7u);
}

TEST_F(AnchorsTest, WithoutPidfdTheEndOfTheConnectionIsTheEndOfTheProcess) {
  Fd anchor = connect();
  const uint32_t slot = ask(anchor, {.pid = 7}).reply.slot;
  anchor.reset();
  serve();
  EXPECT_EQ(died_, std::vector<uint32_t>{slot});
  EXPECT_FALSE(anchors_->is_live(slot));
}

TEST_F(AnchorsTest, SaysBeyondWhichSlotNobodyEverWas) {
  EXPECT_EQ(view_.control().slot_limit.load(), 0u);
  Fd one = connect();
  const Fd other = connect();
  ask(one, {.pid = 7});
  ask(other, {.pid = 8});
  EXPECT_EQ(view_.control().slot_limit.load(), 2u);
  one.reset();
  serve();
  const Fd next = connect();
  EXPECT_EQ(ask(next, {.pid = 9}).reply.slot, 0u);
  EXPECT_EQ(view_.control().slot_limit.load(), 2u);
}

// The word lies where the program writes.
TEST_F(AnchorsTest, BelievesNoWordOfTheProgramAboutSlots) {
  const Fd one = connect();
  ask(one, {.pid = 7});
  view_.control().slot_limit.store(UINT32_MAX);
  const Fd other = connect();
  ask(other, {.pid = 8});
  EXPECT_EQ(view_.control().slot_limit.load(), 2u);
}

TEST_F(AnchorsTest, WithPidfdOnlyTheDeathOfTheProcessCounts) {
  int gate[2];
  ASSERT_EQ(::pipe(gate), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    char byte;
    ::close(gate[1]);
    const ssize_t ignored = ::read(gate[0], &byte, 1);
    static_cast<void>(ignored);
    ::_exit(0);
  }
  ::close(gate[0]);
  Fd anchor = connect();
  const Fd pidfd = pidfd_of(child);
  const uint32_t slot = ask(anchor, {.pid = 7}, pidfd.get()).reply.slot;
  anchor.reset();
  serve();
  EXPECT_TRUE(anchors_->is_live(slot)) << "a process may close its anchor and live on";
  ::close(gate[1]);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  serve();
  EXPECT_EQ(died_, std::vector<uint32_t>{slot});
  // The program still holds the pidfd of the dead. A newcomer in the same slot must not be taken for it.
  const Fd next = connect();
  EXPECT_EQ(ask(next, {.pid = 8}).reply.slot, slot);
  serve();
  EXPECT_TRUE(anchors_->is_live(slot));
}

TEST_F(AnchorsTest, ProcessThatCalledExecGetsItsSlotBack) {
  Fd before = connect();
  const uint32_t slot = ask(before, {.pid = 7}).reply.slot;
  const Fd after = connect();
  EXPECT_EQ(ask(after, {.pid = 7}).reply.slot, slot);
  before.reset();  // inherited descriptors of the old image close one by one
  serve();
  EXPECT_TRUE(anchors_->is_live(slot));
  EXPECT_TRUE(died_.empty());
}

TEST_F(AnchorsTest, ForkPromisesASlotAndClosingUndoesIt) {
  const Fd parent = connect();
  const uint32_t slot = ask(parent, {.pid = 7}).reply.slot;
  Fd promise = connect();
  const Answer answer = ask(promise, {.op = AnchorOp::fork, .slot = slot});
  ASSERT_EQ(answer.reply.error, 0);
  ASSERT_EQ(forks_.size(), 1u);
  EXPECT_EQ(forks_[0], std::make_pair(slot, answer.reply.slot));
  const Answer attached = ask(promise, {.slot = answer.reply.slot, .pid = 8});
  EXPECT_EQ(attached.reply.slot, answer.reply.slot);
  EXPECT_EQ(attached.fds.size(), 2u);

  Fd failed = connect();
  const uint32_t unused = ask(failed, {.op = AnchorOp::fork, .slot = slot}).reply.slot;
  failed.reset();
  serve();
  EXPECT_EQ(died_, std::vector<uint32_t>{unused});
}

TEST_F(AnchorsTest, AProcessMayBeKilledBeforeItsExecIsHeardOf) {
  Fd anchor = connect();
  const uint32_t slot = ask(anchor, {.pid = 7}).reply.slot;
  anchor.reset();
  serve();
  ASSERT_FALSE(anchors_->is_live(slot));
  const AnchorRequest request{.op = AnchorOp::execute, .slot = slot, .pid = 7, .attempt = 1};
  Fd told = connect();
  send(told, &request, sizeof request);
  told.reset();
  serve();
  EXPECT_EQ(anchors_->faults(), 0u);
  EXPECT_TRUE(executed_.empty());
}

TEST_F(AnchorsTest, AConnectionThatEndsTellsOfANewProgramUnlessItsProcessGaveUp) {
  const Fd anchor = connect();
  const uint32_t slot = ask(anchor, {.pid = 7}).reply.slot;
  const AnchorRequest request{.op = AnchorOp::execute, .slot = slot, .pid = 7, .attempt = 1};
  for (const uint32_t executing : {0u, 1u}) {
    Fd told = connect();
    send(told, &request, sizeof request);
    EXPECT_EQ(receive(told).length, -1) << "no reply";
    EXPECT_EQ(ask(told, {.op = AnchorOp::carry, .socket = kUsed}).reply.error, EINVAL);
    view_.process(slot).executing.store(executing);
    told.reset();
    serve();
    EXPECT_EQ(executed_.size(), executing);
    EXPECT_EQ(view_.process(slot).executing.load(), 0u);
  }
  // One that gave up, and is at its next attempt when that is seen.
  AnchorRequest other = request;
  other.attempt = 2;
  Fd first = connect(), second = connect();
  send(first, &request, sizeof request);
  first.reset();
  send(second, &other, sizeof other);
  view_.process(slot).executing.store(2);
  serve();
  EXPECT_EQ(executed_.size(), 1u);
  EXPECT_EQ(view_.process(slot).executing.load(), 2u);
  second.reset();
  serve();
  ASSERT_EQ(executed_.size(), 2u);
  executed_.pop_back();
  // A program that arrives has begun, even if the connection is seen to end later.
  const Fd told = connect();
  send(told, &request, sizeof request);
  view_.process(slot).executing.store(1);
  const Fd again = connect();
  EXPECT_EQ(ask(again, {.pid = 7}).reply.slot, slot);
  EXPECT_EQ(executed_.size(), 2u);
  EXPECT_EQ(anchors_->faults(), 0u);
  send(again, &request, sizeof request);
  EXPECT_EQ(anchors_->faults(), 1u) << "an anchor is none";
}

TEST_F(AnchorsTest, ASlotIsForWhomItsParentSpawns) {
  const Fd parent = connect();
  AnchorRequest request{.op = AnchorOp::attach, .pid = 7};
  send(parent, &request, sizeof request);
  const uint32_t own = receive(parent).reply.slot;
  for (const bool child_is_first : {false, true}) {
    const Fd promise = connect();
    request = {.op = AnchorOp::spawn, .slot = own, .pid = 7};
    send(promise, &request, sizeof request);
    const uint32_t slot = receive(promise).reply.slot;
    const pid_t process = ::fork();
    if (process == 0) {
      ::pause();
      ::_exit(0);
    }
    const auto pid = static_cast<uint32_t>(process);
    const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
    const Fd child = connect();
    const auto arrive = [&] {
      request = {.op = AnchorOp::attach, .pid = pid, .parent = 7};
      send(child, &request, sizeof request, pidfd.get());
      EXPECT_EQ(receive(child).reply.slot, slot);
    };
    if (child_is_first) arrive();
    request = {.op = AnchorOp::spawned, .slot = slot, .pid = pid};
    send(promise, &request, sizeof request, pidfd.get());
    EXPECT_EQ(receive(promise).reply.error, 0);
    const_cast<Fd&>(promise).reset();
    serve();
    EXPECT_TRUE(anchors_->is_live(slot));
    if (!child_is_first) arrive();
    ::kill(process, SIGKILL);
    ::waitpid(process, nullptr, 0);
    serve();
    EXPECT_FALSE(anchors_->is_live(slot));
  }
}

}  // namespace
}  // namespace skerry::sockets
