#include "sockets/client_setup.hpp"

#include <netinet/in.h>
#include <pthread.h>

#include "sockets/client_address.hpp"
#include "sockets/client_call.hpp"
#include "sockets/client_datagram.hpp"
#include "sockets/client_descriptors.hpp"
#include "sockets/client_level.hpp"
#include "sockets/client_options.hpp"
#include "sockets/client_processes.hpp"
#include "sockets/client_stream.hpp"
#include "sockets/client_wait.hpp"

namespace skerry::sockets::client {
namespace {

uint32_t status_of(uint32_t socket) {
  return state.out[socket].status.load(std::memory_order_acquire);
}

// The oldest completed connection: its index is popped by compare-and-swap, because several processes may
// accept on one listener. kNoSocket: none.
uint32_t pop_connection(uint32_t listener) {
  SocketIn& in = state.in[listener];
  const SocketOut& out = state.out[listener];
  const uint32_t mask = static_cast<uint32_t>(state.stream_bytes) - 1;
  uint32_t read = in.rx_read.load(std::memory_order_relaxed);
  for (;;) {
    if (out.rx_written.load(std::memory_order_acquire) - read < 4) return kNoSocket;
    const uint8_t* place = rx_ring(listener) + ((read - out.rx_base.load(std::memory_order_relaxed)) & mask);
    const uint32_t index = std::atomic_ref<const uint32_t>(*reinterpret_cast<const uint32_t*>(place))
                               .load(std::memory_order_relaxed);
    if (!in.rx_read.compare_exchange_weak(read, read + 4, std::memory_order_seq_cst)) continue;
    return index < state.size.sockets ? index : kNoSocket;
  }
}

void set_flags(uint32_t socket, int type_flags) {
  state.in[socket].flags.store(type_flags & SOCK_NONBLOCK ? kNonBlocking : 0u, std::memory_order_relaxed);
}

// The descriptor, or -EAGAIN. Its number comes first: without one the connection stays in the queue.
int accept_one(uint32_t listener, sockaddr* address, socklen_t* length, int flags) {
  if (!(level(listener, kLevelIn) & kLevelIn)) return -EAGAIN;
  Lock table = lock_table();
  const int fd = reserve(flags & SOCK_CLOEXEC);
  if (fd < 0) return fd;
  const uint32_t accepted = pop_connection(listener);
  if (accepted == kNoSocket) {
    close_descriptor(fd);
    return -EAGAIN;
  }
  install_at(fd, accepted);
  table.release();
  set_flags(accepted, flags);
  inherit_options(listener, accepted);
  to_sockaddr(state.names[accepted].remote, state.names[accepted].v6, address, length);
  return fd;
}

// The end of an attempt that a connect() began and left: once told, as Linux does it (inet_stream_connect).
int outcome(uint32_t socket) {
  state.in[socket].flags.fetch_and(~uint32_t{kConnectDue}, std::memory_order_relaxed);
  if (status_of(socket) & kConnected) return 0;
  const int error = take_error(socket);
  Request again{.op = Op::disconnect, .socket = socket};
  call(again);
  return error != 0 ? error : -ECONNABORTED;
}

bool is_under_way(uint32_t socket) {
  const uint32_t status = status_of(socket);
  return (status & kConnecting) && !(status & (kConnected | kHungUp)) &&
         state.out[socket].error.load(std::memory_order_acquire) == 0;
}

// What we send to ourselves has arrived on Linux before a call returns. Here the answer, and the answer to
// it, take three breaths of the stack, and one call is served in each.
void let_ourselves_answer(uint32_t socket, const Begun& begun) {
  const SocketNames& names = state.names[socket];
  const IpAddress to = names.remote.address;
  const bool is_own = to == names.local.address || to == IpAddress::v4(state.control->address);
  if (!is_own && !to.is_loopback()) return;
  for (int breath = 0; breath < 3 && life_of(socket) == begun.life; ++breath) {
    Request look{.op = Op::info, .socket = socket};
    call(look);
  }
}

// Who may not wait is told to look later even if all is done by now, as on Linux, where nothing arrives
// during a call.
int finish_connect(uint32_t socket, const Begun& begun, int not_yet) {
  if (life_of(socket) != begun.life) return -EBADF;  // as Wait: the flag would be another socket's
  state.in[socket].flags.fetch_or(kConnectDue, std::memory_order_relaxed);
  if (may_not_wait(socket, 0)) return not_yet;
  const int waited = Wait(socket, begun)
                         .until([&] { return !is_under_way(socket); },
                                deadline_after(state.names[socket].send_timeout_ns.load()));
  if (waited != 0) return waited == -EAGAIN ? not_yet : waited;
  return outcome(socket);
}

int connect_stream(uint32_t socket, const Begun& begun, const sockaddr* address, socklen_t length) {
  // What it is counts before what the address says (__inet_stream_connect).
  if (is_under_way(socket)) return finish_connect(socket, begun, -EALREADY);
  if (state.in[socket].flags.load(std::memory_order_relaxed) & kConnectDue) return outcome(socket);
  if (status_of(socket) & (kListening | kConnected)) return -EISCONN;
  Request request{.op = Op::connect, .socket = socket};
  request.value[0] = bind_flags(socket);
  int result = from_sockaddr(address, length, state.names[socket].v6 != 0, request.endpoint);
  if (result == 0) result = destination(socket, request.endpoint);
  if (result == 0) result = call(request);
  if (result < 0) return result;
  if (may_not_wait(socket, 0)) let_ourselves_answer(socket, begun);
  return finish_connect(socket, begun, -EINPROGRESS);
}

int connect_datagram(uint32_t socket, const sockaddr* address, socklen_t length) {
  Request request{.op = Op::connect, .socket = socket};
  request.value[0] = bind_flags(socket);
  bool v6 = state.names[socket].v6 != 0;
  if (v6 && address->sa_family == AF_INET) {  // __ip6_datagram_connect
    if (is_v6_only(socket)) return -EAFNOSUPPORT;
    v6 = false;
  }
  if (const int result = from_sockaddr(address, length, v6, request.endpoint); result < 0) return result;
  if (const int result = destination(socket, request.endpoint); result < 0) return result;
  const int result = call(request);
  redirect_what_is_kept_back(socket, result == 0 ? state.names[socket].remote : Endpoint{});
  return result;
}

}  // namespace

bool serves(int domain) {
  return state.attached && (domain == AF_INET || domain == AF_INET6);
}

int open(int domain, int type, int protocol) {
  const int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
  const bool stream = kind == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP);
  const bool datagram = kind == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP);
  if (kind == SOCK_RAW || (kind == SOCK_DGRAM && protocol == IPPROTO_ICMP)) return -EPERM;
  if (kind != SOCK_STREAM && kind != SOCK_DGRAM) return -ESOCKTNOSUPPORT;
  if (!stream && !datagram) return -EPROTONOSUPPORT;
  Request request{.op = Op::open};
  request.value[0] = stream ? 1 : 0;
  const NoHandlers none;  // who leaves from here on would leave the socket behind
  const int socket = call(request);
  if (socket < 0) return socket;
  const auto index = static_cast<uint32_t>(socket);
  if (index >= state.size.sockets) return -EPROTO;
  set_flags(index, type);
  state.names[index].v6 = domain == AF_INET6;
  const int fd = install(index, type & SOCK_CLOEXEC);
  if (fd < 0) post(Request{.op = Op::close, .socket = index});
  return fd;
}

