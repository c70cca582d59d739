// syscall(2), libc's door to the kernel by number: libuv closes sockets with it. What is known here by name
// means the same by number; all else is the kernel's.
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdarg>
#include <utility>

#include "preload/interpose.hpp"
#include "sockets/client_poll.hpp"
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
    case SYS_recvmsg:
    case SYS_recvmmsg:
    case SYS_sendto:
    case SYS_sendmsg:
    case SYS_sendmmsg:
      return client::socket_of(static_cast<int>(a[0])) != skerry::sockets::kNoSocket;
    case SYS_ppoll:
      return client::has_ours(reinterpret_cast<pollfd*>(a[0]), static_cast<nfds_t>(a[1]));
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
    case SYS_epoll_create1:
      return call(::epoll_create1, arguments);
    case SYS_epoll_ctl:
      return call(::epoll_ctl, arguments);
    case SYS_epoll_pwait:
      return call(::epoll_pwait, arguments);
    case SYS_epoll_pwait2:
      return call(::epoll_pwait2, arguments);
    case SYS_ppoll:
      return call(::ppoll, arguments);
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
      return ::fork();
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
