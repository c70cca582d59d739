// Which local ports are taken, by whom, and who listens (bind(2), SO_REUSEADDR and SO_REUSEPORT as Linux
// means them). Sockets with a bound port form one list per port; connections and TIME-WAITs are only counted:
// what they forbid at one address is for who has them all to see (Tcp::Impl::bind()).
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "base/random.hpp"
#include "tcp/control_block.hpp"
#include "tcp/index_list.hpp"

namespace skerry::tcp {

class Ports {
 public:
  Ports(const ControlBlock* blocks, const ColdBlock* cold, uint32_t connections);

  // 0, or EADDRINUSE. On success `id` is listed, and the caller writes `local` into its block.
  int bind(ConnectionId id, const Endpoint& local, bool reuse_address, bool reuse_port);
  // A free port for bind() to port 0; 0 if there is none (RFC 6056 section 3.3.1, algorithm 1).
  uint16_t pick(Random& random) const;
  void release(ConnectionId id, uint16_t port);
  // True if nobody else who is bound to the port forbids `id` to listen there.
  bool may_listen(ConnectionId id) const;

  // The listener for a segment to `local`: the most specific address wins, `spread` chooses among equals.
  ConnectionId listener(const Endpoint& local, uint32_t spread) const;

  bool is_bound(uint16_t port) const { return first_bound(port) != kNoIndex; }
  // Of connections and TIME-WAITs: whether there is one, and whether each of them lets who binds share the
  // port.
  bool has_connections(uint16_t port) const { return connections_[port] != 0; }
  bool connections_share(uint16_t port, bool reuse_address, bool reuse_port) const {
    const uint32_t use = connections_[port];
    return (reuse_address && (use & kAddressAlone) == 0) || (reuse_port && (use & kPortAlone) == 0);
  }
  // 0.0.0.0 stands for every IPv4 address, :: for all.
  static bool overlap(const IpAddress& a, const IpAddress& b);
  void connection_opened(uint16_t port, bool reuse_address, bool reuse_port) {
    uint32_t& use = connections_[port];
    use = (use + 1) | (reuse_address ? 0 : kAddressAlone) | (reuse_port ? 0 : kPortAlone);
  }
  void connection_closed(uint16_t port) {
    uint32_t& use = connections_[port];
    if ((--use & ~(kAddressAlone | kPortAlone)) == 0) use = 0;
  }

 private:
  // Some connection since there was none does not share by SO_REUSEADDR, or by SO_REUSEPORT.
  static constexpr uint32_t kAddressAlone = 1u << 31, kPortAlone = 1u << 30;

  struct Free {
    void operator()(uint32_t* memory) const { std::free(memory); }
  };

  IndexList& bucket(uint16_t port) { return bound_[port % bound_.size()]; }
  // Walks the sockets that are bound to exactly `port`.
  uint32_t first_bound(uint16_t port) const { return skip_others(bound_[port % bound_.size()].head, port); }
  uint32_t next_bound(uint32_t id, uint16_t port) const { return skip_others(links_.next(id), port); }
  uint32_t skip_others(uint32_t id, uint16_t port) const {
    while (id != kNoIndex && cold_[id].bound.port != port) id = links_.next(id);
    return id;
  }

  const ControlBlock* blocks_;
  const ColdBlock* cold_;
  std::vector<IndexList> bound_;
  // By port: how many there are, and the bits above. From calloc, so that pages of ports that are never used
  // cost no memory.
  std::unique_ptr<uint32_t[], Free> connections_;
  IndexLinks links_;
};

}  // namespace skerry::tcp
