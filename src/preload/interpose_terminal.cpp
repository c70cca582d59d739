// daemon(3), login_tty(3) and forkpty(3). libc's put a file on 0, 1 and 2 by calls that nobody can interpose,
// so where sockets stood there we would go on believing it. Ours do what libc's do (glibc misc/daemon.c,
// login/login_tty.c, login/forkpty.c) with our dup2() and close().
#include <fcntl.h>
#include <paths.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <utmp.h>

#include "preload/interpose.hpp"
#include "preload/standard_streams.hpp"
#include "sockets/client_descriptors.hpp"

namespace skerry::preload {
namespace {

namespace client = sockets::client;
using client::system_call;
using client::word;

void put_on_standard_numbers(int fd) {
  for (int number = 0; number <= 2; ++number) given(client::dup2(fd, number));
  if (fd > 2) client::close(fd);
}

// 0 or -errno.
int leave_standard_streams() {
  const dev_t null = makedev(1, 3);
  const auto fd = static_cast<int>(system_call(SYS_openat, AT_FDCWD, word(_PATH_DEVNULL), O_RDWR));
  if (fd < 0) return fd;
  struct stat status {};
  fstat(fd, &status);
  if (S_ISCHR(status.st_mode) && status.st_rdev == null) {
    put_on_standard_numbers(fd);
    return 0;
  }
  client::close(fd);
  return -ENODEV;
}

}  // namespace
}  // namespace skerry::preload

using namespace skerry::preload;

SKERRY_EXPORT int daemon(int stays_in_directory, int keeps_streams) noexcept {
  const pid_t child = fork();
  if (child < 0) return -1;
  if (child > 0) _exit(0);
  if (setsid() < 0) return -1;
  if (stays_in_directory == 0) static_cast<void>(!chdir("/"));
  return keeps_streams != 0 ? 0 : finish(leave_standard_streams());
}

SKERRY_EXPORT int login_tty(int terminal) noexcept {
  setsid();  // who leads a session already may go on
  if (ioctl(terminal, TIOCSCTTY, nullptr) != 0) return -1;
  put_on_standard_numbers(terminal);
  return 0;
}

SKERRY_EXPORT int forkpty(int* ours, char* name, const termios* how, const winsize* size) noexcept {
  int ends[2];
  if (openpty(&ends[0], &ends[1], name, how, size) != 0) return -1;
  const pid_t child = fork();
  if (child == 0) {
    client::close(ends[0]);
    if (login_tty(ends[1]) != 0) _exit(1);
    return 0;
  }
  client::close(ends[1]);
  if (child < 0)
    client::close(ends[0]);
  else
    *ours = ends[0];
  return child;
}
