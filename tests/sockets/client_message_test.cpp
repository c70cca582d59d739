// recvmsg(2), sendmsg(2) and recvmmsg(2): what they leave in the caller's structures, and the control data
// that they refuse.
#include <netinet/udp.h>

#include <cstring>

#include "client_case.hpp"

namespace skerry::sockets {
namespace {

// A msghdr whose every word that a call may change has a value that no call stores.
struct Message {
  char bytes[64] = {}, control[256] = {};
  sockaddr_storage name{};
  iovec piece{bytes, sizeof bytes};
  msghdr header{&name, 100, &piece, 1, control, sizeof control, 0x7777};

  std::string told() const {
    return std::to_string(header.msg_namelen) + " " + std::to_string(header.msg_controllen) + " " +
           std::to_string(header.msg_flags);
  }
};

class MessageTest : public ConnectedCase {
 protected:
  void SetUp() override {
    ConnectedCase::SetUp();
    one_ = os->socket(AF_INET, SOCK_DGRAM);
    other_ = os->socket(AF_INET, SOCK_DGRAM);
    const sockaddr_in any = loopback(0);
    EXPECT_EQ(os->bind(other_, as_sockaddr(any), sizeof any), 0);
    const sockaddr_in to = loopback(port_of(other_));
    EXPECT_EQ(os->connect(one_, as_sockaddr(to), sizeof to), 0);
  }
  void TearDown() override {
    os->close(one_);
    os->close(other_);
    ConnectedCase::TearDown();
  }
  // What sendmsg() gives with such control data.
  ssize_t send_beside(int fd, int level, int type, const std::string& value, const std::string& text = "x") {
    Message message;
    message.header = {nullptr, 0, &message.piece, 1, message.control, CMSG_SPACE(value.size()), 0};
    message.piece = {const_cast<char*>(text.data()), text.size()};
    cmsghdr* const control = CMSG_FIRSTHDR(&message.header);
    *control = {.cmsg_len = CMSG_LEN(value.size()), .cmsg_level = level, .cmsg_type = type};
    std::memcpy(CMSG_DATA(control), value.data(), value.size());
    return os->send_message(fd, &message.header, MSG_NOSIGNAL);
  }

