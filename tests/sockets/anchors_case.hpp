// The ground of the tests of anchors: a door, and programs that knock.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "sockets/anchors.hpp"

namespace skerry::sockets {

inline constexpr SessionSize kSize{
    .sockets = 64, .waiters = 4, .calls = 64, .processes = 4, .stream_bytes = 4096};

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

}  // namespace skerry::sockets
