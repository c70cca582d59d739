// Name servers and hosts as people write them, and the sockets that lead to the servers.
#include "supervisor/name_server.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace skerry::supervisor {
namespace {

using testing::ElementsAre;

TEST(NameServer, IsAnAddressWithOrWithoutAPort) {
  const auto parsed = [](std::string_view text) {
    const Result<std::string> server = parse_name_server(text);
    return server ? *server : "none";
  };
  EXPECT_EQ(parsed("9.9.9.9"), "9.9.9.9:53");
  EXPECT_EQ(parsed("127.0.0.1:5353"), "127.0.0.1:5353");
  EXPECT_EQ(parsed("2620:fe::fe"), "[2620:fe::fe]:53");
  EXPECT_EQ(parsed("[::1]:5353"), "[::1]:5353");
  EXPECT_EQ(parsed("2620:fe::"), "[2620:fe::]:53");
  EXPECT_EQ(parsed("fe80::1%wlan0"), "[fe80::1%wlan0]:53");
  EXPECT_EQ(parsed("[fe80::1%wlan0]:5353"), "[fe80::1%wlan0]:5353");
  for (const char* wrong :
       {"", "quad9", "9.9.9", "9.9.9.9:", "9.9.9.9:0", "9.9.9.9:x", "[::1]", "[9.9.9.9", ":53", "fe80::1%",
        "9.9.9.9%wlan0", "fe80::1%a/b", "fe80::1%a b", "fe80::1%a:b", "fe80::1%0123456789abcdef"})
    EXPECT_EQ(parsed(wrong), "none") << wrong;
  EXPECT_THAT(
      name_servers_in("# nameserver 1.1.1.1\nsearch example.org\nnameserver 127.0.0.53\n"
                      "nameserver fe80::1%eth0\nnameserver\t::1\nnameserver 8.8.8.8\nnameserver 9.9.9.9\n"),
      ElementsAre("127.0.0.53:53", "[fe80::1%eth0]:53", "[::1]:53"));
}

TEST(Hosts, AreReadByName) {
  const auto known = hosts_in(
      "127.0.0.1\tlocalhost NAS.home\n# 10.0.0.1 no\n::1 localhost\n0.0.0.0 ads.example\n10.0.0.2 nas.home # "
      "it\nbad x\n\n");
  EXPECT_THAT(known, testing::UnorderedElementsAre(testing::Pair("localhost", 0x7f000001u),
                                                   testing::Pair("nas.home", 0x7f000001u),
                                                   testing::Pair("nas.home", 0x0a000002u)));
}

TEST(NameServer, WithoutAWayThereItsSocketLeadsNowhere) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) ::_exit(99);
    for (const char* server : {"9.9.9.9:53", "127.0.0.1:53", "[2620:fe::fe]:53"}) {
      const Result<Fd> socket = open_name_server(server);
      if (!socket || ::send(socket->get(), "x", 1, MSG_DONTWAIT) >= 0 || errno != ENOTCONN) ::_exit(1);
    }
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0) << "99: no namespaces here";
}

// RFC 4007: an address of a link means nothing without the link.
TEST(NameServer, OfALinkIsAskedThere) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) ::_exit(99);
    const Fd control(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const unsigned loopback = ::if_nametoindex("lo");
    ifreq up{};
    std::strcpy(up.ifr_name, "lo");
    up.ifr_flags = IFF_UP | IFF_RUNNING;
    in6_ifreq address{};
    ::inet_pton(AF_INET6, "fe80::1", &address.ifr6_addr);
    address.ifr6_prefixlen = 64;
    address.ifr6_ifindex = static_cast<int>(loopback);
    if (!control || ::ioctl(control.get(), SIOCSIFFLAGS, &up) != 0 ||
        ::ioctl(control.get(), SIOCSIFADDR, &address) != 0)
      ::_exit(99);
    for (const std::string& link : {std::string("lo"), std::to_string(loopback)}) {
      const Result<Fd> socket = open_name_server("[fe80::1%" + link + "]:53");
      sockaddr_in6 peer{};
      socklen_t length = sizeof peer;
      if (!socket || ::getpeername(socket->get(), reinterpret_cast<sockaddr*>(&peer), &length) != 0 ||
          peer.sin6_family != AF_INET6 || peer.sin6_scope_id != loopback)
        ::_exit(1);
    }
    const Result<Fd> nowhere = open_name_server("[fe80::1%none]:53");
    ::_exit(nowhere && ::send(nowhere->get(), "x", 1, MSG_DONTWAIT) < 0 && errno == ENOTCONN ? 0 : 2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WEXITSTATUS(status) == 99) GTEST_SKIP() << "no namespaces with IPv6 here";
  EXPECT_EQ(status, 0);
}

TEST(NameServer, ASocketHearsItsServerAlone) {
  const Result<Fd> socket = open_name_server("127.0.0.1:5353");
  ASSERT_TRUE(socket) << socket.error().message;
  sockaddr_storage peer{};
  socklen_t length = sizeof peer;
  EXPECT_EQ(::getpeername(socket->get(), reinterpret_cast<sockaddr*>(&peer), &length), 0)
      << "it is connected";
}

}  // namespace
}  // namespace skerry::supervisor
