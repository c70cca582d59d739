// A connected socket of the program's own stack to a name server, and a time when it must have answered.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>

#include "base/bytes.hpp"
#include "sockets/client_descriptors.hpp"
#include "sockets/client_message.hpp"
#include "sockets/client_setup.hpp"

namespace skerry::preload {

namespace client = sockets::client;

struct DnsServer {
  Ipv4Address address;
  uint16_t port;  // host byte order
};

class ServerSocket {
 public:
  ServerSocket(DnsServer server, int type, TimeNs deadline)
      : fd_(client::open(AF_INET, type | SOCK_CLOEXEC, 0)), deadline_(deadline) {
    if (fd_ < 0 || !has_time()) return;
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(server.port);
    to.sin_addr.s_addr = htonl(server.address);
    int result = -EINTR;  // a signal ends the call, not the attempt
    while ((result == -EINTR || result == -EALREADY) && has_time()) {
      client::state.names[socket()].send_timeout_ns = left();
      result = client::connect(socket(), reinterpret_cast<const sockaddr*>(&to), sizeof to);
    }
    connected_ = result == 0;
  }
  ~ServerSocket() {
    if (fd_ >= 0) client::close(fd_);
  }
  ServerSocket(const ServerSocket&) = delete;
  ServerSocket& operator=(const ServerSocket&) = delete;

  bool has_time() const { return client::monotonic_ns() < deadline_; }
  bool send(const void* bytes, size_t length) const {
    const iovec out{const_cast<void*>(bytes), length};
    return connected_ && client::send(socket(), &out, 1, MSG_NOSIGNAL) == static_cast<ssize_t>(length);
  }
  // Over a stream each message has its length before it (RFC 7766 section 8). Both in one send: a second
  // would wait for the first one's acknowledgment.
  bool send_framed(const void* bytes, size_t length) const {
    uint8_t before[2];
    store_be16(before, static_cast<uint16_t>(length));
    const iovec out[] = {{before, sizeof before}, {const_cast<void*>(bytes), length}};
    return connected_ &&
           client::send(socket(), out, 2, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof before + length);
  }
  // As recv(2); -EAGAIN when the time is over.
  ssize_t receive(void* bytes, size_t room) const {
    const iovec in{bytes, room};
    while (has_time()) {
      client::state.names[socket()].receive_timeout_ns = left();
      if (const ssize_t got = client::receive(socket(), &in, 1, 0); got != -EINTR) return got;
    }
    return -EAGAIN;
  }
  // The length of the message, of which as much as there is room for has been stored; -ECONNRESET or -EAGAIN.
  // The rest is read too: a connection that is closed before would be reset.
  ssize_t receive_framed(uint8_t* bytes, size_t room) const {
    uint8_t before[2], rest[512];
    if (const ssize_t result = receive_all(before, sizeof before); result < 0) return result;
    const size_t length = load_be16(before), stored = std::min(length, room);
    if (const ssize_t result = receive_all(bytes, stored); result < 0) return result;
    for (size_t left = length - stored, now = 0; left > 0; left -= now) {
      now = std::min(left, sizeof rest);
      if (receive_all(rest, now) < 0) break;
    }
    return static_cast<ssize_t>(length);
  }

 private:
  ssize_t receive_all(uint8_t* bytes, size_t length) const {
    while (length > 0) {
      const ssize_t got = receive(bytes, length);
      if (got <= 0) return got < 0 ? got : -ECONNRESET;
      bytes += got;
      length -= static_cast<size_t>(got);
    }
    return 0;
  }
  uint32_t socket() const { return client::socket_of(fd_); }
  DurationNs left() const {
    const TimeNs now = client::monotonic_ns();
    return deadline_ > now ? deadline_ - now : 1;
  }

  int fd_;
  TimeNs deadline_;
  bool connected_ = false;
};

}  // namespace skerry::preload
