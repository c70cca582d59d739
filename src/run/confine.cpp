#include "run/confine.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/if_xdp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>

#include "base/fd.hpp"
#include "base/system_error.hpp"

namespace skerry {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
#else
constexpr bool kSanitized = false;
#endif

constexpr unsigned kNobody = 65534;

// Started by root, the process becomes nobody before it enters its user namespace: whatever escapes from the
// walls below then owns no file on the host. A change of user clears the wish to die with the parent.
Result<void> leave_root() {
  if (::geteuid() != 0) return {};
  int death_signal = 0;
  ::prctl(PR_GET_PDEATHSIG, &death_signal);
  const pid_t parent = ::getppid();
  if (::setgroups(0, nullptr) != 0 || ::setresgid(kNobody, kNobody, kNobody) != 0 ||
      ::setresuid(kNobody, kNobody, kNobody) != 0)
    return system_error("cannot become the user nobody");
  if (death_signal != 0) {
    if (::prctl(PR_SET_PDEATHSIG, death_signal) != 0)
      return system_error("cannot ask to die with the parent");
    if (::getppid() != parent) return Error{"the supervisor ended while this process started"};
  }
  return {};
}

Result<void> enter_empty_namespaces() {
  // The user namespace maps nobody: the process keeps its uid on the host and has none of its own inside.
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0)
    return system_error(
        "cannot create namespaces; allow them with `sysctl user.max_user_namespaces=10000` (and, where it "
        "exists, kernel.unprivileged_userns_clone=1)");
  // The new root must be a mount of its own. Any directory serves as the place for it, because both
  // disappear with the old root in the same breath.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("skerry", "/tmp", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,mode=0555") !=
          0)
    return system_error("cannot make an empty root directory");
  if (::chdir("/tmp") != 0 || ::syscall(SYS_pivot_root, ".", ".") != 0 || ::umount2(".", MNT_DETACH) != 0 ||
      ::chdir("/") != 0)
    return system_error("cannot enter the empty root directory");
  return {};
}

Result<void> drop_capabilities() {
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
    if (::prctl(PR_CAPBSET_DROP, capability) != 0) return system_error("cannot drop a capability");
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  if (::syscall(SYS_capset, &header, none) != 0) return system_error("cannot drop all capabilities");
  return {};
}

// Landlock with no rule at all: every file system right that this kernel knows is refused, and TCP with them.
// It is the second wall behind the empty root, for what reaches a file in another way.
Result<void> refuse_files() {
  struct {
    uint64_t filesystem, network, scopes;
  } handled = {};
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, 1U);
  if (abi < 1) {
    return system_error("this kernel has no Landlock; use Linux 6.1 or newer with landlock in its lsm= list");
  }
  // Rights by version of the interface: Documentation/userspace-api/landlock.rst. A kernel refuses unknown
  // bits, and an older one accepts a longer structure if the rest is zero.
  handled.filesystem = abi >= 5   ? (1U << 16) - 1
                       : abi >= 3 ? (1U << 15) - 1
                       : abi == 2 ? (1U << 14) - 1
                                  : (1U << 13) - 1;
  handled.network = abi >= 4 ? 3 : 0;
  handled.scopes = abi >= 6 ? 3 : 0;
  const Fd ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0U)));
  if (!ruleset) return system_error("cannot create a Landlock rule set");
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0U) != 0)
    return system_error("cannot apply the Landlock rule set");
  return {};
}

using FilterHandle = std::unique_ptr<void, decltype(&seccomp_release)>;

bool allow(const FilterHandle& filter, std::initializer_list<int> calls) {
  for (const int call : calls) {
    if (seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 0) != 0) return false;
  }
  return true;
}

bool allow_if(const FilterHandle& filter, int call, const scmp_arg_cmp& condition) {
  return seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, call, 1, &condition) == 0;
}

