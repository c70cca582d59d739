// The door protocol: who may attach, what each gets, how a process's end is noticed, what liars get.
#include "sockets/anchors.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

namespace skerry::sockets {
namespace {

constexpr SessionSize kSize{.sockets = 64, .waiters = 4, .calls = 64, .processes = 4, .stream_bytes = 4096};

class AnchorsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    memory_ = Fd(::memfd_create("session", MFD_CLOEXEC));
    const uint64_t bytes = SessionView::region_bytes(kSize);
    ASSERT_EQ(::ftruncate(memory_.get(), static_cast<off_t>(bytes)), 0);
    base_ = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_.get(), 0);
    ASSERT_NE(base_, MAP_FAILED);
    view_ = SessionView(static_cast<uint8_t*>(base_), kSize);
    Fd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    // Autobind: the kernel picks an abstract name that nobody else has.
    sockaddr_un any{};
    any.sun_family = AF_UNIX;
    ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&any), sizeof(sa_family_t)), 0);
    ASSERT_EQ(::listen(listener.get(), 64), 0);
    name_bytes_ = sizeof name_;
    ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&name_), &name_bytes_), 0);
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    wake_ = Fd(ends[0]);
    Result<Anchors> anchors = Anchors::create(
        view_, {std::move(listener), Fd(::dup(memory_.get())), Fd(ends[1])},
        {.arrived = [this](uint32_t slot) { arrived_.push_back(slot); },
         .died = [this](uint32_t slot) { died_.push_back(slot); },
         .forked =
             [this](uint32_t parent, uint32_t child) {
               forks_.push_back({parent, child});
             },
         .executed = [this](uint32_t slot) { executed_.push_back(slot); },
         .doorbell_made = [this](uint32_t waiter, Fd end) { bells_.emplace_back(waiter, std::move(end)); },
         .carry =
             [this](uint32_t socket) {
               if (socket != kUsed) return false;
               ++carriers_;
               return true;
             },
         .claim =
             [this](uint32_t socket, uint32_t slot) {
               claims_.push_back({socket, slot});
             },
         .put_down =
             [this](uint32_t socket) {
               EXPECT_EQ(socket, kUsed);
               --carriers_;
             }});
    ASSERT_TRUE(anchors);
    anchors_.emplace(std::move(*anchors));
  }
  void TearDown() override { ::munmap(base_, SessionView::region_bytes(kSize)); }

  Fd connect() {
    Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&name_), name_bytes_), 0);
    return fd;
  }
  void send(const Fd& to, const void* bytes, size_t length, int passed = -1) {
    iovec piece{const_cast<void*>(bytes), length};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    if (passed >= 0) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof(int));
      std::memcpy(CMSG_DATA(header), &passed, sizeof passed);
    }
    ASSERT_EQ(::sendmsg(to.get(), &message, 0), static_cast<ssize_t>(length));
    serve();
  }
  void serve() {
    for (int i = 0; i < 4; ++i) anchors_->serve();
  }
  struct Answer {
    ssize_t length = 0;
    AnchorReply reply;
    std::vector<Fd> fds;
  };
  Answer receive(const Fd& from) {
    Answer answer;
    iovec piece{&answer.reply, sizeof answer.reply};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 4)];
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    answer.length = ::recvmsg(from.get(), &message, MSG_DONTWAIT);
    if (answer.length <= 0) return answer;
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
      for (size_t i = 0; i < (header->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
        int fd;
        std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
        answer.fds.emplace_back(fd);
      }
    }
    return answer;
  }
  Answer ask(const Fd& on, AnchorRequest request, int passed = -1) {
    send(on, &request, sizeof request, passed);
    return receive(on);
  }
  static Fd pidfd_of(pid_t pid) { return Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

  Fd memory_, wake_;
  void* base_ = nullptr;
  SessionView view_;
  sockaddr_un name_{};
  socklen_t name_bytes_ = 0;
  std::optional<Anchors> anchors_;
  std::vector<uint32_t> arrived_;
  std::vector<uint32_t> died_;
  std::vector<uint32_t> executed_;
  std::vector<std::pair<uint32_t, uint32_t>> forks_;
  std::vector<std::pair<uint32_t, Fd>> bells_;
  static constexpr uint32_t kUsed = 5;  // the only socket that there is
  int carriers_ = 0;
  std::vector<std::pair<uint32_t, uint32_t>> claims_;
};

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

TEST_F(AnchorsTest, DoorbellGivesTheReadEnd) {
  const Fd on = connect();
  const Answer answer = ask(on, {.op = AnchorOp::doorbell, .slot = 3});
  ASSERT_EQ(answer.fds.size(), 1u);
  ASSERT_EQ(bells_.size(), 1u);
  EXPECT_EQ(bells_[0].first, 3u);
  ASSERT_EQ(::write(bells_[0].second.get(), "x", 1), 1);
  char byte;
  EXPECT_EQ(::read(answer.fds[0].get(), &byte, 1), 1);
}

