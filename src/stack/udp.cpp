#include "stack/udp.hpp"

#include <cerrno>

#include "base/bytes.hpp"

namespace skerry::stack {

namespace {

// 0.0.0.0 stands for every IPv4 address, :: for all.
bool stands_for(const IpAddress& any, const IpAddress& address) {
  return any.is_unspecified() && (!any.is_v4() || address.is_v4());
}

bool overlap(const IpAddress& a, const IpAddress& b) {
  return a == b || stands_for(a, b) || stands_for(b, a);
}

}  // namespace

Udp::Udp(uint32_t sockets, Random& random) : sockets_(sockets), ports_(65536, kNone), random_(random) {}

bool Udp::conflicts(const Endpoint& local, bool reuse_address, bool reuse_port) const {
  for (SocketId id = ports_[local.port]; id != kNone; id = sockets_[id].next) {
    const Socket& other = sockets_[id];
    const bool shared = (reuse_address && other.reuse_address) || (reuse_port && other.reuse_port);
    if (!shared && overlap(local.address, other.local.address)) return true;
  }
  return false;
}

// RFC 6056 section 3.3.1: a random port, then the next ones in turn. 0: none is free.
uint16_t Udp::pick_port(const Endpoint& local) const {
  constexpr uint32_t kPorts = kLastEphemeralPort - kFirstEphemeralPort + 1;
  const uint32_t start = random_.below(kPorts);
  for (uint32_t i = 0; i < kPorts; ++i) {
    const auto port = static_cast<uint16_t>(kFirstEphemeralPort + (start + i) % kPorts);
    if (!conflicts({local.address, port}, false, false)) return port;
  }
  return 0;
}

int Udp::bind(SocketId id, Endpoint& local, bool reuse_address, bool reuse_port) {
  Socket& socket = sockets_[id];
  if (socket.local.port != 0) return EINVAL;
  if (local.port == 0) {
    local.port = pick_port(local);
    if (local.port == 0) return EADDRINUSE;
    socket.port_was_picked = true;
  } else if (conflicts(local, reuse_address, reuse_port)) {
    return EADDRINUSE;
  }
  socket.local = local;
  socket.reuse_address = reuse_address;
  socket.reuse_port = reuse_port;
  socket.next = ports_[local.port];
  ports_[local.port] = id;
  return 0;
}

int Udp::take_port(SocketId id, bool reuse_address, bool reuse_port) {
  const Endpoint& bound = sockets_[id].local;
  if (bound.port != 0) return 0;
  Endpoint local{bound.address.is_unspecified() ? IpAddress::v4(0) : bound.address, 0};
  return bind(id, local, reuse_address, reuse_port);
}

int Udp::connect(SocketId id, const Endpoint& remote, const IpAddress& source, bool reuse_address,
                 bool reuse_port) {
  Socket& socket = sockets_[id];
  if (const int error = take_port(id, reuse_address, reuse_port)) return error;
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
  if (socket.is_connected()) {
    if (socket.remote.address != remote.address) return 0;
    score += 2;
  }
  if (socket.remote.port != 0) {
    if (socket.remote.port != remote.port) return 0;
    score += 1;
  }
  return score;
}

std::optional<SocketId> Udp::match(const Endpoint& local, const Endpoint& remote) const {
  std::optional<SocketId> best;
  int best_score = 0;
  uint32_t equals = 0;
  for (SocketId id = ports_[local.port]; id != kNone; id = sockets_[id].next) {
    const int its_score = score(sockets_[id], local, remote);
    if (its_score > best_score) {
      best_score = its_score;
      best = id;
      equals = 1;
    } else if (its_score == best_score && its_score > 0 && sockets_[id].reuse_port &&
               sockets_[*best].reuse_port && !sockets_[id].is_connected()) {
      // Reservoir choice driven by the sender: each of n equals is chosen for one sender in n.
      const uint32_t sender = load_be32(&remote.address.bytes[12]) + (uint32_t{remote.port} << 16) + ++equals;
      if ((sender * 0x9e3779b1u >> 16) % equals == 0) best = id;
    }
  }
  return best;
}

}  // namespace skerry::stack