  int one_ = -1, other_ = -1;  // of datagrams
};
ON_KERNEL_AND_CLIENT(MessageTest);

TEST_P(MessageTest, ACallThatFailsLeavesTheStructureAsItWas) {
  for (const int fd : {b_, other_})
    for (const int flags : {int{MSG_DONTWAIT}, MSG_DONTWAIT | MSG_ERRQUEUE}) {
      Message message;
      EXPECT_EQ(os->receive_message(fd, &message.header, flags), -EAGAIN);
      EXPECT_EQ(message.told(), "100 256 30583");
    }
}

TEST_P(MessageTest, OfAStream) {
  send(a_, "abc");
  wait_for(b_, POLLIN);
  Message message;
  message.piece.iov_len = 1;
  EXPECT_EQ(os->receive_message(b_, &message.header, MSG_CMSG_CLOEXEC), 1);
  EXPECT_EQ(message.told(), "0 0 " + std::to_string(MSG_CMSG_CLOEXEC));
  Message nameless;
  nameless.piece.iov_len = 1;
  nameless.header.msg_name = nullptr;
  EXPECT_EQ(os->receive_message(b_, &nameless.header, 0), 1);
  EXPECT_EQ(nameless.told(), "100 0 0");
}

TEST_P(MessageTest, OfDatagrams) {
  send(one_, "abc");
  wait_for(other_, POLLIN);
  Message message;
  message.piece.iov_len = 1;
  EXPECT_EQ(os->receive_message(other_, &message.header, MSG_CMSG_CLOEXEC | MSG_PEEK), 1);
  EXPECT_EQ(message.told(), "16 0 " + std::to_string(MSG_CMSG_CLOEXEC | MSG_TRUNC));
  Message nameless;
  nameless.header.msg_name = nullptr;
  nameless.header.msg_namelen = UINT32_MAX;  // nobody reads it
  EXPECT_EQ(os->receive_message(other_, &nameless.header, 0), 3);
  EXPECT_EQ(nameless.told(), "4294967295 0 0");
}

TEST_P(MessageTest, ANegativeLengthOfANameIsRefused) {
  send(one_, "x");
  wait_for(other_, POLLIN);
  Message message;
  message.header.msg_namelen = UINT32_MAX;
  EXPECT_EQ(os->receive_message(other_, &message.header, 0), -EINVAL);
  EXPECT_EQ(os->receive_message(b_, &message.header, MSG_DONTWAIT), -EINVAL);
  message.header.msg_controllen = 0;
  EXPECT_EQ(os->send_message(a_, &message.header, MSG_NOSIGNAL), -EINVAL);
  EXPECT_EQ(os->send_message(one_, &message.header, MSG_NOSIGNAL), -EINVAL);
  EXPECT_EQ(receive(other_, 4, MSG_DONTWAIT), "x");
}

TEST_P(MessageTest, OfUdpNoUnknownControlDataIsPassedOver) {
  EXPECT_EQ(send_beside(one_, IPPROTO_UDP, 99, "1234"), -EINVAL);
  EXPECT_EQ(send_beside(one_, IPPROTO_UDP, UDP_SEGMENT, "1"), -EINVAL);
  EXPECT_EQ(send_beside(one_, IPPROTO_TCP, 99, "1234"), 1);
  if (is_client()) {  // which has no segments: docs/sockets.md
    EXPECT_EQ(send_beside(one_, IPPROTO_UDP, UDP_SEGMENT, std::string("\2\0", 2), "abcd"), -EINVAL);
  }
  wait_for(other_, POLLIN);
  EXPECT_EQ(receive(other_, 4, MSG_DONTWAIT), "x");
  EXPECT_EQ(receive(other_, 1, MSG_DONTWAIT), "error 11");
}

TEST_P(MessageTest, StreamsReadTheControlDataOfSocketsAlone) {
  EXPECT_EQ(send_beside(a_, SOL_SOCKET, 255, "1234"), -EINVAL);
  EXPECT_EQ(send_beside(a_, SOL_SOCKET, 255, "1234", ""), -EINVAL);
  EXPECT_EQ(send_beside(a_, SOL_SOCKET, SCM_RIGHTS, ""), 1);
  for (const int level : {int{IPPROTO_UDP}, int{IPPROTO_IP}, int{IPPROTO_IPV6}, int{IPPROTO_TCP}})
    EXPECT_EQ(send_beside(a_, level, 99, "1234"), 1) << level;
  EXPECT_EQ(receive(b_, 5, MSG_WAITALL), "xxxxx");
  EXPECT_EQ(receive(b_, 1, MSG_DONTWAIT), "error 11");
  os->shutdown(a_, SHUT_WR);
  EXPECT_EQ(send_beside(a_, SOL_SOCKET, 255, "1234"), -EPIPE);
  const int fresh = os->socket(AF_INET, SOCK_STREAM);
  EXPECT_EQ(send_beside(fresh, SOL_SOCKET, 255, "1234"), -EPIPE);
  os->close(fresh);
}

TEST_P(MessageTest, WhatIsLeftOfTheTimeIsWrittenBackOfSeveral) {
  for (const bool some : {false, true}) {
    if (some) {
      send(one_, "x");
      wait_for(other_, POLLIN);
    }
    Message message;
    mmsghdr messages[1] = {{message.header, 0}};
    timespec time{.tv_sec = 5, .tv_nsec = 0};
    EXPECT_EQ(os->receive_messages(other_, messages, 1, MSG_DONTWAIT, &time), some ? 1 : -EAGAIN);
    EXPECT_EQ(time.tv_sec, some ? 4 : 5);
    EXPECT_EQ(time.tv_nsec != 0, some);
  }
  send(one_, "x");
  send(one_, "y");
  Message message;
  mmsghdr messages[2] = {{message.header, 0}, {message.header, 0}};
  timespec none{};
  EXPECT_EQ(os->receive_messages(other_, messages, 2, 0, &none), 1);
  EXPECT_EQ(none.tv_sec + none.tv_nsec, 0);
}

TEST_P(MessageTest, ATimeThatIsNoneIsRefused) {
  Message message;
  mmsghdr messages[1] = {{message.header, 0}};
  send(one_, "x");
  wait_for(other_, POLLIN);
  for (const timespec wrong : {timespec{-1, 0}, timespec{0, -1}, timespec{0, 1'000'000'000}}) {
    timespec time = wrong;
    EXPECT_EQ(os->receive_messages(other_, messages, 1, MSG_DONTWAIT, &time), -EINVAL);
  }
  timespec longest{.tv_sec = INT64_MAX, .tv_nsec = 0};
  EXPECT_EQ(os->receive_messages(other_, messages, 1, 0, &longest), 1);
}

}  // namespace
}  // namespace skerry::sockets