int destination(uint32_t socket, Endpoint& endpoint) {
  IpAddress& address = endpoint.address;
  if (is_v6_only(socket) || !(address.is_v4() || address.is_unspecified())) return -ENETUNREACH;
  if (address.is_unspecified()) address = IpAddress::v4(INADDR_LOOPBACK);
  return 0;
}

int bind(uint32_t socket, const sockaddr* address, socklen_t length) {
  Request request{.op = Op::bind, .socket = socket};
  if (const int result = from_sockaddr(address, length, state.names[socket].v6 != 0, request.endpoint);
      result < 0)
    return result;
  if (!request.endpoint.address.is_v4() && !request.endpoint.address.is_unspecified()) return -EADDRNOTAVAIL;
  if (request.endpoint.address.is_v4() && is_v6_only(socket)) return -EINVAL;
  request.value[0] = bind_flags(socket);
  return call(request);
}

int listen(uint32_t socket, int backlog) {
  if (!is_stream(socket)) return -EOPNOTSUPP;
  if (state.in[socket].flags.load(std::memory_order_relaxed) & kConnectDue) return -EINVAL;
  Request request{.op = Op::listen, .socket = socket};
  // listen(2): a negative backlog is taken as the largest.
  request.value[0] = backlog < 0 ? INT32_MAX : static_cast<uint64_t>(backlog);
  request.value[1] = bind_flags(socket);
  return call(request);
}

