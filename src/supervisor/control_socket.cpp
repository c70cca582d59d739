#include "supervisor/control_socket.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/system_error.hpp"

namespace skerry::supervisor {

namespace {

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Error{
        fmt::format("the path {} is too long for a socket: set SKERRY_RUNTIME_DIR to a shorter one", path),
        ENAMETOOLONG};
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Result<Fd> connect_to(const std::string& path) {
  const Result<sockaddr_un> address = address_of(path);
  if (!address) return address.error();
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return system_error("cannot make a socket for " + path);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
    return system_error("cannot connect to " + path);
  }
  return fd;
}

bool is_permitted(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == ::geteuid() || peer.uid == 0;
}

// Room for the descriptors of one message, aligned as cmsg(3) wants it.
union Ancillary {
  char bytes[CMSG_SPACE(sizeof(int) * kMaxDescriptors)];
  cmsghdr align;
};

}  // namespace

bool ControlConnection::receive(std::vector<ControlLine>& lines) {
  for (;;) {
    char bytes[16384];
    Ancillary ancillary;
    iovec part{bytes, sizeof bytes};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = ancillary.bytes;
    message.msg_controllen = sizeof ancillary.bytes;
    const ssize_t got = ::recvmsg(fd_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == EAGAIN;
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
      for (size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
        int number;
        std::memcpy(&number, CMSG_DATA(c) + at, sizeof number);
        received_.emplace_back(number);
      }
    }
    if (got == 0 || (message.msg_flags & MSG_CTRUNC) != 0 || received_.size() > kMaxDescriptors) return false;
    if (!reader_.append({bytes, static_cast<size_t>(got)})) return false;
    while (std::optional<std::string> line = reader_.next()) {
      lines.push_back({std::move(*line), std::move(received_)});
      received_.clear();
    }
  }
}

bool ControlConnection::send(std::string line, std::span<const int> descriptors) {
  CHECK(descriptors.size() <= kMaxDescriptors);
  Outgoing outgoing{.line = std::move(line)};
  for (const int number : descriptors) {
    outgoing.descriptors.emplace_back(::fcntl(number, F_DUPFD_CLOEXEC, 0));
    if (!outgoing.descriptors.back()) return false;
  }
  queue_.push_back(std::move(outgoing));
  return flush();
}

bool ControlConnection::flush() {
  while (!queue_.empty()) {
    Outgoing& next = queue_.front();
    iovec part{next.line.data() + next.sent, next.line.size() - next.sent};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    Ancillary ancillary{};
    if (!next.descriptors.empty()) {
      const size_t bytes = next.descriptors.size() * sizeof(int);
      message.msg_control = ancillary.bytes;
      message.msg_controllen = CMSG_SPACE(bytes);
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(bytes);
      for (size_t i = 0; i < next.descriptors.size(); ++i) {
        const int number = next.descriptors[i].get();
        std::memcpy(CMSG_DATA(header) + i * sizeof number, &number, sizeof number);
      }
    }
    const ssize_t sent = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return errno == EAGAIN;
    next.descriptors.clear();
    next.sent += static_cast<size_t>(sent);
    if (next.sent == next.line.size()) queue_.erase(queue_.begin());
  }
  return true;
}

Result<ControlListener> ControlListener::create(const std::string& path) {
  const Result<sockaddr_un> address = address_of(path);
  if (!address) return address.error();
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return system_error("cannot make a socket for " + path);
  ::unlink(path.c_str());
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0 ||
      ::chmod(path.c_str(), 0600) != 0 || ::listen(fd.get(), 64) != 0) {
    return system_error("cannot listen at " + path);
  }
  return ControlListener(std::move(fd));
}

std::optional<ControlConnection> ControlListener::accept() {
  for (;;) {
    Fd fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (!fd) return std::nullopt;
    if (is_permitted(fd.get())) return ControlConnection(std::move(fd), kMaxRequestBytes);
  }
}

Result<ControlClient> ControlClient::connect(const std::string& path) {
  Result<Fd> fd = connect_to(path);
  if (!fd) return fd.error();
  if (!is_permitted(fd->get())) return Error{fmt::format("{} belongs to another user", path), EPERM};
  return ControlClient(std::move(*fd), path);
}

Result<ControlLine> ControlClient::call(std::string_view line, std::span<const int> descriptors,
                                        int timeout_ms) {
  const Error gone{"the supervisor has gone: start it again with `skerry up` or `skerry run`", EPIPE};
  if (!connection_.send(std::string(line), descriptors)) return gone;
  std::vector<ControlLine> lines;
  for (;;) {
    pollfd waiting{fd(), static_cast<short>(POLLIN | (connection_.wants_to_write() ? POLLOUT : 0)), 0};
    const int ready = ::poll(&waiting, 1, timeout_ms);
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) {
      const std::string log = path_.substr(0, path_.rfind('/')) + "/log";
      return Error{fmt::format("the supervisor does not answer: look at {}",
                               ::access(log.c_str(), F_OK) == 0 ? log : "the terminal of its `skerry up`"),
                   ETIMEDOUT};
    }
    if (ready < 0 || !connection_.flush()) return gone;
    const bool open = connection_.receive(lines);
    if (!lines.empty()) return std::move(lines.front());
    if (!open) return gone;
  }
}

bool ControlClient::wait_closed(int timeout_ms) {
  for (;;) {
    pollfd waiting{fd(), POLLIN, 0};
    const int ready = ::poll(&waiting, 1, timeout_ms);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    std::vector<ControlLine> ignored;
    if (!connection_.receive(ignored)) return true;
  }
}

}  // namespace skerry::supervisor
