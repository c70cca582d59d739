// The socket calls as an interface, so that one test runs against the kernel and against the client on the
// fake stack: what the kernel does is what programs expect. Results are as the calls give them, errors as
// -errno.
#pragma once

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cstdint>
#include <memory>
#include <string>

namespace skerry::sockets {

class Os {
 public:
  virtual ~Os() = default;
  virtual int socket(int domain, int type) = 0;
  virtual int bind(int fd, const sockaddr* address, socklen_t length) = 0;
  virtual int listen(int fd, int backlog) = 0;
  virtual int accept(int fd, sockaddr* address, socklen_t* length, int flags) = 0;
  virtual int connect(int fd, const sockaddr* address, socklen_t length) = 0;
  virtual int shutdown(int fd, int how) = 0;
  virtual int local_name(int fd, sockaddr* address, socklen_t* length) = 0;
  virtual int remote_name(int fd, sockaddr* address, socklen_t* length) = 0;
  virtual int set_option(int fd, int level, int name, const void* value, socklen_t length) = 0;
  virtual int get_option(int fd, int level, int name, void* value, socklen_t* length) = 0;
  virtual ssize_t send(int fd, const void* bytes, size_t length, int flags, const sockaddr* to = nullptr,
                       socklen_t to_length = 0) = 0;
  virtual ssize_t receive(int fd, void* bytes, size_t length, int flags, sockaddr* from = nullptr,
                          socklen_t* from_length = nullptr) = 0;
  virtual ssize_t receive_message(int fd, msghdr* message, int flags) = 0;
  virtual int receive_messages(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) = 0;
  virtual ssize_t send_message(int fd, const msghdr* message, int flags) = 0;
  virtual int close(int fd) = 0;
  virtual int dup(int fd) = 0;
  virtual int dup2(int from, int to) = 0;
  virtual int fcntl(int fd, int command, long argument) = 0;
  virtual int control(int fd, unsigned long request, void* argument) = 0;
  virtual int epoll_create() = 0;
  virtual int epoll_ctl(int epoll_fd, int operation, int fd, const epoll_event* event) = 0;
  virtual int epoll_wait(int epoll_fd, epoll_event* events, int max, int timeout_ms) = 0;
  virtual int poll(pollfd* fds, nfds_t count, int timeout_ms) = 0;
  virtual int select(int count, fd_set* read, fd_set* write, fd_set* except, int timeout_ms) = 0;
};

std::unique_ptr<Os> kernel_os();
std::unique_ptr<Os> client_os();  // needs an attached client

}  // namespace skerry::sockets
