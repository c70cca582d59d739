#include "os.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

#include "sockets/client_descriptors.hpp"
#include "sockets/client_epoll.hpp"
#include "sockets/client_message.hpp"
#include "sockets/client_options.hpp"
#include "sockets/client_poll.hpp"
#include "sockets/client_setup.hpp"

namespace skerry::sockets {
namespace {

template <class Number>
Number result(Number number) {
  return number < 0 ? static_cast<Number>(-errno) : number;
}

timeval to_timeval(int milliseconds) {
  return {.tv_sec = milliseconds / 1000, .tv_usec = milliseconds % 1000 * 1000};
}

class KernelOs final : public Os {
 public:
  int socket(int domain, int type) override { return result(::socket(domain, type, 0)); }
  int bind(int fd, const sockaddr* a, socklen_t n) override { return result(::bind(fd, a, n)); }
  int listen(int fd, int backlog) override { return result(::listen(fd, backlog)); }
  int accept(int fd, sockaddr* a, socklen_t* n, int flags) override {
    return result(::accept4(fd, a, n, flags));
  }
  int connect(int fd, const sockaddr* a, socklen_t n) override { return result(::connect(fd, a, n)); }
  int shutdown(int fd, int how) override { return result(::shutdown(fd, how)); }
  int local_name(int fd, sockaddr* a, socklen_t* n) override { return result(::getsockname(fd, a, n)); }
  int remote_name(int fd, sockaddr* a, socklen_t* n) override { return result(::getpeername(fd, a, n)); }
  int set_option(int fd, int level, int name, const void* value, socklen_t n) override {
    return result(::setsockopt(fd, level, name, value, n));
  }
  int get_option(int fd, int level, int name, void* value, socklen_t* n) override {
    return result(::getsockopt(fd, level, name, value, n));
  }
  ssize_t send(int fd, const void* b, size_t n, int flags, const sockaddr* to, socklen_t to_n) override {
    return result(::sendto(fd, b, n, flags, to, to_n));
  }
  ssize_t receive(int fd, void* b, size_t n, int flags, sockaddr* from, socklen_t* from_n) override {
    return result(::recvfrom(fd, b, n, flags, from, from_n));
  }
  ssize_t receive_message(int fd, msghdr* m, int flags) override { return result(::recvmsg(fd, m, flags)); }
  int receive_messages(int fd, mmsghdr* m, unsigned count, int flags, timespec* timeout) override {
    return result(::recvmmsg(fd, m, count, flags, timeout));
  }
  ssize_t send_message(int fd, const msghdr* m, int flags) override {
    return result(::sendmsg(fd, m, flags));
  }
  int close(int fd) override { return result(::close(fd)); }
  int dup(int fd) override { return result(::dup(fd)); }
  int dup2(int from, int to) override { return result(::dup2(from, to)); }
  int fcntl(int fd, int command, long argument) override { return result(::fcntl(fd, command, argument)); }
  int control(int fd, unsigned long request, void* a) override { return result(::ioctl(fd, request, a)); }
  int epoll_create() override { return result(::epoll_create1(EPOLL_CLOEXEC)); }
  int epoll_ctl(int epoll_fd, int operation, int fd, const epoll_event* event) override {
    return result(::epoll_ctl(epoll_fd, operation, fd, const_cast<epoll_event*>(event)));
  }
  int epoll_wait(int epoll_fd, epoll_event* events, int max, int ms) override {
    return result(::epoll_wait(epoll_fd, events, max, ms));
  }
  int poll(pollfd* fds, nfds_t count, int ms) override { return result(::poll(fds, count, ms)); }
  int select(int count, fd_set* read, fd_set* write, fd_set* except, int ms) override {
    timeval timeout = to_timeval(ms);
    return result(::select(count, read, write, except, ms < 0 ? nullptr : &timeout));
  }
};

class ClientOs final : public Os {
 public:
  int socket(int domain, int type) override { return client::open(domain, type, 0); }
  int bind(int fd, const sockaddr* a, socklen_t n) override { return client::bind(id(fd), a, n); }
  int listen(int fd, int backlog) override { return client::listen(id(fd), backlog); }
  int accept(int fd, sockaddr* a, socklen_t* n, int flags) override {
    return client::accept(id(fd), a, n, flags);
  }
  int connect(int fd, const sockaddr* a, socklen_t n) override { return client::connect(id(fd), a, n); }
  int shutdown(int fd, int how) override { return client::shutdown(id(fd), how); }
  int local_name(int fd, sockaddr* a, socklen_t* n) override { return client::local_name(id(fd), a, n); }
  int remote_name(int fd, sockaddr* a, socklen_t* n) override { return client::remote_name(id(fd), a, n); }
  int set_option(int fd, int level, int name, const void* value, socklen_t n) override {
    return client::set_option(id(fd), level, name, value, n);
  }
  int get_option(int fd, int level, int name, void* value, socklen_t* n) override {
    return client::get_option(id(fd), level, name, value, n);
  }
  ssize_t send(int fd, const void* b, size_t n, int flags, const sockaddr* to, socklen_t to_n) override {
    const iovec piece{const_cast<void*>(b), n};
    return client::send(id(fd), &piece, 1, flags, to, to_n);
  }
  ssize_t receive(int fd, void* b, size_t n, int flags, sockaddr* from, socklen_t* from_n) override {
    const iovec piece{b, n};
    return client::receive(id(fd), &piece, 1, flags, from, from_n);
  }
  ssize_t receive_message(int fd, msghdr* m, int flags) override {
    return client::receive_message(id(fd), m, flags);
  }
  int receive_messages(int fd, mmsghdr* m, unsigned count, int flags, timespec* timeout) override {
    return client::receive_messages(id(fd), m, count, flags, timeout);
  }
  ssize_t send_message(int fd, const msghdr* m, int flags) override {
    return client::send_message(id(fd), m, flags);
  }
  int close(int fd) override { return client::close(fd); }
  int dup(int fd) override { return client::dup(fd); }
  int dup2(int from, int to) override { return client::dup2(from, to); }
  int fcntl(int fd, int command, long argument) override { return client::fcntl(fd, command, argument); }
  int control(int fd, unsigned long request, void* a) override { return client::control(id(fd), request, a); }
  int epoll_create() override {
    const int fd = ::epoll_create1(EPOLL_CLOEXEC);
    client::adopt_epoll(fd);
    return fd;
  }
  int epoll_ctl(int epoll_fd, int operation, int fd, const epoll_event* event) override {
    return client::change_epoll(epoll_fd, operation, fd, event);
  }
  int epoll_wait(int epoll_fd, epoll_event* events, int max, int ms) override {
    return client::wait_epoll(epoll_fd, events, max, nanoseconds(ms), nullptr);
  }
  int poll(pollfd* fds, nfds_t count, int ms) override {
    return client::wait_poll(fds, count, nanoseconds(ms), nullptr);
  }
  int select(int count, fd_set* read, fd_set* write, fd_set* except, int ms) override {
    return client::wait_select(count, read, write, except, nanoseconds(ms), nullptr);
  }

 private:
  static uint32_t id(int fd) { return client::socket_of(fd); }
  static DurationNs nanoseconds(int ms) {
    return ms < 0 ? kNever : static_cast<DurationNs>(ms) * kMillisecond;
  }
};

}  // namespace

std::unique_ptr<Os> kernel_os() {
  return std::make_unique<KernelOs>();
}
std::unique_ptr<Os> client_os() {
  return std::make_unique<ClientOs>();
}

}  // namespace skerry::sockets
