// syscall(2), libc's door to the kernel by number: libuv closes sockets with it. What is known here by name
// means the same by number; all else is the kernel's.
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdarg>
#include <utility>

#include "preload/interpose.hpp"
#include "sockets/client_poll.hpp"
#include "sockets/client_session.hpp"
#include "sockets/client_wait.hpp"

namespace {

struct Arguments {
  long values[6];
};

// The function of that name with as many of the arguments as it takes.
template <class Result, class... Parameters>
long call(Result (*function)(Parameters...), const Arguments& arguments) {
  return [&]<size_t... I>(std::index_sequence<I...>) {
    return static_cast<long>(function((Parameters)arguments.values[I]...));
  }
  (std::index_sequence_for<Parameters...>());
}

namespace client = skerry::sockets::client;

// libc's functions are cancellation points, and poll() and select() keep the time left to themselves;
// syscall() is none and hands it back. So where none of our sockets is concerned the kernel is asked, as
// ever.
bool concerns_us(long number, const Arguments& arguments) {
  const auto& a = arguments.values;
  switch (number) {
    case SYS_read:
    case SYS_write:
    case SYS_readv:
    case SYS_writev:
    case SYS_accept:
    case SYS_accept4:
    case SYS_connect:
    case SYS_recvfrom:
    case SYS_sendto:
    case SYS_preadv2:
    case SYS_pwritev2:
      return client::socket_of(static_cast<int>(a[0])) != skerry::sockets::kNoSocket;
    case SYS_ppoll:
      return client::has_ours(reinterpret_cast<pollfd*>(a[0]), static_cast<nfds_t>(a[1]));
    case SYS_pselect6:
      return client::has_ours(static_cast<int>(a[0]), reinterpret_cast<fd_set*>(a[1]),
                              reinterpret_cast<fd_set*>(a[2]), reinterpret_cast<fd_set*>(a[3]));
#ifdef SYS_dup2
    case SYS_poll:
      return client::has_ours(reinterpret_cast<pollfd*>(a[0]), static_cast<nfds_t>(a[1]));
    case SYS_select:
      return client::has_ours(static_cast<int>(a[0]), reinterpret_cast<fd_set*>(a[1]),
                              reinterpret_cast<fd_set*>(a[2]), reinterpret_cast<fd_set*>(a[3]));
#endif
    default:
      return true;
  }
}

// What pselect6(2) takes last, as it takes no more than six arguments.
struct MaskOfSelect {
  const sigset_t* mask;
  size_t bytes;
};

int select_by_number(const Arguments& arguments) {
  const auto& a = arguments.values;
  const auto* last = reinterpret_cast<const MaskOfSelect*>(a[5]);
  return ::pselect(static_cast<int>(a[0]), reinterpret_cast<fd_set*>(a[1]), reinterpret_cast<fd_set*>(a[2]),
                   reinterpret_cast<fd_set*>(a[3]), reinterpret_cast<const timespec*>(a[4]),
                   last == nullptr ? nullptr : last->mask);
}

// The kernel hands back what was not slept of a time-out (select(2)); libc's functions do not. It does the
// writing here too, because a time-out may lie where nobody can write, and then it is no error.
template <class Wait>
long give_time_back(long time_out, Wait wait) {
  const skerry::TimeNs before = client::monotonic_ns();
  const long result = wait();
  if (time_out == 0 || client::few_calls) return result;
  timespec left = *reinterpret_cast<const timespec*>(time_out);
  constexpr time_t kForEver = 1'000'000'000;
  if (left.tv_sec < 0 || left.tv_sec > kForEver || left.tv_nsec < 0) return result;
  const auto asked = static_cast<skerry::DurationNs>(left.tv_sec) * skerry::kSecond +
                     static_cast<skerry::DurationNs>(left.tv_nsec);
  const skerry::DurationNs slept = client::monotonic_ns() - before;
  left = client::to_timespec(asked > slept ? asked - slept : 0);
  const iovec from{&left, sizeof left};
  const iovec to{reinterpret_cast<void*>(time_out), sizeof left};
  client::system_call(SYS_process_vm_writev, client::system_call(SYS_getpid), client::word(&from), 1,
                      client::word(&to), 1, 0);
  return result;
}

// False where the program may not read; then the kernel has the answer.
bool copy_in(long from, void* to, size_t bytes) {
  const iovec ours{to, bytes};
  const iovec theirs{reinterpret_cast<void*>(from), bytes};
  return client::system_call(SYS_process_vm_readv, client::system_call(SYS_getpid), client::word(&ours), 1,
                             client::word(&theirs), 1, 0) == static_cast<long>(bytes);
}

// A child with memory and descriptors of its own, that goes on here: what fork(2) makes. Of others (threads,
// vfork(2)) libc has functions, since no C function can return from such a call twice.
bool makes_a_process(long number, const Arguments& arguments) {
  constexpr uint64_t kShared = CLONE_VM | CLONE_FILES | CLONE_THREAD;
  const auto& a = arguments.values;
  if (number == SYS_clone) return (static_cast<uint64_t>(a[0]) & kShared) == 0 && a[1] == 0;
  clone_args described{};
  return static_cast<size_t>(a[1]) >= CLONE_ARGS_SIZE_VER0 &&
         copy_in(a[0], &described, CLONE_ARGS_SIZE_VER0) && (described.flags & kShared) == 0 &&
         described.stack == 0;
}

// Of libc's own handlers (pthread_atfork(3)) none runs, as on Linux.
long clone_by_number(long number, const Arguments& arguments) {
  const auto& a = arguments.values;
  client::fork_prepare();
  const long child = client::system_call(number, a[0], a[1], a[2], a[3], a[4]);
  child == 0 ? client::fork_child() : client::fork_parent();
  return skerry::preload::finish(child);
}

// Others only ask what the kernel can do, as libseccomp does first.
bool forbids(long operation, long filter) {
  return operation == SECCOMP_SET_MODE_STRICT || (operation == SECCOMP_SET_MODE_FILTER && filter != 0);
}

}  // namespace

