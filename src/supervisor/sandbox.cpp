#include "supervisor/sandbox.hpp"

#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include "base/system_error.hpp"

namespace skerry::supervisor {
namespace {

constexpr int kLeastMajor = 6, kLeastMinor = 1;

Result<void> check_version() {
  utsname system{};
  int major = 0, minor = 0;
  if (::uname(&system) != 0 || std::sscanf(system.release, "%d.%d", &major, &minor) != 2)
    return Error{"cannot read the version of this kernel"};
  if (major < kLeastMajor || (major == kLeastMajor && minor < kLeastMinor)) {
    return Error{std::string("this kernel is Linux ") + system.release +
                 "; Skerry needs 6.1 or newer (Debian 12 ships it): upgrade the kernel"};
  }
  return {};
}

// Tried, not read from a sysctl: distributions forbid it in ways of their own.
Result<void> check_user_namespaces() {
  const pid_t child = ::fork();
  if (child < 0) return system_error("cannot start a process");
  if (child == 0) ::_exit(::unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 ? 0 : errno);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  const int number = WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD;
  return Error{std::string("this system forbids user namespaces (") + std::strerror(number) +
                   "): allow them with `sysctl user.max_user_namespaces=10000` and, where they exist, "
                   "kernel.unprivileged_userns_clone=1 and kernel.apparmor_restrict_unprivileged_userns=0",
               number};
}

}  // namespace

Limits limits_of(ProcessKind kind) {
  switch (kind) {
    case ProcessKind::vswitch:
      return {4096, false};  // three for each port
    case ProcessKind::driver_tap:
    case ProcessKind::driver_user:
    case ProcessKind::resolver:
      return {64, false};
    case ProcessKind::driver_afxdp:
      return {256, false};  // one for each queue
    case ProcessKind::stack:
      return {65536, false};  // a connection and a pidfd for each process of its program
    case ProcessKind::program:
      return {};  // as the user's
  }
  return {};
}

Walls walls_of(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  Walls walls;
  for (std::string line; std::getline(status, line);) {
    if (line == "NoNewPrivs:\t1") walls.no_new_privileges = true;
    if (line == "Seccomp:\t2") walls.system_calls_filtered = true;
    if (line == "CapEff:\t0000000000000000") walls.without_capabilities = true;
  }
  return walls;
}

Result<void> check_kernel() {
  Result<void> version = check_version();
  if (!version) return version;
  if (::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1)
    return Error{"this kernel has Landlock switched off: add landlock to the lsm= list of its command line"};
  return check_user_namespaces();
}

}  // namespace skerry::supervisor
