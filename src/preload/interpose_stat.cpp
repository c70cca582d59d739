// fstat(2): all sockets of a process are one descriptor of the kernel's, and of each process another one. So
// which socket it is, the stack says: by that programs know one that another process has passed them.
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>

#include "preload/interpose.hpp"
#include "sockets/client_options.hpp"
#include "sockets/client_state.hpp"

namespace skerry::preload {
namespace {

namespace client = sockets::client;
using Status = struct stat;

constexpr uint64_t kOurs = uint64_t{1} << 62;  // the kernel's numbers of sockets have 32 bits

int status_of(int fd, void* place) {
  auto* const status = static_cast<Status*>(place);
  const bool ours = sockets::fd_kind(client::entry_of(fd)) == sockets::FdKind::internal;
  if (ours) return finish(-EBADF);
  const long result = client::system_call(SYS_fstat, fd, client::word(status));
  if (result < 0) return finish(static_cast<int>(result));
  const uint32_t socket = client::socket_of(fd);
  uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  if (socket != sockets::kNoSocket &&
      client::get_option(socket, SOL_SOCKET, SO_COOKIE, &cookie, &length) == 0)
    status->st_ino = kOurs | cookie;
  return 0;
}

}  // namespace
}  // namespace skerry::preload

using namespace skerry::preload;

// Before glibc 2.33 they were called with the version of the structure, of which this processor has one.
SKERRY_EXPORT int fstat(int fd, struct stat* status) noexcept {
  return status_of(fd, status);
}
SKERRY_EXPORT int fstat64(int fd, struct stat64* status) noexcept {
  return status_of(fd, status);
}
SKERRY_EXPORT int __fxstat(int, int fd, struct stat* status) noexcept {
  return status_of(fd, status);
}
SKERRY_EXPORT int __fxstat64(int, int fd, struct stat64* status) noexcept {
  return status_of(fd, status);
}
