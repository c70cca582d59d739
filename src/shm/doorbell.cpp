#include "shm/doorbell.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/system_error.hpp"

namespace skerry {
namespace {

// A pipe end that blocks would hand our thread to the neighbour; something else than a pipe has other rules.
Result<Fd> own_pipe_end(Fd fd, int access) {
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0 || !S_ISFIFO(status.st_mode)) return Error{"a doorbell must be a pipe"};
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || (flags & O_ACCMODE) != access)
    return Error{access == O_WRONLY ? "the ringer's doorbell must be the write end of a pipe"
                                    : "the sleeper's doorbell must be the read end of a pipe"};
  if (::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0)
    return system_error("cannot make a doorbell non-blocking");
  return fd;
}

}  // namespace

Result<DoorbellPipe> DoorbellPipe::create() {
  int ends[2];
  if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return system_error("cannot create a doorbell");
  return DoorbellPipe{Fd(ends[1]), Fd(ends[0])};
}

Result<Ringer> Ringer::adopt(Fd ring) {
  struct sigaction action {};
  if (::sigaction(SIGPIPE, nullptr, &action) != 0 || action.sa_handler == SIG_DFL)
    return Error{"a process that rings doorbells must ignore SIGPIPE: call signal(SIGPIPE, SIG_IGN) first"};
  Result<Fd> fd = own_pipe_end(std::move(ring), O_WRONLY);
  if (!fd) return fd.error();
  return Ringer(std::move(*fd));
}

bool Ringer::ring() {
  const char byte = 0;
  // EAGAIN: the pipe is full, so it has been rung. EINTR cannot happen to a non-blocking write of one byte.
  return ::write(fd_.get(), &byte, 1) == 1 || errno != EPIPE;
}

Result<Waker> Waker::adopt(Fd wake) {
  Result<Fd> fd = own_pipe_end(std::move(wake), O_RDONLY);
  if (!fd) return fd.error();
  return Waker(std::move(*fd));
}

bool Waker::drain() {
  char bytes[64];
  if (!fd_ || ::read(fd_.get(), bytes, sizeof bytes) != 0) return static_cast<bool>(fd_);
  fd_.reset();
  return false;
}

}  // namespace skerry
