// Datagrams as programs see them: every test runs on both.
#include <sys/ioctl.h>

#include <utility>
#include <vector>

#include "client_case.hpp"

namespace skerry::sockets {
namespace {

class DatagramTest : public OsCase {
 protected:
  void SetUp() override {
    OsCase::SetUp();
    a = bound(a_port);
    b = bound(b_port);
  }
  void TearDown() override {
    os->close(a);
    os->close(b);
    OsCase::TearDown();
  }
  int bound(uint16_t& port) {
    const int fd = os->socket(AF_INET, SOCK_DGRAM);
    const timeval limit{.tv_sec = 20, .tv_usec = 0};
    EXPECT_EQ(os->set_option(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    const sockaddr_in any = loopback(0);
    EXPECT_EQ(os->bind(fd, as_sockaddr(any), sizeof any), 0);
    port = port_of(fd);
    return fd;
  }
  ssize_t send_to(int fd, uint16_t port, const std::string& text) {
    const sockaddr_in to = loopback(port);
    return os->send(fd, text.data(), text.size(), 0, as_sockaddr(to), sizeof to);
  }

  int a = -1, b = -1;
  uint16_t a_port = 0, b_port = 0;
};
ON_KERNEL_AND_CLIENT(DatagramTest);

TEST_P(DatagramTest, ArriveWholeWithTheSendersName) {
  EXPECT_EQ(send_to(a, b_port, "one"), 3);
  EXPECT_EQ(send_to(a, b_port, ""), 0);
  EXPECT_EQ(send_to(a, b_port, "three"), 5);
  char bytes[16];
  sockaddr_in from{};
  socklen_t length = sizeof from;
  EXPECT_EQ(os->receive(b, bytes, sizeof bytes, 0, reinterpret_cast<sockaddr*>(&from), &length), 3);
  EXPECT_EQ(ntohs(from.sin_port), a_port);
  EXPECT_EQ(length, sizeof from);
  EXPECT_EQ(receive(b), "");
  EXPECT_EQ(receive(b), "three");
  EXPECT_EQ(receive(b, 1, MSG_DONTWAIT), "error 11");
}

TEST_P(DatagramTest, ShortBufferCutsAndSaysSo) {
  send_to(a, b_port, "abcdefgh");
  wait_for(b, POLLIN);
  int waiting = 0;
  EXPECT_EQ(os->control(b, FIONREAD, &waiting), 0);
  EXPECT_EQ(waiting, 8);
  char bytes[3];
  EXPECT_EQ(os->receive(b, bytes, sizeof bytes, MSG_PEEK | MSG_TRUNC), 8);
  iovec piece{bytes, sizeof bytes};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  EXPECT_EQ(os->receive_message(b, &message, 0), 3);
  EXPECT_EQ(message.msg_flags, MSG_TRUNC);
  EXPECT_EQ(receive(b, 1, MSG_DONTWAIT), "error 11");
}

TEST_P(DatagramTest, ConnectedSocketNeedsNoName) {
  const sockaddr_in to = loopback(b_port);
  EXPECT_EQ(send(a, "x"), -EDESTADDRREQ);
  EXPECT_EQ(os->connect(a, as_sockaddr(to), sizeof to), 0);
  EXPECT_EQ(send(a, "x"), 1);
  EXPECT_EQ(receive(b), "x");
  sockaddr_in nobody{};
  nobody.sin_family = AF_UNSPEC;
  EXPECT_EQ(os->connect(a, as_sockaddr(nobody), sizeof nobody), 0);
  EXPECT_EQ(send(a, "x"), -EDESTADDRREQ);
}

// However much later the stack comes to send it.
TEST_P(DatagramTest, EachGoesToThePeerOfItsTime) {
  uint16_t c_port = 0;
  const int c = bound(c_port);
  const sockaddr_in first = loopback(b_port), second = loopback(c_port);
  for (int round = 0; round < 100; ++round) {
    ASSERT_EQ(os->connect(a, as_sockaddr(first), sizeof first), 0);
    ASSERT_EQ(send(a, "one"), 3);
    ASSERT_EQ(os->connect(a, as_sockaddr(second), sizeof second), 0);
    ASSERT_EQ(send(a, "two"), 3);
    ASSERT_EQ(receive(b), "one");
    ASSERT_EQ(receive(c), "two");
  }
  os->close(c);
}

// As Linux does it: connect() writes its way over that of what is kept back.
TEST_P(DatagramTest, WhatIsKeptBackGoesToThePeerOfTheLastConnect) {
  uint16_t c_port = 0;
  const int c = bound(c_port);
  const sockaddr_in first = loopback(b_port), second = loopback(c_port);
  sockaddr_in nobody{};
  nobody.sin_family = AF_UNSPEC;
  for (int round = 0; round < 100; ++round) {
    ASSERT_EQ(os->connect(a, as_sockaddr(first), sizeof first), 0);
    ASSERT_EQ(os->send(a, "on", 2, MSG_MORE), 2);
    ASSERT_EQ(os->connect(a, as_sockaddr(second), sizeof second), 0);
    ASSERT_EQ(send(a, "ce"), 2);
    ASSERT_EQ(receive(c), "once");
    ASSERT_EQ(os->send(a, "tw", 2, MSG_MORE), 2);
    ASSERT_EQ(os->connect(a, as_sockaddr(nobody), sizeof nobody), 0);
    ASSERT_EQ(send(a, "ice"), 3);
    ASSERT_EQ(receive(c), "twice");
  }
  EXPECT_EQ(receive(b, 1, MSG_DONTWAIT), "error 11");
  os->close(c);
}

TEST_P(DatagramTest, LargestAndTooLarge) {
  EXPECT_EQ(send_to(a, b_port, std::string(65508, 'x')), -EMSGSIZE);
  const std::string large(60'000, 'y');
  EXPECT_EQ(send_to(a, b_port, large), 60'000);
  EXPECT_TRUE(receive(b, 65536) == large);
}

TEST_P(DatagramTest, ManyWrapAroundTheRing) {
  for (uint32_t i = 0; i < 2000; ++i) {
    const std::string text(i % 1400, static_cast<char>('a' + i % 26));
    ASSERT_EQ(send_to(a, b_port, text), static_cast<ssize_t>(text.size()));
    ASSERT_EQ(receive(b), text);
  }
}

TEST_P(DatagramTest, PollSeesThem) {
  EXPECT_EQ(wait_for(b, POLLOUT), POLLOUT);
  send_to(a, b_port, "x");
  EXPECT_EQ(wait_for(b, POLLIN), POLLIN);
}

// ipv6(7): such a socket is for IPv6 alone.
TEST_P(DatagramTest, WithV6OnlyNothingGoesToIpv4) {
  for (const int only : {0, 1}) {
    const int fd = os->socket(AF_INET6, SOCK_DGRAM), other = os->socket(AF_INET6, SOCK_DGRAM);
    for (const int one : {fd, other})
      ASSERT_EQ(os->set_option(one, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only), 0);
    const sockaddr_in to = loopback(b_port);
    const sockaddr_in6 to6 = mapped(b_port);
    EXPECT_EQ(os->send(fd, "x", 1, 0, as_sockaddr(to), sizeof to), only ? -ENETUNREACH : 1);
    EXPECT_EQ(os->send(fd, "x", 1, 0, as_sockaddr(to6), sizeof to6), only ? -ENETUNREACH : 1);
    EXPECT_EQ(os->connect(fd, as_sockaddr(to), sizeof to), only ? -EAFNOSUPPORT : 0);
    EXPECT_EQ(os->send(fd, "x", 1, 0), only ? -EDESTADDRREQ : 1);
    EXPECT_EQ(os->connect(other, as_sockaddr(to6), sizeof to6), only ? -ENETUNREACH : 0);
    EXPECT_EQ(os->send(other, "x", 1, 0), only ? -EDESTADDRREQ : 1);
    for (int i = 0; i < (only ? 0 : 4); ++i) EXPECT_EQ(receive(b), "x");
    os->close(fd);
    os->close(other);
    const int third = os->socket(AF_INET6, SOCK_DGRAM);
    ASSERT_EQ(os->set_option(third, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only), 0);
    const sockaddr_in6 any = mapped(0);
    EXPECT_EQ(os->bind(third, as_sockaddr(any), sizeof any), only ? -EINVAL : 0);
    os->close(third);
  }
  EXPECT_EQ(receive(b, 1, MSG_DONTWAIT), "error 11");
}

TEST_P(DatagramTest, AStreamOfIpv6AloneConnectsToNoIpv4) {
  uint16_t port = 0;
  const int on = 1, listening = listener(port);
  const int fd = os->socket(AF_INET6, SOCK_STREAM);
  ASSERT_EQ(os->set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on), 0);
  const sockaddr_in to = loopback(port);
  const sockaddr_in6 to6 = mapped(port);
  EXPECT_EQ(os->connect(fd, as_sockaddr(to), sizeof to), -EINVAL);
  EXPECT_EQ(os->connect(fd, as_sockaddr(to6), sizeof to6), -ENETUNREACH);
  os->close(fd);
  os->close(listening);
}

TEST_P(DatagramTest, WhereTheRestShallGoIsNotReadThoughNoPacketGetsThere) {
  const int fd = os->socket(AF_INET6, SOCK_DGRAM);
  const sockaddr_in6 to = mapped(b_port);
  for (const char* const address : {"2001:db8::1", "::1", "fe80::1", "ff02::1", "::ffff:240.0.0.1"}) {
    const sockaddr_in6 nowhere = mapped(9, address);
    EXPECT_EQ(os->send(fd, "one", 3, MSG_MORE, as_sockaddr(to), sizeof to), 3);
    ASSERT_EQ(os->send(fd, " piece", 6, 0, as_sockaddr(nowhere), sizeof nowhere), 6) << address;
    EXPECT_EQ(receive(b, 100), "one piece") << address;
  }
  EXPECT_EQ(os->send(fd, "one", 3, MSG_MORE, as_sockaddr(to), sizeof to), 3);
  EXPECT_EQ(os->send(fd, "x", 1, 0, as_sockaddr(to), 20), -EINVAL) << "too short to be one of IPv6";
  os->close(fd);
}

TEST_P(DatagramTest, SilenceTimesOut) {
  const timeval soon{.tv_sec = 0, .tv_usec = 20'000};
  EXPECT_EQ(os->set_option(b, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon), 0);
  EXPECT_EQ(receive(b), "error 11");
}

TEST_P(DatagramTest, NobodyThereIsToldToTheConnected) {
  const int gone = os->socket(AF_INET, SOCK_DGRAM);
  const sockaddr_in any = loopback(0);
  os->bind(gone, as_sockaddr(any), sizeof any);
  const sockaddr_in to = loopback(port_of(gone));
  os->close(gone);
  ASSERT_EQ(os->connect(a, as_sockaddr(to), sizeof to), 0);
  EXPECT_EQ(send(a, "x"), 1);
  wait_for(a, POLLIN);
  EXPECT_EQ(receive(a, 10, MSG_DONTWAIT), "error 111");
}

// A datagram that is read concerns nobody but the reader: the stack looks at rx_read when the next one comes.
TEST(ClientDatagrams, ReadingThemDoesNotRingTheStack) {
  AttachedClient attached;
  const std::unique_ptr<Os> os = client_os();
  const int from = os->socket(AF_INET, SOCK_DGRAM), to = os->socket(AF_INET, SOCK_DGRAM);
  const sockaddr_in address = loopback(700);
  ASSERT_EQ(os->bind(to, as_sockaddr(address), sizeof address), 0);
  const std::string payload(1000, 'd');
  constexpr int kMany = 40;  // more than a quarter of the ring
  for (int i = 0; i < kMany; ++i)
    ASSERT_EQ(os->send(from, payload.data(), payload.size(), 0, as_sockaddr(address), sizeof address), 1000);
  const uint32_t socket = client::socket_of(to);
  while (client::state.out[socket].rx_written.load() != kMany * datagram_bytes(1000)) ::sched_yield();
  std::vector<std::atomic<uint64_t>> noted(kMaxSockets / 64);
  std::atomic<uint64_t>* const dirty = std::exchange(client::state.dirty, noted.data());
  std::string room(2000, '\0');
  for (int i = 0; i < kMany; ++i) ASSERT_EQ(os->receive(to, room.data(), room.size(), 0), 1000);
  client::state.dirty = dirty;
  EXPECT_EQ(noted[socket / 64].load(), 0u);
  os->close(from);
  os->close(to);
}

// An error that only MSG_ERRQUEUE takes away (IP_RECVERR) is no reason to come back from recv(2), nor to look
// for one without end.
TEST(ClientDatagrams, QueuedErrorsEndNoWait) {
  AttachedClient attached;
  const std::unique_ptr<Os> os = client_os();
  const int fd = os->socket(AF_INET, SOCK_DGRAM);
  const timeval soon{.tv_sec = 0, .tv_usec = 20'000};
  ASSERT_EQ(os->set_option(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon), 0);
  SocketOut& out = attached.stack().view().out(client::socket_of(fd));
  out.errors_queued = 1;
  out.error = ECONNREFUSED;
  char byte = 0;
  EXPECT_EQ(os->receive(fd, &byte, 1, 0), -ECONNREFUSED);
  EXPECT_EQ(os->receive(fd, &byte, 1, 0), -EAGAIN);
  os->close(fd);
}

}  // namespace
}  // namespace skerry::sockets
