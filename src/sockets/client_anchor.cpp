#include "sockets/client_anchor.hpp"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cstring>

namespace skerry::sockets::client {
namespace {

// Only start, fork and the first sleep of an epoll set wait here, for a stack that is alive and answers in
// microseconds.
constexpr timeval kAnswerTimeout = {.tv_sec = 10, .tv_usec = 0};

sockaddr_un listener_address(socklen_t& length) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, state.listener, state.listener_length);
  length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + state.listener_length);
  return address;
}

struct alignas(cmsghdr) Ancillary {
  char bytes[CMSG_SPACE(2 * sizeof(int))];
};

}  // namespace

bool tell_anchor(int connection, const AnchorRequest& request) {
  AnchorRequest copy = request;
  iovec piece{.iov_base = &copy, .iov_len = sizeof copy};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  Ancillary ancillary{};
  long pidfd = -1;
  if (request.op == AnchorOp::attach || request.op == AnchorOp::spawned) {
    pidfd = system_call(SYS_pidfd_open, request.pid, 0);
    if (pidfd < 0) return false;
    message.msg_control = ancillary.bytes;
    message.msg_controllen = CMSG_SPACE(sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int number = static_cast<int>(pidfd);
    std::memcpy(CMSG_DATA(header), &number, sizeof number);
  }
  long sent = -EINTR;
  while (sent == -EINTR) sent = system_call(SYS_sendmsg, connection, word(&message), MSG_NOSIGNAL);
  if (pidfd >= 0) close_descriptor(static_cast<int>(pidfd));
  return sent == static_cast<long>(sizeof copy);
}

namespace {

bool receive_reply(int connection, AnchorReply& reply, int* received, uint32_t received_max) {
  iovec piece{.iov_base = &reply, .iov_len = sizeof reply};
  msghdr message{};
  Ancillary ancillary{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = ancillary.bytes;
  message.msg_controllen = sizeof ancillary.bytes;
  long length = -EINTR;
  while (length == -EINTR) length = system_call(SYS_recvmsg, connection, word(&message), MSG_CMSG_CLOEXEC);
  if (length <= 0) return false;
  uint32_t count = 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t descriptors = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < descriptors; ++i) {
      int number;
      std::memcpy(&number, CMSG_DATA(header) + i * sizeof number, sizeof number);
      if (count < received_max)
        received[count++] = number;
      else
        close_descriptor(number);
    }
  }
  return length == static_cast<long>(sizeof reply) && reply.error == 0;
}

}  // namespace

uint32_t process_id() {
  return static_cast<uint32_t>(system_call(SYS_getpid));
}

int connect_anchor() {
  const long connection = system_call(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (connection < 0) return static_cast<int>(connection);
  socklen_t length = 0;
  const sockaddr_un address = listener_address(length);
  long result = -EINTR;
  while (result == -EINTR) result = system_call(SYS_connect, connection, word(&address), length);
  if (result < 0) {
    close_descriptor(static_cast<int>(connection));
    return static_cast<int>(result);
  }
  system_call(SYS_setsockopt, connection, SOL_SOCKET, SO_RCVTIMEO, word(&kAnswerTimeout),
              sizeof kAnswerTimeout);
  return static_cast<int>(connection);
}

bool ask_anchor(int connection, const AnchorRequest& request, AnchorReply& reply, int* received,
                uint32_t received_max) {
  return tell_anchor(connection, request) && receive_reply(connection, reply, received, received_max);
}

bool is_anchor(int fd) {
  sockaddr_un address{};
  socklen_t length = sizeof address;
  socklen_t expected = 0;
  const sockaddr_un listener = listener_address(expected);
  return system_call(SYS_getpeername, fd, word(&address), word(&length)) == 0 && length == expected &&
         std::memcmp(&address, &listener, expected) == 0;
}

}  // namespace skerry::sockets::client
