// socket(), connect(), accept() and what else makes, names and tunes sockets.
#include <linux/sockios.h>
#include <sys/socket.h>

#include "preload/interpose.hpp"
#include "preload/standard_streams.hpp"
#include "sockets/client_options.hpp"
#include "sockets/client_setup.hpp"

namespace skerry::preload {
namespace {

namespace client = sockets::client;
using client::system_call;
using client::word;
using sockets::kNoSocket;

constinit Next<int(int, const sockaddr*, socklen_t)> next_connect{"connect"};
constinit Next<int(int, sockaddr*, socklen_t*)> next_accept{"accept"};
constinit Next<int(int, sockaddr*, socklen_t*, int)> next_accept4{"accept4"};

int kernel(long result) {
  return finish(static_cast<int>(result));
}

}  // namespace

void resolve_sockets() {
  next_connect.resolve();
  next_accept.resolve();
  next_accept4.resolve();
}

}  // namespace skerry::preload

using namespace skerry::preload;

SKERRY_EXPORT int socket(int domain, int type, int protocol) noexcept {
  if (!client::serves(domain)) return kernel(system_call(SYS_socket, domain, type, protocol));
  return given(finish(client::open(domain, type, protocol)));
}

SKERRY_EXPORT int bind(int fd, const sockaddr* address, socklen_t length) noexcept {
  const uint32_t socket = client::socket_of(fd);
  if (socket == kNoSocket) return kernel(system_call(SYS_bind, fd, word(address), length));
  return finish(client::bind(socket, address, length));
}

SKERRY_EXPORT int listen(int fd, int backlog) noexcept {
  const uint32_t socket = client::socket_of(fd);
  if (socket == kNoSocket) return kernel(system_call(SYS_listen, fd, backlog));
  return finish(client::listen(socket, backlog));
}

SKERRY_EXPORT int accept4(int fd, sockaddr* address, socklen_t* length, int flags) {
  const uint32_t socket = client::socket_of(fd);
  if (socket == kNoSocket) return next_accept4(fd, address, length, flags);
  pthread_testcancel();
  return given(finish(client::accept(socket, address, length, flags)));
}

SKERRY_EXPORT int accept(int fd, sockaddr* address, socklen_t* length) {
  const uint32_t socket = client::socket_of(fd);
  if (socket == kNoSocket) return next_accept(fd, address, length);
  pthread_testcancel();
  return given(finish(client::accept(socket, address, length, 0)));
}

SKERRY_EXPORT int connect(int fd, const sockaddr* address, socklen_t length) {
  const uint32_t socket = client::socket_of(fd);
  if (socket == kNoSocket) return next_connect(fd, address, length);
  pthread_testcancel();
  return finish(client::connect(socket, address, length));
}

SKERRY_EXPORT int shutdown(int fd, int how) noexcept {
  const uint32_t socket = client::socket_of(fd);
  if (socket == kNoSocket) return kernel(system_call(SYS_shutdown, fd, how));
  return finish(client::shutdown(socket, how));
}

SKERRY_EXPORT int getsockname(int fd, sockaddr* address, socklen_t* length) noexcept {
  const uint32_t socket = client::socket_of(fd);
  if (socket == kNoSocket) return kernel(system_call(SYS_getsockname, fd, word(address), word(length)));
  return finish(client::local_name(socket, address, length));
}

SKERRY_EXPORT int getpeername(int fd, sockaddr* address, socklen_t* length) noexcept {
  const uint32_t socket = client::socket_of(fd);
  if (socket == kNoSocket) return kernel(system_call(SYS_getpeername, fd, word(address), word(length)));
  return finish(client::remote_name(socket, address, length));
}

SKERRY_EXPORT int getsockopt(int fd, int level, int name, void* value, socklen_t* length) noexcept {
  const uint32_t socket = client::socket_of(fd);
  if (socket == kNoSocket)
    return kernel(system_call(SYS_getsockopt, fd, level, name, word(value), word(length)));
  return finish(client::get_option(socket, level, name, value, length));
}

SKERRY_EXPORT int setsockopt(int fd, int level, int name, const void* value, socklen_t length) noexcept {
  const uint32_t socket = client::socket_of(fd);
  if (socket == kNoSocket) return kernel(system_call(SYS_setsockopt, fd, level, name, word(value), length));
  return finish(client::set_option(socket, level, name, value, length));
}

SKERRY_EXPORT int sockatmark(int fd) noexcept {
  int answer = 0;
  const uint32_t socket = client::socket_of(fd);
  const long result = socket == kNoSocket ? system_call(SYS_ioctl, fd, SIOCATMARK, word(&answer))
                                          : client::control(socket, SIOCATMARK, &answer);
  return result < 0 ? kernel(result) : answer;
}

// libc offers this under a second name, too.
SKERRY_ALSO(int, connect, (int, const sockaddr*, socklen_t));
