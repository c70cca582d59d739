// UDP sockets (RFC 768, RFC 1122 section 4.1): which of them a datagram is for. State by index, the index
// being the socket's from the pool that all protocols of a stack share. Datagrams themselves never come here:
// see udp_component.hpp.
//
// Invariant: a socket is in exactly the list of its local port if it has one, newest first; every list holds
// only sockets with that port.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/random.hpp"
#include "wire/address.hpp"

namespace skerry::stack {

using SocketId = uint32_t;

class Udp {
 public:
  static constexpr uint16_t kFirstEphemeralPort = 32768;  // as Linux: net.ipv4.ip_local_port_range
  static constexpr uint16_t kLastEphemeralPort = 60999;

  // For ids below `sockets`; `random` outlives the object and chooses ports (RFC 6056).
  Udp(uint32_t sockets, Random& random);

  // The results are 0 or an errno value.
  // Binds; port 0 picks one, written back. Several sockets may share an address and port only if all of them
  // reuse it in the same way: by SO_REUSEADDR the newest then gets what is sent there, by SO_REUSEPORT each
  // gets the datagrams of some senders. EINVAL: already bound. EADDRINUSE. That the address is ours is for
  // the caller to see.
  int bind(SocketId id, Endpoint& local, bool reuse_address, bool reuse_port = false);
  // Binds to any port of the socket's address unless it is bound; others may reuse it as they may one that
  // was bound. EADDRINUSE: none is free.
  int take_port(SocketId id, bool reuse_address = false, bool reuse_port = false);
  // From now on only datagrams from `remote` come in, and its errors do; with port 0, from each of its ports.
  // Binds first if need be; a socket without an address of its own takes `source`. EADDRINUSE: no port is
  // free.
  int connect(SocketId id, const Endpoint& remote, const IpAddress& source, bool reuse_address = false,
              bool reuse_port = false);
  // Undoes connect; an address that came from connect goes, and so does a port that nobody asked for.
  void disconnect(SocketId id);
  void close(SocketId id);

  bool is_bound(SocketId id) const { return sockets_[id].local.port != 0; }
  bool is_connected(SocketId id) const { return sockets_[id].is_connected(); }
  const Endpoint& local(SocketId id) const { return sockets_[id].local; }
  const Endpoint& remote(SocketId id) const { return sockets_[id].remote; }

  // The socket for a datagram: connected before not connected, one address before any, newest first but for
  // those that share by SO_REUSEPORT.
  std::optional<SocketId> match(const Endpoint& local, const Endpoint& remote) const;

  // All sockets for a datagram to everybody.
  template <class Visit>
  void for_each_match(const Endpoint& local, const Endpoint& remote, Visit visit) const {
    for (SocketId id = ports_[local.port]; id != kNone; id = sockets_[id].next)
      if (score(sockets_[id], local, remote) > 0) visit(id);
  }

 private:
  static constexpr SocketId kNone = UINT32_MAX;

  struct Socket {
    Endpoint local;   // port 0: not bound
    Endpoint remote;  // unspecified address: not connected; port 0: with all ports there
    SocketId next = kNone;
    bool reuse_address = false;
    bool reuse_port = false;
    bool address_from_connect = false;
    bool port_was_picked = false;

    bool is_connected() const { return !remote.address.is_unspecified(); }
  };

  static int score(const Socket& socket, const Endpoint& local, const Endpoint& remote);
  void unlink(SocketId id);
  bool conflicts(const Endpoint& local, bool reuse_address, bool reuse_port) const;
  uint16_t pick_port(const Endpoint& local) const;

  std::vector<Socket> sockets_;
  std::vector<SocketId> ports_;  // by port: the newest socket
  Random& random_;
};

}  // namespace skerry::stack
