// fstat(2) and those that do the same: all sockets of a process are one descriptor of the kernel's, and of
// each process another one. So which socket it is, the stack says: by that programs know one that another
// process has passed them. All else is as the next library has it, which may be fakeroot's and not libc's.
#include <fcntl.h>
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
using Status64 = struct stat64;
using Extended = struct statx;

constinit Next<int(int, Status*)> next_fstat{"fstat"};
constinit Next<int(int, Status64*)> next_fstat64{"fstat64"};
constinit Next<int(int, const char*, Status*, int)> next_fstatat{"fstatat"};
constinit Next<int(int, const char*, Status64*, int)> next_fstatat64{"fstatat64"};
constinit Next<int(int, const char*, int, unsigned, Extended*)> next_statx{"statx"};
constinit Next<int(int, int, Status*)> next_fxstat{"__fxstat"};
constinit Next<int(int, int, Status64*)> next_fxstat64{"__fxstat64"};
constinit Next<int(int, int, const char*, Status*, int)> next_fxstatat{"__fxstatat"};
constinit Next<int(int, int, const char*, Status64*, int)> next_fxstatat64{"__fxstatat64"};

// What was found of a descriptor. The kernel's numbers of sockets have 32 bits and cookies have more, but so
// few that a double, which is what JavaScript has for them, still holds them.
template <class Inode>
int correct(int found, int fd, Inode* inode) {
  if (found < 0) return found;
  if (sockets::fd_kind(client::entry_of(fd)) == sockets::FdKind::internal) return finish(-EBADF);
  const uint32_t socket = client::socket_of(fd);
  uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  if (socket != sockets::kNoSocket &&
      client::get_option(socket, SOL_SOCKET, SO_COOKIE, &cookie, &length) == 0)
    *inode = cookie;
  return found;
}

// The same where a path was asked for: an empty one means the descriptor. What was found was read, and glibc
// says that it is never null, but since Linux 6.11 it may be.
template <class Inode>
int correct(int found, int fd, const char* path, int flags, Inode* inode) {
  asm("" : "+r"(path));
  const bool is_descriptor = found == 0 && (flags & AT_EMPTY_PATH) != 0 && (path == nullptr || *path == 0);
  return is_descriptor ? correct(found, fd, inode) : found;
}

}  // namespace

long stat_by_number(long number, const long (&a)[6]) {
  const long result = client::system_call(number, a[0], a[1], a[2], a[3], a[4]);
  const int found = finish(static_cast<int>(result)), fd = static_cast<int>(a[0]);
  const char* const path = reinterpret_cast<const char*>(a[1]);
  if (number == SYS_fstat) return correct(found, fd, &reinterpret_cast<Status*>(a[1])->st_ino);
  if (number == SYS_newfstatat)
    return correct(found, fd, path, static_cast<int>(a[3]), &reinterpret_cast<Status*>(a[2])->st_ino);
  return correct(found, fd, path, static_cast<int>(a[2]), &reinterpret_cast<Extended*>(a[4])->stx_ino);
}

void resolve_stat() {
  next_fstat.resolve();
  next_fstat64.resolve();
  next_fstatat.resolve();
  next_fstatat64.resolve();
  next_statx.resolve();
  next_fxstat.resolve();
  next_fxstat64.resolve();
  next_fxstatat.resolve();
  next_fxstatat64.resolve();
}

}  // namespace skerry::preload

using namespace skerry::preload;

SKERRY_EXPORT int fstat(int fd, Status* status) noexcept {
  return correct(next_fstat(fd, status), fd, &status->st_ino);
}
SKERRY_EXPORT int fstat64(int fd, Status64* status) noexcept {
  return correct(next_fstat64(fd, status), fd, &status->st_ino);
}
SKERRY_EXPORT int fstatat(int folder, const char* path, Status* status, int flags) noexcept {
  return correct(next_fstatat(folder, path, status, flags), folder, path, flags, &status->st_ino);
}
SKERRY_EXPORT int fstatat64(int folder, const char* path, Status64* status, int flags) noexcept {
  return correct(next_fstatat64(folder, path, status, flags), folder, path, flags, &status->st_ino);
}
// libuv and Rust ask so.
SKERRY_EXPORT int statx(int folder, const char* path, int flags, unsigned mask, Extended* status) noexcept {
  return correct(next_statx(folder, path, flags, mask, status), folder, path, flags, &status->stx_ino);
}

// Before glibc 2.33 they were called with the version of the structure.
SKERRY_EXPORT int __fxstat(int version, int fd, Status* status) noexcept {
  return correct(next_fxstat(version, fd, status), fd, &status->st_ino);
}
SKERRY_EXPORT int __fxstat64(int version, int fd, Status64* status) noexcept {
  return correct(next_fxstat64(version, fd, status), fd, &status->st_ino);
}
SKERRY_EXPORT int __fxstatat(int version, int folder, const char* path, Status* status, int flags) noexcept {
  return correct(next_fxstatat(version, folder, path, status, flags), folder, path, flags, &status->st_ino);
}
SKERRY_EXPORT int __fxstatat64(int version, int folder, const char* path, Status64* status,
                               int flags) noexcept {
  return correct(next_fxstatat64(version, folder, path, status, flags), folder, path, flags, &status->st_ino);
}
