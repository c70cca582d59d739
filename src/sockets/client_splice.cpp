#include "sockets/client_splice.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <algorithm>

#include "sockets/client_cancel.hpp"
#include "sockets/client_datagram.hpp"
#include "sockets/client_level.hpp"
#include "sockets/client_wait.hpp"

namespace skerry::sockets::client {
namespace {

// 0 once the pipe has bytes or room, or its other end is gone; else -EAGAIN, or -EINTR. Every handler ends a
// ppoll(2), but splice(2) goes on after those with SA_RESTART.
int wait_for(int pipe, short events, bool may_wait) {
  pollfd one{.fd = pipe, .events = events, .revents = 0};
  const timespec none{};
  const auto sleep = [&] { return system_call(SYS_ppoll, word(&one), 1, may_wait ? 0 : word(&none), 0, 8); };
  for (;;) {
    const HandlersRun before = handlers_run();
    const long ready = sleep_cancellably(sleep);
    const bool goes_on = has_run_since(before) && !has_ended_calls_since(before);
    if (ready == -EINTR && goes_on) continue;
    return ready > 0 ? 0 : ready == 0 ? -EAGAIN : static_cast<int>(ready);
  }
}

// As much as is in the pipe, of which there is something unless its writers are gone.
ssize_t to_socket(int pipe, uint32_t socket, size_t bytes, bool may_wait) {
  for (;;) {
    int there = 0;
    system_call(SYS_ioctl, pipe, FIONREAD, word(&there));
    FromPipe from{pipe, std::min(bytes, static_cast<size_t>(there))};
    const ssize_t sent = there == 0          ? kPipeWaits
                         : is_stream(socket) ? send_stream(socket, from, 0)
                                             : send_datagram(socket, from, nullptr, {}, 0);
    if (sent != kPipeWaits) return sent;
    pollfd one{.fd = pipe, .events = POLLIN, .revents = 0};
    const timespec none{};
    system_call(SYS_ppoll, word(&one), 1, word(&none), 0, 8);
    if ((one.revents & (POLLIN | POLLHUP)) == POLLHUP) return 0;
    if (const int waited = wait_for(pipe, POLLIN, may_wait); waited != 0) return waited;
  }
}

// Goes from the ring to the pipe in one step, so that of several readers each has bytes of its own. Who waits
// for input holds no pages: it may be cancelled there.
ssize_t to_pipe(uint32_t socket, int pipe, size_t bytes, bool may_wait) {
  const Begun begun(socket);
  bytes = std::min(bytes, static_cast<size_t>(system_call(SYS_fcntl, pipe, F_GETPIPE_SZ)));
  const TimeNs deadline = deadline_after(state.names[socket].receive_timeout_ns.load());
  for (;;) {
    if (const int waited = wait_for(pipe, POLLOUT, may_wait); waited != 0) return waited;
    {
      const NoHandlers none;  // who leaves here would leave the pages
      IntoPipe to(pipe, bytes);
      if (!to) return -ENOMEM;
      const ssize_t moved = is_stream(socket) ? take_stream(socket, to) : take_datagram(socket, to).result;
      if (moved == kPipeWaits && may_wait) continue;
      if (moved == kPipeWaits) return -EAGAIN;
      if (moved != -EAGAIN || may_not_wait(socket, 0)) return moved;
    }
    const auto has_input = [&] { return (level(socket, kLevelIn) & (kLevelIn | EPOLLERR | EPOLLHUP)) != 0; };
    if (const int waited = Wait(socket, begun).until(has_input, deadline); waited != 0) return waited;
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
