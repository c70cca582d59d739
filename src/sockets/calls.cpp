// What the program asks for. A call is copied whole into private memory first.
#include <algorithm>
#include <cerrno>

#include "sockets/server.hpp"

namespace skerry::sockets {
namespace {

// Where a socket listens that takes only IPv6, which nothing brings yet: RFC 6666's discard prefix.
constexpr IpAddress kNowhere{{0x01}};

bool reuses_address(uint64_t flags) {
  return (flags & kReuseAddress) != 0;
}
bool reuses_port(uint64_t flags) {
  return (flags & kReusePort) != 0;
}

constexpr Ipv4Address kThisHost = 0x7f000001;  // what connecting to 0.0.0.0 means on Linux

}  // namespace

void Server::serve_call(TimeNs now, uint32_t index) {
  Call& shared = view_.call(index);
  if (shared.state.load(std::memory_order_acquire) != kCallRequested) return;
  ++counters_.calls;
  Call request{};
  request.op = shared.op;
  request.process = shared.process;
  request.socket = shared.socket;
  request.endpoint = shared.endpoint;
  std::copy(std::begin(shared.value), std::end(shared.value), std::begin(request.value));
  // These are plain words, which the compiler could as well load again where they are used.
  std::atomic_signal_fence(std::memory_order_seq_cst);

  const int32_t result = perform(now, request);

  shared.endpoint = request.endpoint;
  std::copy(std::begin(request.value), std::end(request.value), std::begin(shared.value));
  shared.result = result;
  wakeups_.finish(shared);
}

int32_t Server::perform(TimeNs now, Call& request) {
  const Op op = static_cast<Op>(request.op);
  if (op == Op::open) return open(request);
  if (request.socket >= sockets_.size()) return -EBADF;
  const uint32_t id = request.socket;
  Socket& socket = sockets_[id];
  if (socket.kind == Kind::free || socket.orphan) return -EBADF;
  const bool stream = socket.kind == Kind::stream;

  switch (op) {
    case Op::close: {
      if (request.process >= view_.size().processes) return -EINVAL;
      view_.refs(request.process)[id / 64].fetch_and(~(uint64_t{1} << (id % 64)));
      if (!is_held(id)) {
        wakeups_.closed(id);
        let_go(now, id, request.value[0] != 0);
      } else {
        tell_of_waiting(id);
      }
      return 0;
    }
    case Op::bind:
      return bind(request);
    case Op::listen: {
      if (!stream) return -EOPNOTSUPP;
      if (socket.counted) return -EINVAL;  // it is or was a connection
      const uint32_t most = view_.size().stream_bytes / 4;
      const auto backlog = static_cast<uint32_t>(std::min<uint64_t>(request.value[0], most));
      const uint64_t flags = request.value[1];
      const bool reuse_address = reuses_address(flags), reuse_port = reuses_port(flags);
      Endpoint nowhere{kNowhere, 0};
      int error = 0;
      if ((flags & kV6Only) != 0 && tcp_.local(id).port == 0)
        error = tcp_.bind(id, nowhere, reuse_address, reuse_port);
      if (error == 0) error = tcp_.listen(id, backlog, reuse_address, reuse_port);
      if (error != 0) return -error;
      socket.listening = true;
      view_.names(id).local = {socket.bound_address, tcp_.local(id).port};
      set_status(id, kListening, kReadShut | kWriteShut);
      return 0;
    }
    case Op::connect:
      return connect(now, request);
    case Op::disconnect:
      return disconnect(now, id);
    case Op::shutdown:
      return shutdown(now, request);
    case Op::set_options:
      set_options(now, request);
      return 0;
    case Op::take_error:
      return take_error(request);
    case Op::info:
      if (!stream) return -EOPNOTSUPP;
      info(now, request);
      return 0;
    case Op::open:
      break;
  }
  return -ENOSYS;
}

int32_t Server::open(const Call& request) {
  if (!is_live(request.process)) return -EINVAL;
  const std::optional<uint32_t> id = ids_.allocate();
  if (!id) return -ENFILE;
  begin(*id, request.value[0] != 0 ? Kind::stream : Kind::datagram, 0);
  view_.refs(request.process)[*id / 64].fetch_or(uint64_t{1} << (*id % 64));
  ++counters_.opened;
  return static_cast<int32_t>(*id);
}

int32_t Server::bind(Call& request) {
  const uint32_t id = request.socket;
  Endpoint local = request.endpoint;
  if (!local.address.is_unspecified()) {
    if (!local.address.is_v4() || !routes_.is_local(local.address.as_v4())) return -EADDRNOTAVAIL;
  } else if ((request.value[0] & kV6Only) != 0) {
    local.address = kNowhere;
  }
  const bool reuse_address = reuses_address(request.value[0]), reuse_port = reuses_port(request.value[0]);
  const int error = sockets_[id].kind == Kind::stream ? tcp_.bind(id, local, reuse_address, reuse_port)
                                                      : udp_.bind(id, local, reuse_address, reuse_port);
  // One of before goes (__inet_bind).
  if (error == EADDRINUSE) view_.names(id).local.address = sockets_[id].bound_address = {};
  if (error != 0) return -error;
  request.endpoint.port = local.port;
  view_.names(id).local = request.endpoint;
  sockets_[id].bound_address = request.endpoint.address;
  return 0;
}

int32_t Server::connect(TimeNs now, Call& request) {
  const uint32_t id = request.socket;
  Socket& socket = sockets_[id];
  Endpoint to = request.endpoint;
  if (to.address.is_unspecified()) to.address = IpAddress::v4(kThisHost);
  const uint64_t flags = request.value[0];
  if (socket.kind == Kind::datagram) {
    if (!to.address.is_v4()) return -ENETUNREACH;
    const stack::Route route = routes_.lookup(to.address.as_v4(), 0);
    if (route.kind == stack::Route::Kind::none) return -ENETUNREACH;
    if (route.kind == stack::Route::Kind::broadcast && !socket.rules.may_broadcast) return -EACCES;
    const int error =
        udp_.connect(id, to, IpAddress::v4(route.source), reuses_address(flags), reuses_port(flags));
    if (error != 0) return -error;
    view_.names(id).local = udp_.local(id);
    view_.names(id).remote = to;
    set_status(id, kConnected);
    return 0;
  }
  // One connection a socket: a second one would begin with the words of the first.
  if (socket.listening || socket.counted) return -EISCONN;
  if (socket.rx_written != 0) {  // it was a listener
    socket.rx_written = 0;
    clear_positions(id);
  }
  // A failed attempt left its marks; a new one begins without them, as on Linux.
  set_status(id, kConnecting, kHungUp | kPeerClosed);
  const int error = tcp_.connect(now, id, to, reuses_address(flags), reuses_port(flags));
  if (error != 0) {
    set_status(id, 0, kConnecting);
    return -error;
  }
  view_.out(id).error.store(0);  // that of an attempt before (tcp_connect_init)
  show_names(id);
  return 0;
}

// A datagram socket that was connected is so no more; a stream is as good as new, whatever it was.
int32_t Server::disconnect(TimeNs now, uint32_t id) {
  if (sockets_[id].kind == Kind::stream) {
    disconnect_stream(now, id);
    return 0;
  }
  udp_.disconnect(id);
  SocketNames& names = view_.names(id);
  names.local = udp_.local(id);
  if (names.local.address == kNowhere) names.local.address = {};
  names.remote = Endpoint{};
  set_status(id, 0, kConnected);
  return 0;
}

void Server::disconnect_stream(TimeNs now, uint32_t id) {
  Socket& socket = sockets_[id];
  if (socket.listening) abandon_queue(now, id);
  const int error = tcp_.disconnect(now, id);
  if (socket.counted) --connected_;
  socket.counted = socket.listening = false;
  socket.tx_urgent_count = 0;
  if (socket.rx_written == 0) clear_positions(id);
  SocketNames& names = view_.names(id);
  names.local.address = socket.bound_address;  // its port is shown on, even if it was given back
  names.remote = Endpoint{};
  if (error != 0) view_.out(id).error.store(error);
  set_status(id, 0, socket.status & ~(kOpen | kStream));
  wakeups_.touch(id, kEverybody);
}

int32_t Server::shutdown(TimeNs now, const Call& request) {
  const uint32_t id = request.socket;
  const uint64_t how = request.value[0];
  if (how > 2) return -EINVAL;
  if (request.value[1] != 0 && sockets_[id].carriers > 0) return -EBUSY;
  const uint32_t status = sockets_[id].status;
  const bool stream = sockets_[id].kind == Kind::stream;
  const tcp::State state = stream ? tcp_.state(id) : tcp::State::closed;
  // What does not read any more listens no more, and does not wait for an answer (inet_shutdown).
  if (state == tcp::State::listen || state == tcp::State::syn_sent) {
    if (state == tcp::State::syn_sent || how != 1) disconnect_stream(now, id);
    wakeups_.touch(id, kEverybody);
    return 0;
  }
  // Then there is nothing to shut, but who polls shall see that somebody wanted to (inet_shutdown).
  const bool unconnected =
      stream ? state == tcp::State::closed || state == tcp::State::time_wait : (status & kConnected) == 0;
  if (!unconnected && stream && how != 1) tcp_.shutdown_read(id);
  if (!unconnected && stream && how != 0) {
    take_positions(now, id);  // FIN goes behind what was written
    if (sockets_[id].orphan) return -ECONNABORTED;
    const int error = tcp_.shutdown_write(now, id);
    if (error != 0) return -error;
  }
  const uint32_t now_shut = (how != 1 ? kReadShut : 0u) | (how != 0 ? kWriteShut : 0u);
  const uint32_t all = status | now_shut;
  const bool read_over = (all & (kPeerClosed | kReadShut)) != 0;
  set_status(id, now_shut | (read_over && (all & kWriteShut) != 0 ? uint32_t{kHungUp} : 0));
  wakeups_.touch(id, kEverybody);
  return unconnected ? -ENOTCONN : 0;
}

}  // namespace skerry::sockets
