// What is refused of datagrams, in which order, and what an attempt that was refused leaves behind.
#include "client_case.hpp"

namespace skerry::sockets {
namespace {

class RefusedTest : public OsCase {
 protected:
  int open(int family = AF_INET) {
    const int fd = os->socket(family, SOCK_DGRAM);
    const timeval limit{.tv_sec = 20, .tv_usec = 0};
    EXPECT_EQ(os->set_option(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    return fd;
  }
  int bound(uint16_t& port) {
    const int fd = open();
    const sockaddr_in any = loopback(0);
    EXPECT_EQ(os->bind(fd, as_sockaddr(any), sizeof any), 0);
    port = port_of(fd);
    return fd;
  }
};
ON_KERNEL_AND_CLIENT(RefusedTest);

// inet_dgram_connect(), inet_send_prepare().
TEST_P(RefusedTest, AnAttemptLeavesThePortThatItWasGiven) {
  const sockaddr_in to = loopback(9);
  sockaddr_in stranger = to;
  stranger.sin_family = 77;
  const std::pair<sockaddr_in, socklen_t> rows[] = {{to, 8}, {stranger, sizeof to}};
  for (const auto& [address, length] : rows) {
    const int one = open(), other = open();
    const int wrong = length == sizeof to ? -EAFNOSUPPORT : -EINVAL;
    EXPECT_EQ(os->connect(one, as_sockaddr(address), length), wrong);
    EXPECT_NE(port_of(one), 0) << length;
    EXPECT_EQ(os->send(other, "x", 1, 0, as_sockaddr(address), length), wrong);
    EXPECT_NE(port_of(other), 0) << length;
    EXPECT_EQ(os->connect(one, as_sockaddr(to), sizeof to), 0);
    os->close(one);
    os->close(other);
  }
  const int only = open(AF_INET6), on = 1;
  ASSERT_EQ(os->set_option(only, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on), 0);
  EXPECT_EQ(os->send(only, "x", 1, 0, as_sockaddr(to), sizeof to), -ENETUNREACH);
  EXPECT_NE(port_of(only), 0);
  os->close(only);
  const int fresh = open();
  EXPECT_EQ(os->connect(fresh, as_sockaddr(to), 1), -EINVAL) << "no address at all";
  EXPECT_EQ(port_of(fresh), 0);
  os->close(fresh);
}

// udp_sendmsg().
TEST_P(RefusedTest, TooLongIsSaidAtItsTurn) {
  uint16_t port = 0;
  const int to = bound(port), from = open();
  EXPECT_EQ(send(from, std::string(65520, 'x')), -EDESTADDRREQ);
  EXPECT_EQ(send(from, std::string(70'000, 'x'), MSG_OOB), -EMSGSIZE);
  EXPECT_EQ(send(from, std::string(65520, 'x'), MSG_OOB), -EOPNOTSUPP);
  const sockaddr_in address = loopback(port);
  ASSERT_EQ(os->connect(from, as_sockaddr(address), sizeof address), 0);
  for (const size_t more : {65508u, 65535u}) {
    EXPECT_EQ(send(from, "lost", MSG_MORE), 4);
    EXPECT_EQ(send(from, std::string(more, 'x')), -EMSGSIZE) << more;
    EXPECT_EQ(send(from, "alone"), 5);
    EXPECT_EQ(receive(to), "alone") << more;
  }
  EXPECT_EQ(send(from, "kept", MSG_MORE), 4);
  EXPECT_EQ(send(from, std::string(65536, 'x')), -EMSGSIZE);
  EXPECT_EQ(send(from, " back"), 5);
  EXPECT_EQ(receive(to), "kept back");
  os->close(to);
  wait_for(from, POLLOUT);
  EXPECT_EQ(send(from, "x"), 1);
  wait_for(from, POLLIN);
  EXPECT_EQ(send(from, std::string(65508, 'x')), -EMSGSIZE) << "before the error that is pending";
  EXPECT_EQ(receive(from, 1, MSG_DONTWAIT), "error 111");
  os->close(from);
}

TEST_P(RefusedTest, OfIpv6AloneNobodyReadsHowLongAnIpv4AddressIs) {  // udpv6_sendmsg()
  const int on = 1;
  const sockaddr_in to = loopback(9);
  const int fd = open(AF_INET6);
  EXPECT_EQ(os->send(fd, "x", 1, 0, as_sockaddr(to), 8), -EINVAL);
  os->close(fd);
  const int only = open(AF_INET6);
  ASSERT_EQ(os->set_option(only, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on), 0);
  EXPECT_EQ(os->send(only, "x", 1, 0, as_sockaddr(to), 8), -ENETUNREACH);
  os->close(only);
}

TEST_P(RefusedTest, WhoIsConnectedToPort0HasNoPeersName) {
  const sockaddr_in to = loopback(0);
  const sockaddr_in6 to6 = mapped(0);
  const int fd = open(), six = open(AF_INET6), mixed = open(AF_INET6);
  ASSERT_EQ(os->connect(fd, as_sockaddr(to), sizeof to), 0);
  ASSERT_EQ(os->connect(six, as_sockaddr(to6), sizeof to6), 0);
  ASSERT_EQ(os->connect(mixed, as_sockaddr(to), sizeof to), 0);
  for (const int one : {fd, six, mixed}) {
    sockaddr_in6 name{};
    socklen_t length = sizeof name;
    EXPECT_EQ(os->remote_name(one, reinterpret_cast<sockaddr*>(&name), &length), -ENOTCONN);
    EXPECT_EQ(send(one, "x"), one == fd ? 1 : -EINVAL);
    os->close(one);
  }
}

// On Linux :: is ::1 to it, and here there is no IPv6.
TEST(ClientRefused, OfIpv6AloneNobodyIsThisHost) {
  AttachedClient attached;
  const std::unique_ptr<Os> os = client_os();
  const int on = 1;
  for (const int kind : {SOCK_DGRAM, SOCK_STREAM}) {
    const int fd = os->socket(AF_INET6, kind);
    ASSERT_EQ(os->set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on), 0);
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    any.sin6_port = htons(9);
    EXPECT_EQ(os->connect(fd, as_sockaddr(any), sizeof any), -ENETUNREACH);
    if (kind == SOCK_DGRAM) {
      EXPECT_EQ(os->send(fd, "x", 1, 0, as_sockaddr(any), sizeof any), -ENETUNREACH);
      const SessionView& view = attached.stack().view();
      uint32_t asked = 0;
      for (uint32_t i = 0; i < client::state.size.calls; ++i) {
        const Call& call = view.call(i);
        if (call.op != static_cast<uint32_t>(Op::bind)) continue;
        ++asked;
        EXPECT_TRUE(call.value[0] & kV6Only) << "others may have its port for IPv4";
      }
      EXPECT_EQ(asked, 1u);
    }
    os->close(fd);
  }
}

}  // namespace
}  // namespace skerry::sockets
