#include "sockets/client_splice.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <algorithm>

#include "sockets/client_cancel.hpp"
#include "sockets/client_message.hpp"
#include "sockets/client_stream.hpp"

namespace skerry::sockets::client {
namespace {

// Pages that a pipe may go on holding after we have let go of them.
class Pages {
 public:
  explicit Pages(size_t bytes)
      : bytes_(bytes),
        at_(system_call(SYS_mmap, 0, static_cast<long>(bytes), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {}
  ~Pages() {
    if (*this) system_call(SYS_munmap, at_, static_cast<long>(bytes_));
  }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;

  explicit operator bool() const { return at_ > 0 || at_ < -4095; }
  iovec first(size_t bytes) const { return {reinterpret_cast<void*>(at_), bytes}; }

 private:
  size_t bytes_;
  long at_;
};

// 0 once the pipe has bytes or room, or its other end is gone; else -EAGAIN, or -EINTR.
int wait_for(int pipe, short events, bool may_wait) {
  pollfd one{.fd = pipe, .events = events, .revents = 0};
  const timespec none{};
  const auto sleep = [&] { return system_call(SYS_ppoll, word(&one), 1, may_wait ? 0 : word(&none), 0, 8); };
  const long ready = sleep_cancellably(
      sleep, [](void*) {}, nullptr);
  return ready > 0 ? 0 : ready == 0 ? -EAGAIN : static_cast<int>(ready);
}

ssize_t send_from_pipe(int pipe, uint32_t socket, size_t bytes) {
  if (is_stream(socket)) return send_stream_from_pipe(socket, pipe, bytes);
  const Pages pages(bytes);
  if (!pages) return -ENOMEM;
  iovec piece = pages.first(bytes);
  const long got = system_call(SYS_read, pipe, word(piece.iov_base), static_cast<long>(bytes));
  if (got <= 0) return got;
  piece.iov_len = static_cast<size_t>(got);
  return send(socket, &piece, 1, 0);
}

// As much as is in the pipe, of which there is something unless its writers are gone.
ssize_t to_socket(int pipe, uint32_t socket, size_t bytes, bool may_wait) {
  for (;;) {
    int there = 0;
    system_call(SYS_ioctl, pipe, FIONREAD, word(&there));
    if (there > 0) return send_from_pipe(pipe, socket, std::min(bytes, static_cast<size_t>(there)));
    pollfd one{.fd = pipe, .events = POLLIN, .revents = 0};
    const timespec none{};
    system_call(SYS_ppoll, word(&one), 1, word(&none), 0, 8);
    if ((one.revents & (POLLIN | POLLHUP)) == POLLHUP) return 0;
    if (const int waited = wait_for(pipe, POLLIN, may_wait); waited != 0) return waited;
  }
}

// What comes is looked at, given to the pipe as far as that has room, and only so much is taken.
ssize_t to_pipe(uint32_t socket, int pipe, size_t bytes, bool may_wait) {
  bytes = std::min(bytes, static_cast<size_t>(system_call(SYS_fcntl, pipe, F_GETPIPE_SZ)));
  for (;;) {
    if (const int waited = wait_for(pipe, POLLOUT, may_wait); waited != 0) return waited;
    const Pages pages(bytes);
    if (!pages) return -ENOMEM;
    iovec piece = pages.first(bytes);
    const ssize_t there = receive(socket, &piece, 1, MSG_PEEK);
    if (there < 0) return there;
    piece.iov_len = static_cast<size_t>(there);
    const long moved = there == 0 ? 0 : system_call(SYS_vmsplice, pipe, word(&piece), 1, SPLICE_F_NONBLOCK);
    if (moved == -EAGAIN && may_wait) continue;
    if (moved < 0) return moved;
    piece.iov_len = static_cast<size_t>(moved);
    receive(socket, &piece, 1, MSG_DONTWAIT);  // the same bytes again
    return moved;
  }
}

}  // namespace

// The order of Linux's checks (fs/splice.c do_splice()).
ssize_t splice(int from, bool from_has_offset, int to, bool to_has_offset, size_t bytes, unsigned flags) {
  constexpr unsigned kKnown = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT;
  if (bytes == 0) return 0;
  if (flags & ~kKnown) return -EINVAL;
  const uint32_t source = socket_of(from), target = socket_of(to);
  const int pipe = source == kNoSocket ? from : to;
  const long mode = system_call(SYS_fcntl, pipe, F_GETFL);
  if (mode < 0 || (mode & O_ACCMODE) == (pipe == from ? O_WRONLY : O_RDONLY)) return -EBADF;
  const bool are_sockets = source != kNoSocket && target != kNoSocket;
  if (are_sockets || system_call(SYS_fcntl, pipe, F_GETPIPE_SZ) < 0) return -EINVAL;
  if (pipe == from ? from_has_offset : to_has_offset) return -ESPIPE;
  if (from_has_offset || to_has_offset) return -EINVAL;
  const bool may_wait = !(flags & SPLICE_F_NONBLOCK) && !(mode & O_NONBLOCK);
  return pipe == from ? to_socket(pipe, target, bytes, may_wait) : to_pipe(source, pipe, bytes, may_wait);
}

}  // namespace skerry::sockets::client
