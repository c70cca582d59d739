// What a process does to itself: vfork(2), and seccomp(2) by prctl(2).
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdarg>

#include "preload/interpose.hpp"
#include "sockets/client_wait.hpp"

using namespace skerry::preload;
namespace client = skerry::sockets::client;

// A child of the kernel's vfork() would share our tables but not the descriptors that they describe. A child
// of fork() has its own of both, and its exec() finds them.
SKERRY_EXPORT pid_t vfork() {
  return fork();
}

// A program that forbids itself system calls (sshd before a login) knows which ones sockets need on Linux,
// and not those that ours need.
SKERRY_EXPORT int prctl(int option, ...) noexcept {
  va_list list;
  va_start(list, option);
  unsigned long arguments[4];
  for (unsigned long& argument : arguments) argument = va_arg(list, unsigned long);
  va_end(list);
  // Without a filter it is only a question whether the kernel has them.
  const bool forbids =
      arguments[0] == SECCOMP_MODE_STRICT || (arguments[0] == SECCOMP_MODE_FILTER && arguments[1] != 0);
  if (option == PR_SET_SECCOMP && forbids) client::get_by_with_few_calls();
  return finish(static_cast<int>(
      client::system_call(SYS_prctl, option, static_cast<long>(arguments[0]), static_cast<long>(arguments[1]),
                          static_cast<long>(arguments[2]), static_cast<long>(arguments[3]))));
}
