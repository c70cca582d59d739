// The ground of the client's tests: an attached client on a fake stack, and a test that runs on both the
// kernel and the client.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <utility>

#include "fake_stack.hpp"
#include "os.hpp"
#include "sockets/client_session.hpp"

namespace skerry::sockets {

inline sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}
inline sockaddr_in6 mapped(uint16_t port, const char* address = "::ffff:127.0.0.1") {
  sockaddr_in6 name{};
  name.sin6_family = AF_INET6;
  name.sin6_port = htons(port);
  ::inet_pton(AF_INET6, address, &name.sin6_addr);
  return name;
}
inline const sockaddr* as_sockaddr(const sockaddr_in& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}
inline const sockaddr* as_sockaddr(const sockaddr_in6& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

// A process attaches once; a test does so again and again, each time to a new stack.
class AttachedClient {
 public:
  explicit AttachedClient(bool never_polls = false, const SessionSize& size = FakeStack::default_size())
      : stack_(name(), size, never_polls) {
    EXPECT_EQ(client::attach(name().c_str()), client::Attach::attached);
  }
  ~AttachedClient() { client::detach(); }
  FakeStack& stack() { return stack_; }

  static std::string name() {
    static const std::string unique = "skerry-client-test-" + std::to_string(::getpid());
    return unique;
  }

 private:
  FakeStack stack_;
};

class OsCase : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (std::string(GetParam()) == "client") {
      attached_.emplace();
      os = client_os();
    } else {
      os = kernel_os();
    }
  }
  void TearDown() override {
    os.reset();
    attached_.reset();
  }

  // A listener on a port of its own; the port is stored.
  int listener(uint16_t& port, int flags = 0) {
    const int fd = os->socket(AF_INET, SOCK_STREAM | flags);
    const sockaddr_in any = loopback(0);
    EXPECT_EQ(os->bind(fd, as_sockaddr(any), sizeof any), 0);
    EXPECT_EQ(os->listen(fd, 16), 0);
    port = port_of(fd);
    return fd;
  }
  uint16_t port_of(int fd) {
    sockaddr_in name{};
    socklen_t length = sizeof name;
    EXPECT_EQ(os->local_name(fd, reinterpret_cast<sockaddr*>(&name), &length), 0);
    return ntohs(name.sin_port);
  }
  int connect_to(uint16_t port, int flags = 0) {
    const int fd = os->socket(AF_INET, SOCK_STREAM | flags);
    const sockaddr_in to = loopback(port);
    const int result = os->connect(fd, as_sockaddr(to), sizeof to);
    EXPECT_TRUE(result == 0 || result == -EINPROGRESS) << result;
    return fd;
  }
  // Both ends of one connection.
  std::pair<int, int> connection() {
    uint16_t port = 0;
    const int listening = listener(port);
    const int one = connect_to(port);
    const int other = os->accept(listening, nullptr, nullptr, 0);
    EXPECT_GE(other, 0);
    os->close(listening);
    return {one, other};
  }
  ssize_t send(int fd, const std::string& text, int flags = 0) {
    return os->send(fd, text.data(), text.size(), flags);
  }
  std::string receive(int fd, size_t most = 4096, int flags = 0) {
    std::string text(most, '\0');
    const ssize_t got = os->receive(fd, text.data(), most, flags);
    if (got < 0) return "error " + std::to_string(-got);
    text.resize(static_cast<size_t>(got));
    return text;
  }
  // Waits until poll() says any of the events: what was sent takes a moment to arrive.
  short wait_for(int fd, short events) {
    pollfd one{.fd = fd, .events = events, .revents = 0};
    EXPECT_GE(os->poll(&one, 1, 20'000), 0);
    return one.revents;
  }
  // `to` reads all that `from` has sent, and then `from` may write again.
  void expect_room_once_read(int from, int to, size_t sent) {
    std::thread reader([&] {
      for (size_t got = 0; got < sent;) got += receive(to, 1 << 20).size();
    });
    EXPECT_EQ(wait_for(from, POLLOUT), POLLOUT);
    reader.join();
  }
  bool is_client() const { return attached_.has_value(); }
  FakeStack& stack() { return attached_->stack(); }

  std::unique_ptr<Os> os;

 private:
  std::optional<AttachedClient> attached_;
};

// With the two ends of a connection.
class ConnectedCase : public OsCase {
 protected:
  void SetUp() override {
    OsCase::SetUp();
    std::tie(a_, b_) = connection();
  }
  void TearDown() override {
    os->close(a_);
    os->close(b_);
    OsCase::TearDown();
  }

  int a_ = -1, b_ = -1;
};

inline std::string case_name(const ::testing::TestParamInfo<const char*>& info) {
  return info.param;
}

#define ON_KERNEL_AND_CLIENT(Case) \
  INSTANTIATE_TEST_SUITE_P(On, Case, ::testing::Values("kernel", "client"), case_name)

}  // namespace skerry::sockets