// The calls of a breath, but sendmsg(): read and write what is open, map what was received, sleep, and end.
bool allow_breath(const FilterHandle& filter) {
  if (!allow(filter, {SCMP_SYS(read),
                      SCMP_SYS(readv),
                      SCMP_SYS(write),
                      SCMP_SYS(writev),
                      SCMP_SYS(close),
                      SCMP_SYS(fstat),
                      SCMP_SYS(recvmsg),
                      SCMP_SYS(recvfrom),
                      SCMP_SYS(poll),
                      SCMP_SYS(ppoll),
                      SCMP_SYS(epoll_wait),
                      SCMP_SYS(epoll_pwait),
                      SCMP_SYS(epoll_pwait2),
                      SCMP_SYS(epoll_ctl),
                      SCMP_SYS(futex),
                      SCMP_SYS(sched_yield),
                      SCMP_SYS(clock_gettime),
                      SCMP_SYS(nanosleep),
                      SCMP_SYS(clock_nanosleep),
                      SCMP_SYS(restart_syscall),
                      SCMP_SYS(munmap),
                      SCMP_SYS(mremap),
                      SCMP_SYS(madvise),
                      SCMP_SYS(brk),
                      SCMP_SYS(getrandom),
                      SCMP_SYS(getpid),
                      SCMP_SYS(gettid),
                      SCMP_SYS(rt_sigprocmask),
                      SCMP_SYS(rt_sigaction),
                      SCMP_SYS(rt_sigreturn),
                      SCMP_SYS(exit),
                      SCMP_SYS(exit_group)}))
    return false;
  // fstat() of glibc 2.33 and later; there is no path left that it could look at.
  if (!allow(filter, {SCMP_SYS(newfstatat)})) return false;
  // Nothing becomes executable any more.
  if (!allow_if(filter, SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) ||
      !allow_if(filter, SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)))
    return false;
  // send() is sendto() without an address.
  if (!allow_if(filter, SCMP_SYS(sendto), SCMP_A4(SCMP_CMP_EQ, 0))) return false;
  // abort(), for CHECK: to itself only.
  if (!allow_if(filter, SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(::getpid()))))
    return false;
  for (const int command : {F_GETFL, F_SETFL, F_GETFD, F_SETFD, F_GET_SEALS, F_DUPFD_CLOEXEC}) {
    if (!allow_if(filter, SCMP_SYS(fcntl), SCMP_A1(SCMP_CMP_EQ, static_cast<scmp_datum_t>(command))))
      return false;
  }
  return true;
}

// With descriptors, and with an address: whoever holds a datagram socket could send to anybody.
bool allow_messages(const FilterHandle& filter) {
  return allow(filter, {SCMP_SYS(sendmsg)});
}

bool allow_session(const FilterHandle& filter) {
  return allow(filter, {SCMP_SYS(accept4), SCMP_SYS(getsockopt), SCMP_SYS(shutdown), SCMP_SYS(pidfd_open),
                        SCMP_SYS(pipe2), SCMP_SYS(socketpair), SCMP_SYS(fallocate)});
}

bool allow_xdp_statistics(const FilterHandle& filter) {
  const scmp_arg_cmp counters[] = {SCMP_A1(SCMP_CMP_EQ, SOL_XDP), SCMP_A2(SCMP_CMP_EQ, XDP_STATISTICS)};
  return seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(getsockopt), 2, counters) == 0;
}

// A library that looks for its tables of names goes on without them.
bool find_no_file(const FilterHandle& filter) {
  for (const int call : {SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(access), SCMP_SYS(faccessat2),
                         SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(readlink), SCMP_SYS(getcwd)}) {
    if (seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOENT), call, 0) != 0) return false;
  }
  return allow(filter,
               {SCMP_SYS(lseek), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(sysinfo), SCMP_SYS(getcpu)}) &&
         seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOTTY), SCMP_SYS(ioctl), 0) == 0;
}

Result<void> allow_only(Confinement kind) {
  const FilterHandle filter(seccomp_init(SCMP_ACT_KILL_PROCESS), &seccomp_release);
  if (!filter) return Error{"cannot create a system call filter"};
  // Another architecture's calls (the 32-bit entry, x32) have other numbers: they kill too.
  bool sound = seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0;
  sound = sound && allow_breath(filter);
  if (kind != Confinement::resolver) sound = sound && allow_messages(filter);
  if (kind == Confinement::driver_afxdp) sound = sound && allow_xdp_statistics(filter);
  if (kind == Confinement::stack) sound = sound && allow_session(filter);
  if (kind == Confinement::compiler) sound = sound && find_no_file(filter);
  if (!sound) return Error{"cannot describe the system calls of this process to libseccomp"};
  const int failure = seccomp_load(filter.get());
  if (failure != 0) {
    errno = -failure;
    return system_error("cannot load the system call filter");
  }
  return {};
}

}  // namespace

bool confinement_is_complete() {
  return !kSanitized;
}

Result<void> confine(Confinement kind) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return system_error("cannot set no_new_privs");
  if (kSanitized) return {};
  for (Result<void> (*step)() : {leave_root, enter_empty_namespaces, drop_capabilities, refuse_files}) {
    Result<void> done = step();
    if (!done) return done;
  }
  // Not before the namespaces: a process that is not dumpable cannot write its own maps, and one whose user
  // changes becomes so anyhow. From here nobody of the same uid may look into it or trace it.
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return system_error("cannot forbid tracing");
  return allow_only(kind);
}

}  // namespace skerry