int accept(uint32_t socket, sockaddr* address, socklen_t* length, int flags) {
  if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) return -EINVAL;
  const Begun begun(socket);
  if (!is_stream(socket)) return -EOPNOTSUPP;
  TimeNs deadline = 0;
  for (;;) {
    if ((status_of(socket) & (kListening | kReadShut)) != kListening) return -EINVAL;
    const int fd = accept_one(socket, address, length, flags);
    if (fd != -EAGAIN) return fd;
    if (may_not_wait(socket, 0)) return -EAGAIN;
    if (deadline == 0) deadline = deadline_after(state.names[socket].receive_timeout_ns.load());
    // Input, or the end: shutdown() hangs a listener up.
    const int waited = Wait(socket, begun).until([&] { return level(socket, kLevelIn) != 0; }, deadline);
    if (waited != 0) return waited;
  }
}

int connect(uint32_t socket, const sockaddr* address, socklen_t length) {
  const Begun begun(socket);
  if (address == nullptr || length < sizeof(sa_family_t)) return -EINVAL;
  if (address->sa_family == AF_UNSPEC) {
    Request request{.op = Op::disconnect, .socket = socket};
    const int result = call(request);
    // Nobody waits for the outcome of an attempt any more.
    if (result == 0) state.in[socket].flags.fetch_and(~uint32_t{kConnectDue}, std::memory_order_relaxed);
    return result;
  }
  if (is_stream(socket)) return connect_stream(socket, begun, address, length);
  const int result = connect_datagram(socket, address, length);
  if (result < 0) take_any_port(socket);  // one that fails has it too
  return result;
}

int shutdown(uint32_t socket, int how) {
  if (how < SHUT_RD || how > SHUT_RDWR) return -EINVAL;
  Request request{.op = Op::shutdown, .socket = socket};
  request.value[0] = static_cast<uint64_t>(how);
  if (status_of(socket) & kConnected || is_under_way(socket))  // inet_shutdown: nobody waits for it any more
    state.in[socket].flags.fetch_and(~uint32_t{kConnectDue}, std::memory_order_relaxed);
  return call(request);
}

void linger(uint32_t socket) {
  const DurationNs limit_ns = lingers_ns(socket);
  if (limit_ns == 0 || !is_stream(socket) || is_held_elsewhere(socket)) return;
  const SocketOut& out = state.out[socket];
  SocketIn& in = state.in[socket];
  // Bytes that nobody has read make the close a reset, which waits for nothing.
  if (!(status_of(socket) & kConnected) || out.rx_written.load() != in.rx_read.load()) return;
  Request request{.op = Op::shutdown, .socket = socket};
  request.value[0] = SHUT_WR;
  request.value[1] = 1;
  if (call(request) < 0) return;
  const auto is_sent = [&] {
    in.want_space.store(1, std::memory_order_seq_cst);
    return out.tx_acked.load(std::memory_order_seq_cst) == in.tx_written.load(std::memory_order_relaxed) ||
           out.error.load(std::memory_order_relaxed) != 0;
  };
  // close() may not end a thread once its number is free.
  int before = -1;  // which pthread_setcancelstate() does not take
  const Undo undo([](void* left) { pthread_setcancelstate(*static_cast<int*>(left), nullptr); }, &before);
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
  Wait(socket, Begun(socket)).until(is_sent, monotonic_ns() + limit_ns);
  pthread_setcancelstate(before, nullptr);
}

int local_name(uint32_t socket, sockaddr* address, socklen_t* length) {
  if (address == nullptr || length == nullptr) return -EFAULT;
  to_sockaddr(state.names[socket].local, state.names[socket].v6, address, length);
  return 0;
}

int remote_name(uint32_t socket, sockaddr* address, socklen_t* length) {
  if (address == nullptr || length == nullptr) return -EFAULT;
  if ((status_of(socket) & (kConnected | kOver)) != kConnected) return -ENOTCONN;
  if (state.names[socket].remote.port == 0) return -ENOTCONN;  // of datagrams, with a whole host
  to_sockaddr(state.names[socket].remote, state.names[socket].v6, address, length);
  return 0;
}

}  // namespace skerry::sockets::client
