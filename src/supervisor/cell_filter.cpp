#include "supervisor/cell_filter.hpp"

#include <asm/ioctls.h>
#include <linux/netlink.h>
#include <seccomp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace skerry::supervisor {
namespace {

using FilterHandle = std::unique_ptr<void, decltype(&seccomp_release)>;
using Conditions = std::vector<scmp_arg_cmp>;

bool deny(const FilterHandle& filter, int number, int call, const Conditions& conditions = {}) {
  return seccomp_rule_add_array(filter.get(), SCMP_ACT_ERRNO(static_cast<uint32_t>(number)), call,
                                static_cast<unsigned>(conditions.size()), conditions.data()) == 0;
}

// Only AF_UNIX, AF_INET, AF_INET6 and AF_NETLINK: a virtual machine's AF_VSOCK, for one, is in no network
// namespace. The register has 64 bits and the kernel looks at 32: whatever has more is above the largest
// family.
bool deny_families(const FilterHandle& filter, int call) {
  for (int family = AF_UNSPEC; family < AF_NETLINK; ++family) {
    if (family == AF_UNSPEC || family == AF_UNIX || family == AF_INET || family == AF_INET6) continue;
    if (!deny(filter, EAFNOSUPPORT, call, {SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(family))}))
      return false;
  }
  return deny(filter, EAFNOSUPPORT, call, {SCMP_A0(SCMP_CMP_GT, AF_NETLINK)}) &&
         // Of netlink only the questions about interfaces and routes: other protocols are old, large code.
         deny(filter, EPROTONOSUPPORT, call,
              {SCMP_A0(SCMP_CMP_EQ, AF_NETLINK), SCMP_A2(SCMP_CMP_GT, NETLINK_ROUTE)});
}

bool describe(const FilterHandle& filter) {
  if (!deny_families(filter, SCMP_SYS(socket)) || !deny_families(filter, SCMP_SYS(socketpair))) return false;
  // A second system call interface beside this filter, which sees none of its requests.
  for (const int call : {SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register)}) {
    if (!deny(filter, ENOSYS, call)) return false;
  }
  // Keys belong to the user, not to a namespace.
  for (const int call : {SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(keyctl)}) {
    if (!deny(filter, ENOSYS, call)) return false;
  }
  // Parts of the kernel that have no business with a program and a long record of holes, and the machine's
  // own switches. userfaultfd also lets a program stop whoever reads its memory.
  for (const int call :
       {SCMP_SYS(userfaultfd), SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(kexec_load),
        SCMP_SYS(kexec_file_load), SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module),
        SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(acct), SCMP_SYS(syslog),
        SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(quotactl), SCMP_SYS(open_by_handle_at),
        SCMP_SYS(lookup_dcookie)}) {
    if (!deny(filter, EPERM, call)) return false;
  }
  // The terminal is shared with the user's shell: what is pushed into it, the shell would read as typed.
  for (const unsigned request : {TIOCSTI, TIOCLINUX}) {
    if (!deny(filter, EPERM, SCMP_SYS(ioctl), {SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, request)}))
      return false;
  }
  return true;
}

// The preload library answers these before they become system calls.
bool stop_at_internet_sockets(const FilterHandle& filter) {
  for (const int family : {AF_INET, AF_INET6}) {
    const scmp_arg_cmp is_family = SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(family));
    if (seccomp_rule_add_array(filter.get(), SCMP_ACT_TRAP, SCMP_SYS(socket), 1, &is_family) != 0)
      return false;
  }
  return true;
}

}  // namespace

Result<void> filter_program(bool strict) {
  const FilterHandle filter(seccomp_init(SCMP_ACT_ALLOW), &seccomp_release);
  if (!filter || seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) != 0 ||
      !describe(filter) || (strict && !stop_at_internet_sockets(filter)))
    return Error{"cannot describe the program's system calls to libseccomp"};
  const int failure = seccomp_load(filter.get());
  if (failure != 0)
    return Error{std::string("cannot load the program's system call filter: ") + std::strerror(-failure),
                 -failure};
  return {};
}

}  // namespace skerry::supervisor
