// Descriptor numbers: close, dup, fcntl, ioctl and their relatives.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdarg>

#include "preload/interfaces.hpp"
#include "preload/interpose.hpp"
#include "preload/neighbours.hpp"
#include "preload/standard_streams.hpp"
#include "sockets/client_descriptors.hpp"
#include "sockets/client_options.hpp"
#include "sockets/client_signals.hpp"
#include "sockets/client_state.hpp"

namespace skerry::preload {
namespace {

namespace client = sockets::client;
using client::system_call;
using sockets::kNoSocket;

// The one argument behind `command`, whatever its type, is a register's worth.
long one_argument(va_list list) {
  return va_arg(list, long);
}

// F_GETOWN as libc has it: the kernel's own answer for a group looks like an error.
int control_descriptor(int fd, int command, long argument) {
  if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
    return given(finish(client::fcntl(fd, command, argument)));
  if (command != F_GETOWN) return finish(client::fcntl(fd, command, argument));
  f_owner_ex owner{};
  const int result = client::fcntl(fd, F_GETOWN_EX, reinterpret_cast<long>(&owner));
  return result < 0 ? finish(result) : client::owner_number(owner);
}

bool belongs_to_kernel(unsigned long request) {
  return request == FIOCLEX || request == FIONCLEX;
}

// A socket of the kernel's, in a program that has interfaces of ours.
bool is_socket_beside_ours(int fd) {
  int type = 0;
  socklen_t length = sizeof type;
  return client::state.attached && system_call(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, client::word(&type),
                                               client::word(&length)) == 0;
}

}  // namespace
}  // namespace skerry::preload

using namespace skerry::preload;

SKERRY_EXPORT int close(int fd) {
  return finish(client::close(fd));
}

SKERRY_EXPORT int close_range(unsigned first, unsigned last, int flags) noexcept {
  return finish(client::close_range(first, last, static_cast<uint32_t>(flags)));
}

SKERRY_EXPORT void closefrom(int first) noexcept {
  client::close_range(first < 0 ? 0 : static_cast<uint32_t>(first), UINT32_MAX, 0);
}

SKERRY_EXPORT int dup(int fd) noexcept {
  return given(finish(client::dup(fd)));
}

SKERRY_EXPORT int dup2(int from, int to) noexcept {
  return given(finish(client::dup2(from, to)));
}

SKERRY_EXPORT int dup3(int from, int to, int flags) noexcept {
  return given(finish(client::dup3(from, to, flags)));
}

SKERRY_EXPORT int fcntl(int fd, int command, ...) {
  va_list list;
  va_start(list, command);
  const long argument = one_argument(list);
  va_end(list);
  return control_descriptor(fd, command, argument);
}

SKERRY_EXPORT int fcntl64(int fd, int command, ...) {
  va_list list;
  va_start(list, command);
  const long argument = one_argument(list);
  va_end(list);
  return control_descriptor(fd, command, argument);
}

SKERRY_EXPORT int ioctl(int fd, unsigned long request, ...) noexcept {
  va_list list;
  va_start(list, request);
  const long argument = one_argument(list);
  va_end(list);
  const uint32_t socket = client::socket_of(fd);
  void* pointer = reinterpret_cast<void*>(argument);
  // The kernel knows its own interfaces alone, so its sockets, of AF_UNIX say, are not asked.
  const bool is_ours = socket != kNoSocket;
  const bool is_inet = is_ours && !client::state.names[socket].v6;
  if (is_interface_request(request, is_inet) && (is_ours || is_socket_beside_ours(fd)))
    return finish(answer_interface_request(request, pointer));
  if (is_neighbour_request(request, is_inet) && (is_ours || is_socket_beside_ours(fd)))
    return finish(answer_neighbour_request(request, pointer));
  if (!is_ours || belongs_to_kernel(request))
    return finish(static_cast<int>(system_call(SYS_ioctl, fd, static_cast<long>(request), argument)));
  return finish(client::control(socket, request, pointer));
}

// libc offers these under a second name, too.
SKERRY_ALSO(int, close, (int));
SKERRY_ALSO(int, dup2, (int, int));
SKERRY_ALSO(int, fcntl, (int, int, ...));
