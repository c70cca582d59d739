// What the fake stack answers to calls.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "fake_stack.hpp"

namespace skerry::sockets {

void FakeStack::serve_call(uint32_t index) {
  Call& call = view_.call(index);
  if (call.state.load() != kCallRequested) return;
  call.result = perform(call);
  wakeups_->finish(call);
}

int FakeStack::perform(Call& call) {
  const Op op = static_cast<Op>(call.op);
  if (op == Op::open) {
    const int id = open(call.value[0] != 0);
    if (id >= 0) view_.refs(call.process)[id / 64].fetch_or(uint64_t{1} << (id % 64));
    return id;
  }
  const uint32_t id = call.socket;
  if (id >= size_.sockets || !sockets_[id].used || sockets_[id].orphan) return -EBADF;
  switch (op) {
    case Op::close:
      if (!is_held(id)) {
        wakeups_->closed(id);
        release(id, call.value[0] != 0);
      }
      return 0;
    case Op::bind:
      return bind(call);
    case Op::listen:
      sockets_[id].listening = true;
      set_status(id, kListening, kReadShut | kWriteShut);
      return 0;
    case Op::connect:
      return connect(id, call.endpoint);
    case Op::disconnect:
      sockets_[id].remote = {};
      set_status(id, 0, kConnected | kConnecting | kHungUp | kPeerClosed);
      return 0;
    case Op::shutdown:
      return shutdown(id, call.value[0]);
    case Op::set_options:
      if (const uint64_t bytes = call.value[kOptionSendBuffer]; bytes != 0)
        view_.out(id).tx_limit.store(static_cast<uint32_t>(std::min<uint64_t>(bytes, size_.stream_bytes)));
      return 0;
    case Op::info:
      ++infos_;
      std::copy(std::begin(info), std::end(info), std::begin(call.value));
      return 0;
    default:
      return -EOPNOTSUPP;
  }
}

int FakeStack::open(bool stream) {
  const std::optional<uint32_t> id = ids_->allocate();
  if (!id) return -ENFILE;
  begin(*id, stream, 0);
  return static_cast<int>(*id);
}

void FakeStack::begin(uint32_t id, bool stream, uint32_t status) {
  sockets_[id] = Socket{.used = true, .stream = stream};
  SocketOut& out = view_.out(id);
  const uint32_t life = out.life.load();
  std::memset(static_cast<void*>(&out), 0, sizeof out);
  out.life.store(life + 1);
  std::memset(static_cast<void*>(&view_.in(id)), 0, sizeof(SocketIn));
  std::memset(static_cast<void*>(&view_.names(id)), 0, sizeof(SocketNames));
  out.rx_tell_at.store(size_.stream_bytes / 4);
  out.tx_limit.store(size_.stream_bytes);
  out.status.store(kOpen | (stream ? uint32_t{kStream} : 0u) | status);
}

int FakeStack::bind(Call& call) {
  if (call.endpoint.port != 0 && bound_to(call.endpoint.port, sockets_[call.socket].stream))
    return -EADDRINUSE;
  if (call.endpoint.port == 0) call.endpoint.port = next_port_++;
  sockets_[call.socket].local = call.endpoint;
  view_.names(call.socket).local = call.endpoint;
  return 0;
}

std::optional<uint32_t> FakeStack::bound_to(uint16_t port, bool stream) const {
  for (uint32_t id = 0; id < size_.sockets; ++id) {
    const Socket& socket = sockets_[id];
    const bool passive = !stream || socket.listening || socket.peer == kNoSocket;
    if (socket.used && !socket.orphan && socket.stream == stream && socket.local.port == port && passive)
      return id;
  }
  return std::nullopt;
}

int FakeStack::connect(uint32_t id, const Endpoint& to) {
  if (to.port == kTakenPort) {
    begin(id, true, 0);
    return 0;
  }
  Socket& socket = sockets_[id];
  socket.remote = to;
  if (socket.local.port == 0) socket.local = {IpAddress::v4(0x7f00'0001), next_port_++};
  view_.names(id).local = socket.local;
  view_.names(id).remote = to;
  if (socket.stream) {
    socket.connecting = true;
    set_status(id, kConnecting, kHungUp | kPeerClosed);
  } else {
    set_status(id, kConnected);
  }
  return 0;
}

// A breath after the call, as a handshake would.
void FakeStack::finish_connects() {
  for (uint32_t id = 0; id < size_.sockets; ++id) {
    if (!sockets_[id].connecting || sockets_[id].remote.port == kSilentPort) continue;
    sockets_[id].connecting = false;
    const std::optional<uint32_t> listener = bound_to(sockets_[id].remote.port, true);
    if (!listener || !sockets_[*listener].listening) {
      fail(id, ECONNREFUSED);
      continue;
    }
    const std::optional<uint32_t> child = ids_->allocate();
    if (!child) continue;
    begin(*child, true, kConnected);
    sockets_[*child].peer = id;
    sockets_[id].peer = *child;
    sockets_[*child].local = view_.names(*child).local = sockets_[id].remote;
    view_.names(*child).remote = sockets_[id].local;
    if (sockets_[id].remote.port == kLongPathPort) {
      view_.out(id).long_rings.store(1);
      view_.out(*child).long_rings.store(2);
      view_.out(id).tx_limit.store(size_.long_bytes);
    }
    set_status(id, kConnected, kConnecting);
    wakeups_->touch(id);
    std::vector<uint8_t> index(sizeof *child);
    std::memcpy(index.data(), &*child, sizeof *child);
    append(*listener, index);
  }
}

int FakeStack::shutdown(uint32_t id, uint64_t how) {
  const uint32_t status = view_.out(id).status.load();
  if (!(status & (kConnected | kListening))) return -ENOTCONN;
  if (how != 1) set_status(id, kReadShut);
  if (how != 0) {
    sockets_[id].write_shut = true;
    set_status(id, kWriteShut | (status & kPeerClosed ? uint32_t{kHungUp} : 0u));
    pump_stream(id);
  }
  wakeups_->touch(id);
  return 0;
}

void FakeStack::fail(uint32_t id, int error) {
  view_.out(id).error.store(error);
  set_status(id, kHungUp | kPeerClosed, kConnecting | kConnected);
  freed(id, view_.in(id).tx_written.load());
  wakeups_->touch(id);
}

void FakeStack::release(uint32_t id, bool abort) {
  Socket& socket = sockets_[id];
  socket.orphan = true;
  socket.connecting = false;
  if (!socket.stream) {
    pump_datagrams(id);
    sockets_[id] = {};
    ids_->release(id);
    view_.out(id).life.fetch_add(1);
    view_.out(id).status.store(0);
    return;
  }
  // Unread bytes make close() a reset (RFC 2525 section 2.17).
  const bool unread = socket.rx_written != view_.in(id).rx_read.load();
  if (socket.peer != kNoSocket && (abort || unread)) {
    const uint32_t peer = socket.peer;
    sockets_[peer].peer = socket.peer = kNoSocket;
    fail(peer, ECONNRESET);
  }
  socket.write_shut = true;
  pump_stream(id);
  free_if_done(id);
}

void FakeStack::free_if_done(uint32_t id) {
  Socket& socket = sockets_[id];
  if (!socket.used || !socket.orphan || (socket.peer != kNoSocket && !socket.fin_told)) return;
  if (socket.peer != kNoSocket) sockets_[socket.peer].peer = kNoSocket;
  socket = {};
  view_.out(id).life.fetch_add(1);
  view_.out(id).status.store(0);
  ids_->release(id);
}

void FakeStack::set_status(uint32_t id, uint32_t set, uint32_t clear) {
  std::atomic<uint32_t>& status = view_.out(id).status;
  status.store((status.load() & ~clear) | set);
}

bool FakeStack::is_held(uint32_t id) const {
  if (sockets_[id].carriers > 0) return true;
  for (uint32_t slot = 0; slot < size_.processes; ++slot)
    if (anchors_->is_live(slot) && (view_.refs(slot)[id / 64].load() >> (id % 64) & 1)) return true;
  return false;
}

}  // namespace skerry::sockets