TEST_F(AnchorsTest, NonsenseIsRefused) {
  const Fd on = connect();
  EXPECT_EQ(ask(on, {.op = AnchorOp::doorbell, .slot = kSize.waiters}).reply.error, EINVAL);
  EXPECT_EQ(ask(on, {.op = AnchorOp::fork, .slot = 2}).reply.error, EINVAL);
  EXPECT_EQ(ask(on, {.op = AnchorOp::attach, .slot = 3}).reply.error, EINVAL);

  const Fd wrong_magic = connect();
  EXPECT_EQ(ask(wrong_magic, {.magic = 1}).length, 0) << "the connection ends";
  const Fd wrong_op = connect();
  EXPECT_EQ(ask(wrong_op, {.op = static_cast<AnchorOp>(99)}).length, 0);
  const Fd short_one = connect();
  send(short_one, "abc", 3);
  EXPECT_EQ(receive(short_one).length, 0);
  EXPECT_EQ(anchors_->faults(), 3u);
}

TEST_F(AnchorsTest, ACarrierTellsWhoeverReceivesItWhatItIs) {
  view_.control().mac = MacAddress{{2, 0, 0, 0, 0, 2}};
  const Fd anchor = connect();
  const uint32_t slot = ask(anchor, {.pid = 7}).reply.slot;
  Fd carrier = connect();
  EXPECT_EQ(ask(carrier, {.op = AnchorOp::carry, .slot = slot, .socket = kUsed}).reply.error, 0);
  EXPECT_EQ(carriers_, 1);
  const AnchorRequest claim{.op = AnchorOp::claim, .slot = slot, .session = view_.control().mac};
  for (int receiver = 0; receiver < 2; ++receiver) {
    const Answer answer = ask(carrier, claim);
    EXPECT_EQ(answer.reply.error, 0);
    EXPECT_EQ(answer.reply.socket, kUsed);
  }
  EXPECT_EQ(claims_, (std::vector<std::pair<uint32_t, uint32_t>>{{kUsed, slot}, {kUsed, slot}}));
  EXPECT_EQ(ask(carrier, {.op = AnchorOp::claim, .slot = slot}).reply.error, EINVAL)
      << "another session's program";
  EXPECT_EQ(ask(carrier, {.op = AnchorOp::claim, .slot = slot + 1, .session = claim.session}).reply.error,
            EINVAL);
  EXPECT_EQ(claims_.size(), 2u);
  carrier.reset();
  serve();
  EXPECT_EQ(carriers_, 0);
}

TEST_F(AnchorsTest, AConnectionIsAnAnchorOrCarriesOneSocket) {
  const Fd anchor = connect();
  const uint32_t slot = ask(anchor, {.pid = 7}).reply.slot;
  EXPECT_EQ(ask(anchor, {.op = AnchorOp::carry, .socket = kUsed}).reply.error, EINVAL);
  EXPECT_EQ(ask(anchor, {.op = AnchorOp::claim, .slot = slot}).reply.error, EINVAL);
  const Fd carrier = connect();
  EXPECT_EQ(ask(carrier, {.op = AnchorOp::carry, .socket = kUsed + 1}).reply.error, EBADF);
  EXPECT_EQ(ask(carrier, {.op = AnchorOp::carry, .socket = UINT32_MAX}).reply.error, EBADF);
  EXPECT_EQ(ask(carrier, {.op = AnchorOp::carry, .socket = kUsed}).reply.error, 0);
  EXPECT_EQ(ask(carrier, {.op = AnchorOp::carry, .socket = kUsed}).reply.error, EINVAL);
  EXPECT_EQ(ask(carrier, {.pid = 8}).reply.error, EINVAL);
  EXPECT_EQ(ask(carrier, {.op = AnchorOp::fork, .slot = slot}).reply.error, EINVAL);
  EXPECT_EQ(carriers_, 1);
}

TEST_F(AnchorsTest, WhatIsNoPidfdIsNotWatched) {
  Fd anchor = connect();
  const Fd file(::memfd_create("not a process", MFD_CLOEXEC));
  const uint32_t slot = ask(anchor, {.pid = 7}, file.get()).reply.slot;
  serve();
  EXPECT_TRUE(anchors_->is_live(slot));
  anchor.reset();
  serve();
  EXPECT_FALSE(anchors_->is_live(slot));
}

TEST_F(AnchorsTest, ProcessesBeyondTheLimitAreToldSo) {
  std::vector<Fd> anchors;
  for (uint32_t i = 0; i < kSize.processes; ++i) {
    anchors.push_back(connect());
    EXPECT_EQ(ask(anchors.back(), {.pid = 100 + i}).reply.error, 0);
  }
  const Fd last = connect();
  EXPECT_EQ(ask(last, {.pid = 200}).reply.error, EAGAIN);
}

TEST_F(AnchorsTest, OneCallAcceptsOnlySoMany) {
  const auto open_descriptors = [] {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return std::distance(begin(all), end(all));
  };
  std::vector<Fd> knocking;
  for (int i = 0; i < 40; ++i) knocking.push_back(connect());
  const auto before = open_descriptors();
  anchors_->serve();
  EXPECT_EQ(open_descriptors() - before, 32);
  anchors_->serve();
  EXPECT_EQ(open_descriptors() - before, 40) << "the rest comes next";
}

}  // namespace
}  // namespace skerry::sockets
