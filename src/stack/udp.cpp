#include "stack/udp.hpp"

#include <cerrno>

namespace skerry::stack {

Udp::Udp(uint32_t sockets, Random& random) : sockets_(sockets), ports_(65536, kNone), random_(random) {}

bool Udp::conflicts(const Endpoint& local, bool reuse) const {
  for (SocketId id = ports_[local.port]; id != kNone; id = sockets_[id].next) {
    const Socket& other = sockets_[id];
    const bool overlap = local.address.is_unspecified() || other.local.address.is_unspecified() ||
                         local.address == other.local.address;
    if (overlap && !(reuse && other.reuse)) return true;
  }
  return false;
}

// RFC 6056 section 3.3.1: a random port, then the next ones in turn. 0: none is free.
uint16_t Udp::pick_port(const Endpoint& local) const {
  constexpr uint32_t kPorts = kLastEphemeralPort - kFirstEphemeralPort + 1;
  const uint32_t start = random_.below(kPorts);
  for (uint32_t i = 0; i < kPorts; ++i) {
    const auto port = static_cast<uint16_t>(kFirstEphemeralPort + (start + i) % kPorts);
    if (!conflicts({local.address, port}, false)) return port;
  }
  return 0;
}

int Udp::bind(SocketId id, Endpoint& local, bool reuse) {
  Socket& socket = sockets_[id];
  if (socket.local.port != 0) return EINVAL;
  if (local.port == 0) {
    local.port = pick_port(local);
    if (local.port == 0) return EADDRINUSE;
    socket.port_was_picked = true;
  } else if (conflicts(local, reuse)) {
    return EADDRINUSE;
  }
  socket.local = local;
  socket.reuse = reuse;
  socket.next = ports_[local.port];
  ports_[local.port] = id;
  return 0;
}

int Udp::take_port(SocketId id) {
  const Endpoint& bound = sockets_[id].local;
  if (bound.port != 0) return 0;
  Endpoint local{bound.address.is_unspecified() ? IpAddress::v4(0) : bound.address, 0};
  return bind(id, local, false);
}

int Udp::connect(SocketId id, const Endpoint& remote, const IpAddress& source) {
  Socket& socket = sockets_[id];
  if (const int error = take_port(id)) return error;
  if (socket.local.address.is_unspecified() || socket.address_from_connect) {
    socket.local.address = source;
    socket.address_from_connect = true;
  }
  socket.remote = remote;
  return 0;
}

void Udp::disconnect(SocketId id) {
  Socket& socket = sockets_[id];
  socket.remote = {};
  if (socket.address_from_connect) socket.local.address = IpAddress::v4(0);
  socket.address_from_connect = false;
  if (socket.port_was_picked) unlink(id);
}

void Udp::unlink(SocketId id) {
  Socket& socket = sockets_[id];
  if (socket.local.port == 0) return;
  SocketId* link = &ports_[socket.local.port];
  while (*link != id) link = &sockets_[*link].next;
  *link = socket.next;
  socket.local.port = 0;
  socket.port_was_picked = false;
}

void Udp::close(SocketId id) {
  unlink(id);
  sockets_[id] = Socket{};
}

int Udp::score(const Socket& socket, const Endpoint& local, const Endpoint& remote) {
  int score = 1;
  if (!socket.local.address.is_unspecified()) {
    if (socket.local.address != local.address) return 0;
    score += 1;
  }
  if (socket.remote.port != 0) {
    if (socket.remote != remote) return 0;
    score += 2;
  }
  return score;
}

std::optional<SocketId> Udp::match(const Endpoint& local, const Endpoint& remote) const {
  std::optional<SocketId> best;
  int best_score = 0;
  for (SocketId id = ports_[local.port]; id != kNone; id = sockets_[id].next) {
    const int its_score = score(sockets_[id], local, remote);
    if (its_score > best_score) {
      best_score = its_score;
      best = id;
    }
  }
  return best;
}

}  // namespace skerry::stack
