// How streams come to be connected, as programs see it.
#include <fcntl.h>

#include "client_case.hpp"

namespace skerry::sockets {
namespace {

class ConnectTest : public OsCase {};
ON_KERNEL_AND_CLIENT(ConnectTest);

TEST_P(ConnectTest, RefusedConnectionSaysSo) {
  uint16_t port = 0;
  os->close(listener(port));
  const int fd = os->socket(AF_INET, SOCK_STREAM);
  const sockaddr_in to = loopback(port);
  EXPECT_EQ(os->connect(fd, as_sockaddr(to), sizeof to), -ECONNREFUSED);
  os->close(fd);
}

TEST_P(ConnectTest, RefusedConnectionWithoutWaitingIsInTheError) {
  uint16_t port = 0;
  os->close(listener(port));
  const int fd = os->socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
  const sockaddr_in to = loopback(port);
  const int result = os->connect(fd, as_sockaddr(to), sizeof to);
  if (result == -EINPROGRESS) {
    wait_for(fd, POLLOUT);
    int error = 0;
    socklen_t length = sizeof error;
    EXPECT_EQ(os->get_option(fd, SOL_SOCKET, SO_ERROR, &error, &length), 0);
    EXPECT_EQ(error, ECONNREFUSED);
    EXPECT_EQ(os->get_option(fd, SOL_SOCKET, SO_ERROR, &error, &length), 0);
    EXPECT_EQ(error, 0);
  } else {
    EXPECT_EQ(result, -ECONNREFUSED);
  }
  os->close(fd);
}

TEST_P(ConnectTest, UnconnectedSocketRefusesData) {
  const int fd = os->socket(AF_INET, SOCK_STREAM);
  EXPECT_EQ(receive(fd), "error 107");
  EXPECT_EQ(send(fd, "x", MSG_NOSIGNAL), -EPIPE);
  EXPECT_EQ(os->shutdown(fd, SHUT_RDWR), -ENOTCONN);
  sockaddr_in name{};
  socklen_t length = sizeof name;
  EXPECT_EQ(os->remote_name(fd, reinterpret_cast<sockaddr*>(&name), &length), -ENOTCONN);
  os->close(fd);
}

TEST_P(ConnectTest, AConnectThatDidNotWaitIsAnsweredByTheNextOne) {
  uint16_t port = 0;
  const int server = listener(port);
  const int fd = os->socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
  const sockaddr_in to = loopback(port);
  EXPECT_EQ(os->connect(fd, as_sockaddr(to), sizeof to), -EINPROGRESS) << "even if it is there at once";
  wait_for(fd, POLLOUT);
  EXPECT_EQ(os->connect(fd, as_sockaddr(to), sizeof to), 0);
  EXPECT_EQ(os->connect(fd, as_sockaddr(to), sizeof to), -EISCONN);
  os->close(server);
  const int refused = os->socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
  EXPECT_EQ(os->connect(refused, as_sockaddr(to), sizeof to), -EINPROGRESS);
  wait_for(refused, POLLOUT);
  EXPECT_EQ(os->connect(refused, as_sockaddr(to), sizeof to), -ECONNREFUSED);
  EXPECT_EQ(os->connect(refused, as_sockaddr(to), sizeof to), -EINPROGRESS) << "a new attempt";
  os->close(refused);
  os->close(fd);
}

TEST_P(ConnectTest, WhoReadsFromAListenerTakesNoConnectionAway) {
  uint16_t port = 0;
  const int listening = listener(port);
  const int one = connect_to(port);
  EXPECT_EQ(wait_for(listening, POLLIN), POLLIN);
  EXPECT_EQ(receive(listening), "error 107");
  const int other = os->accept(listening, nullptr, nullptr, 0);
  EXPECT_GE(other, 0);
  for (const int fd : {one, other, listening}) os->close(fd);
}

TEST_P(ConnectTest, SecondConnectIsRefused) {
  const auto [a, b] = connection();
  const sockaddr_in to = loopback(1);
  EXPECT_EQ(os->connect(a, as_sockaddr(to), sizeof to), -EISCONN);
  os->close(a);
  os->close(b);
}

// __inet_stream_connect().
TEST_P(ConnectTest, WhatASocketIsCountsBeforeWhatTheAddressSays) {
  uint16_t port = 0;
  const int listening = listener(port), one = connect_to(port);
  const int fresh = os->socket(AF_INET, SOCK_STREAM);
  const sockaddr_in to = loopback(port);
  sockaddr_in stranger = to;
  stranger.sin_family = 77;
  for (const int fd : {listening, one}) {
    EXPECT_EQ(os->connect(fd, as_sockaddr(to), 8), -EISCONN);
    EXPECT_EQ(os->connect(fd, as_sockaddr(stranger), sizeof stranger), -EISCONN);
    EXPECT_EQ(os->connect(fd, as_sockaddr(to), 1), -EINVAL);
  }
  EXPECT_EQ(os->connect(fresh, as_sockaddr(to), 8), -EINVAL);
  EXPECT_EQ(os->connect(fresh, as_sockaddr(stranger), sizeof stranger), -EAFNOSUPPORT);
  if (is_client()) {
    const int silent = connect_to(FakeStack::kSilentPort, SOCK_NONBLOCK);
    EXPECT_EQ(os->connect(silent, as_sockaddr(to), 8), -EALREADY);
    EXPECT_EQ(os->connect(silent, as_sockaddr(stranger), sizeof stranger), -EALREADY);
    os->close(silent);
  }
  for (const int fd : {listening, one, fresh}) os->close(fd);
}

TEST_P(ConnectTest, SixSocketShowsMappedAddresses) {
  const int listening = os->socket(AF_INET6, SOCK_STREAM);
  sockaddr_in6 any{};
  any.sin6_family = AF_INET6;
  const int off = 0;
  EXPECT_EQ(os->set_option(listening, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off), 0);
  ASSERT_EQ(os->bind(listening, reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
  ASSERT_EQ(os->listen(listening, 4), 0);
  sockaddr_in6 name{};
  socklen_t length = sizeof name;
  ASSERT_EQ(os->local_name(listening, reinterpret_cast<sockaddr*>(&name), &length), 0);
  const int one = connect_to(ntohs(name.sin6_port));
  sockaddr_in6 peer{};
  length = sizeof peer;
  const int other = os->accept(listening, reinterpret_cast<sockaddr*>(&peer), &length, 0);
  EXPECT_GE(other, 0);
  EXPECT_EQ(length, sizeof peer);
  EXPECT_EQ(peer.sin6_family, AF_INET6);
  EXPECT_TRUE(IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr));
  for (const int fd : {listening, one, other}) os->close(fd);
}

TEST_P(ConnectTest, AcceptedSocketInheritsOptionsButNotNonBlocking) {
  uint16_t port = 0;
  const int listening = listener(port, SOCK_NONBLOCK);
  const int on = 1;
  EXPECT_EQ(os->set_option(listening, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on), 0);
  const int one = connect_to(port);
  wait_for(listening, POLLIN);
  const int other = os->accept(listening, nullptr, nullptr, 0);
  ASSERT_GE(other, 0);
  EXPECT_EQ(os->fcntl(other, F_GETFL, 0), O_RDWR);
  int value = 0;
  socklen_t length = sizeof value;
  EXPECT_EQ(os->get_option(other, IPPROTO_TCP, 1, &value, &length), 0);
  EXPECT_EQ(value, 1);
  EXPECT_EQ(os->accept(listening, nullptr, nullptr, 0), -EAGAIN);
  for (const int fd : {listening, one, other}) os->close(fd);
}

TEST(ClientConnects, ToOurOwnAddressHaveTheirOutcomeWhateverTheyAreBoundTo) {
  AttachedClient attached;
  const std::unique_ptr<Os> os = client_os();
  const auto asks = [&](uint32_t host) {
    const int fd = os->socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
    const sockaddr_in from = loopback(0);
    EXPECT_EQ(os->bind(fd, as_sockaddr(from), sizeof from), 0);
    sockaddr_in to = loopback(1);
    to.sin_addr.s_addr = htonl(host);
    const uint32_t before = attached.stack().infos_asked();
    EXPECT_EQ(os->connect(fd, as_sockaddr(to), sizeof to), -EINPROGRESS);
    os->close(fd);
    return attached.stack().infos_asked() - before;
  };
  const uint32_t own = attached.stack().view().control().address;
  EXPECT_EQ(asks(own), 3u);
  EXPECT_EQ(asks(INADDR_LOOPBACK), 3u);
  EXPECT_EQ(asks(own + 1), 0u) << "nobody waits for another host";
}

TEST(ClientConnects, AnIndexThatIsGivenOutAgainMeanwhileIsNotConnecting) {
  AttachedClient attached;
  const std::unique_ptr<Os> os = client_os();
  for (const int flags : {0, int{SOCK_NONBLOCK}}) {
    const int fd = os->socket(AF_INET, SOCK_STREAM | flags);
    const sockaddr_in to = loopback(FakeStack::kTakenPort);
    EXPECT_EQ(os->connect(fd, as_sockaddr(to), sizeof to), -EBADF);
    EXPECT_EQ(os->listen(fd, 1), 0) << "as any socket that has not tried to connect";
    os->close(fd);
  }
}

}  // namespace
}  // namespace skerry::sockets
