// fcntl(2) of sockets: the flags that all descriptors of one share, and who gets its signals.
#include <fcntl.h>

#include "sockets/client_descriptors.hpp"
#include "sockets/client_signals.hpp"

namespace skerry::sockets::client {
namespace {

int set_flags(uint32_t socket, long argument) {
  if (argument & O_DIRECT) return -EINVAL;
  std::atomic<uint32_t>& flags = state.in[socket].flags;
  uint32_t before = flags.load(std::memory_order_relaxed);
  uint32_t now = 0;
  do {
    now = (before & ~uint32_t{kNonBlocking | kAsync}) | (argument & O_NONBLOCK ? kNonBlocking : 0u) |
          (argument & O_ASYNC ? kAsync : 0u);
  } while (!flags.compare_exchange_weak(before, now, std::memory_order_relaxed));
  if (!((now ^ before) & kAsync)) return 0;
  const int result = set_async(socket, now & kAsync);
  if (result < 0) flags.fetch_xor(now ^ before, std::memory_order_relaxed);
  return result;
}

int get_flags(uint32_t socket) {
  const uint32_t now = state.in[socket].flags.load(std::memory_order_relaxed);
  return O_RDWR | (now & kNonBlocking ? O_NONBLOCK : 0) | (now & kAsync ? O_ASYNC : 0);
}

}  // namespace

int fcntl(int fd, int command, long argument) {
  if (fd_kind(entry_of(fd)) == FdKind::internal) return -EBADF;
  if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) return duplicate(fd, command, argument);
  const uint32_t socket = socket_of(fd);
  const auto kernel = [&] { return static_cast<int>(system_call(SYS_fcntl, fd, command, argument)); };
  if (socket == kNoSocket) return kernel();
  auto* const owner = reinterpret_cast<f_owner_ex*>(argument);
  switch (command) {
    case F_GETFL:
      return get_flags(socket);
    case F_SETFL:
      return set_flags(socket, argument);
    case F_SETOWN:
      return set_owner(socket, static_cast<int>(argument));
    case F_SETOWN_EX:
      return owner == nullptr ? -EFAULT : set_owner(socket, *owner);
    case F_GETOWN_EX:
      if (owner == nullptr) return -EFAULT;
      *owner = owner_of(socket);
      return 0;
    case F_SETSIG:  // with a signal comes the number of the socket's descriptor, which the kernel does not
                    // know
      return argument == 0 ? 0 : -EINVAL;
    case F_GETSIG:
      return 0;
    default:
      return kernel();
  }
}

}  // namespace skerry::sockets::client
