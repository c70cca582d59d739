#include "tcp/ports.hpp"

#include <bit>
#include <cerrno>

#include "base/check.hpp"
#include "tcp/constants.hpp"

namespace skerry::tcp {
namespace {

constexpr uint32_t kEphemeralPorts = kLastEphemeralPort - kFirstEphemeralPort + 1u;

// How well a bound address matches a destination: 0 not at all, 3 exactly.
int match(const IpAddress& bound, const IpAddress& destination) {
  if (bound == destination) return 3;
  if (!bound.is_unspecified()) return 0;
  if (bound.is_v4()) return destination.is_v4() ? 2 : 0;
  return 1;  // :: also means every IPv4 address
}

}  // namespace

bool Ports::overlap(const IpAddress& a, const IpAddress& b) {
  return match(a, b) > 0 || match(b, a) > 0;
}

Ports::Ports(const ControlBlock* blocks, const ColdBlock* cold, uint32_t connections)
    : blocks_(blocks),
      cold_(cold),
      bound_(std::bit_ceil(connections)),
      connections_(static_cast<uint32_t*>(std::calloc(65536, sizeof(uint32_t)))),
      links_(connections) {
  CHECK(connections_ != nullptr);
}

int Ports::bind(ConnectionId id, const Endpoint& local, bool reuse_address, bool reuse_port) {
  for (uint32_t other = first_bound(local.port); other != kNoIndex; other = next_bound(other, local.port)) {
    const ColdBlock& held = cold_[other];
    if (blocks_[other].state >= State::syn_sent) continue;  // a connection, which stands at one address
    if (!overlap(held.bound.address, local.address)) continue;
    const bool listening = blocks_[other].state == State::listen;
    if (reuse_port && held.reuse_port) continue;
    if (reuse_address && held.reuse_address && !listening) continue;
    return EADDRINUSE;
  }
  links_.push_back(bucket(local.port), id);
  return 0;
}

uint16_t Ports::pick(Random& random) const {
  const uint32_t start = random.below(kEphemeralPorts);
  for (uint32_t i = 0; i < kEphemeralPorts; ++i) {
    const uint16_t port = static_cast<uint16_t>(kFirstEphemeralPort + (start + i) % kEphemeralPorts);
    if (!is_bound(port) && connections_[port] == 0) return port;
  }
  return 0;
}

void Ports::release(ConnectionId id, uint16_t port) {
  links_.remove(bucket(port), id);
}

bool Ports::may_listen(ConnectionId id) const {
  const ColdBlock& mine = cold_[id];
  const uint16_t port = mine.bound.port;
  for (uint32_t other = first_bound(port); other != kNoIndex; other = next_bound(other, port)) {
    if (other == id || blocks_[other].state != State::listen) continue;
    if (!overlap(cold_[other].bound.address, mine.bound.address)) continue;
    if (!(mine.reuse_port && cold_[other].reuse_port)) return false;
  }
  return true;
}

ConnectionId Ports::listener(const Endpoint& local, uint32_t spread) const {
  int best = 0;
  uint32_t equals = 0;
  ConnectionId chosen = kNoConnection;
  for (uint32_t id = first_bound(local.port); id != kNoIndex; id = next_bound(id, local.port)) {
    if (blocks_[id].state != State::listen) continue;
    const int score = match(cold_[id].bound.address, local.address);
    if (score == 0 || score < best) continue;
    equals = score > best ? 1 : equals + 1;
    best = score;
    // Reservoir choice driven by the hash: each of n equals is chosen for one flow in n (SO_REUSEPORT).
    if (equals == 1 || (spread * 0x9e3779b1u + equals * 0x85ebca6bu) % equals == 0) chosen = id;
  }
  return chosen;
}

}  // namespace skerry::tcp