using namespace skerry::preload;

SKERRY_EXPORT long syscall(long number, ...) noexcept {
  Arguments arguments;
  va_list list;
  va_start(list, number);
  for (long& value : arguments.values) value = va_arg(list, long);
  va_end(list);
  const auto& a = arguments.values;
  if (!concerns_us(number, arguments))
    return finish(client::system_call(number, a[0], a[1], a[2], a[3], a[4], a[5]));
  const NoCancellation none;
  switch (number) {
    case SYS_read:
      return call(::read, arguments);
    case SYS_write:
      return call(::write, arguments);
    case SYS_readv:
      return call(::readv, arguments);
    case SYS_writev:
      return call(::writev, arguments);
    case SYS_close:
      return call(::close, arguments);
    case SYS_close_range:
      return call(::close_range, arguments);
    case SYS_dup:
      return call(::dup, arguments);
    case SYS_dup3:
      return call(::dup3, arguments);
    case SYS_fcntl:
      return ::fcntl(static_cast<int>(a[0]), static_cast<int>(a[1]), a[2]);
    case SYS_ioctl:
      return ::ioctl(static_cast<int>(a[0]), static_cast<unsigned long>(a[1]), a[2]);
    case SYS_socket:
      return call(::socket, arguments);
    case SYS_bind:
      return call(::bind, arguments);
    case SYS_listen:
      return call(::listen, arguments);
    case SYS_accept:
      return call(::accept, arguments);
    case SYS_accept4:
      return call(::accept4, arguments);
    case SYS_connect:
      return call(::connect, arguments);
    case SYS_shutdown:
      return call(::shutdown, arguments);
    case SYS_getsockname:
      return call(::getsockname, arguments);
    case SYS_getpeername:
      return call(::getpeername, arguments);
    case SYS_getsockopt:
      return call(::getsockopt, arguments);
    case SYS_setsockopt:
      return call(::setsockopt, arguments);
    case SYS_recvfrom:
      return call(::recvfrom, arguments);
    case SYS_recvmsg:
      return call(::recvmsg, arguments);
    case SYS_recvmmsg:
      return call(::recvmmsg, arguments);
    case SYS_sendto:
      return call(::sendto, arguments);
    case SYS_sendmsg:
      return call(::sendmsg, arguments);
    case SYS_sendmmsg:
      return call(::sendmmsg, arguments);
    case SYS_sendfile:
      return call(::sendfile, arguments);
    case SYS_splice:
      return call(::splice, arguments);
    case SYS_preadv2:  // the offset is in two parts, for processors on which it does not fit into one
      return ::preadv2(static_cast<int>(a[0]), reinterpret_cast<const iovec*>(a[1]), static_cast<int>(a[2]),
                       a[3], static_cast<int>(a[5]));
    case SYS_pwritev2:
      return ::pwritev2(static_cast<int>(a[0]), reinterpret_cast<const iovec*>(a[1]), static_cast<int>(a[2]),
                        a[3], static_cast<int>(a[5]));
    case SYS_execve:
      return call(::execve, arguments);
    case SYS_execveat:
      return call(::execveat, arguments);
    case SYS_fstat:
    case SYS_newfstatat:
    case SYS_statx:
      return stat_by_number(number, a);
    case SYS_getrlimit:
      return call(::getrlimit, arguments);
    case SYS_setrlimit:
      return call(::setrlimit, arguments);
    case SYS_prlimit64:
      return call(::prlimit64, arguments);
    case SYS_mlockall:
      return call(::mlockall, arguments);
    case SYS_io_submit:
      return finish(submit(a[0], a[1], reinterpret_cast<iocb**>(a[2])));
    case SYS_epoll_create1:
      return call(::epoll_create1, arguments);
    case SYS_epoll_ctl:
      return call(::epoll_ctl, arguments);
    case SYS_epoll_pwait:
      return call(::epoll_pwait, arguments);
    case SYS_epoll_pwait2:
      return call(::epoll_pwait2, arguments);
    case SYS_ppoll:
      return give_time_back(a[2], [&] { return call(::ppoll, arguments); });
    case SYS_pselect6:
      return give_time_back(a[4], [&] { return select_by_number(arguments); });
    case SYS_clone:
    case SYS_clone3:
      if (makes_a_process(number, arguments)) return clone_by_number(number, arguments);
      break;
#ifdef SYS_dup2  // those that newer architectures do not have
    case SYS_dup2:
      return call(::dup2, arguments);
    case SYS_epoll_create:
      return call(::epoll_create, arguments);
    case SYS_epoll_wait:
      return call(::epoll_wait, arguments);
    case SYS_poll:
      return call(::poll, arguments);
    case SYS_select:
      return call(::select, arguments);
    case SYS_fork:
    case SYS_vfork:
      return ::_Fork();
#endif
    case SYS_prctl:
      return ::prctl(static_cast<int>(a[0]), a[1], a[2], a[3], a[4]);
    case SYS_seccomp:
      if (forbids(a[0], a[2])) client::get_by_with_few_calls();
      break;
    default:
      break;
  }
  return finish(client::system_call(number, a[0], a[1], a[2], a[3], a[4], a[5]));
}
