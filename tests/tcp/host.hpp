// One end of a connection for tests: a Tcp with memory of its own, and a program that keeps its side of the
// stream rules (see the head of tcp/tcp.hpp). Time is whatever the caller says.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "base/index_pool.hpp"
#include "base/random.hpp"
#include "tcp/tcp.hpp"

namespace skerry::tcp {

inline constexpr DurationNs ms = kMillisecond;

struct HostSettings {
  uint32_t connections = 16;
  uint32_t half_open = 8;
  uint32_t time_wait = 32;
  uint32_t stream_bytes = 65536;
  uint16_t mss = 1460;
  uint32_t super_frame = 0;
  uint64_t seed = 1;
  uint32_t long_rings = 0;
  uint32_t long_bytes = 0;
};

class Host {
 public:
  // What the program knows of one socket.
  struct Socket {
    uint32_t rx_read = 0;
    uint32_t tx_written = 0;
    uint32_t tx_base = 0;
    uint32_t events = 0;  // all bits ever delivered
  };

  Host(Ipv4Address own_address, const HostSettings& own_settings)
      : address(IpAddress::v4(own_address)),
        settings(own_settings),
        limits{settings.connections, settings.half_open, settings.time_wait},
        arena_(Tcp::arena_bytes(limits) + 64),
        memory_(own_rings() + size_t{2} * settings.long_bytes * settings.long_rings),
        ids(settings.connections),
        random(settings.seed),
        tcp(arena(), limits, streams(), ids, SipKey{settings.seed, 7}, random) {
    path.source = address;
    path.mss = path.link_mss = settings.mss;
    path.super_frame = settings.super_frame;
    path.reachable = true;
    tcp.set_path_lookup(
        [](void* context, const IpAddress& local, const IpAddress&) {
          Path result = static_cast<Host*>(context)->path;
          if (!local.is_unspecified()) result.source = local;
          return result;
        },
        this);
  }

  ConnectionId open() {
    const std::optional<uint32_t> id = ids.allocate();
    EXPECT_TRUE(id.has_value());
    sockets[*id] = {};
    return *id;
  }

  ConnectionId listen(uint16_t port, uint32_t backlog = 8) {
    const ConnectionId id = open();
    Endpoint local{IpAddress{}, port};
    EXPECT_EQ(tcp.bind(id, local, true, false), 0);
    EXPECT_EQ(tcp.listen(id, backlog), 0);
    return id;
  }

  std::optional<ConnectionId> accept(ConnectionId listener) {
    const std::optional<ConnectionId> id = tcp.accept(listener);
    if (id) sockets.try_emplace(*id);  // events may have come before
    return id;
  }

  // Takes over all events; an index that is gone goes back to the pool.
  void take_events() {
    Event event;
    while (tcp.next_event(event)) {
      sockets[event.id].events |= event.bits;
      if (event.bits & kGone) {
        sockets.erase(event.id);
        ids.release(event.id);
      }
    }
  }

  uint32_t tx_room(ConnectionId id) { return ring_bytes(id) - (sockets[id].tx_written - tcp.tx_acked(id)); }

  // Writes as much as the ring takes; returns how much that was.
  uint32_t write(TimeNs now, ConnectionId id, const uint8_t* bytes, uint32_t length) {
    Socket& socket = sockets[id];
    if (socket.tx_written == tcp.tx_acked(id)) socket.tx_base = socket.tx_written;
    length = std::min(length, tx_room(id));
    for (uint32_t i = 0; i < length; ++i)
      tx_ring(id)[(socket.tx_written + i - socket.tx_base) & (ring_bytes(id) - 1)] = bytes[i];
    socket.tx_written += length;
    EXPECT_TRUE(tcp.wrote(now, id, socket.tx_written, socket.tx_base));
    return length;
  }
  uint32_t write(TimeNs now, ConnectionId id, const std::string& text) {
    return write(now, id, reinterpret_cast<const uint8_t*>(text.data()), static_cast<uint32_t>(text.size()));
  }

  uint32_t readable(ConnectionId id) { return tcp.rx_written(id) - sockets[id].rx_read; }

  std::vector<uint8_t> read(TimeNs now, ConnectionId id, uint32_t most = UINT32_MAX) {
    Socket& socket = sockets[id];
    std::vector<uint8_t> bytes(std::min(most, readable(id)));
    for (uint8_t& byte : bytes)
      byte = rx_ring(id)[(socket.rx_read++ - tcp.rx_base(id)) & (ring_bytes(id) - 1)];
    EXPECT_TRUE(tcp.read(now, id, socket.rx_read));
    return bytes;
  }
  std::string read_text(TimeNs now, ConnectionId id) {
    const std::vector<uint8_t> bytes = read(now, id);
    return std::string(bytes.begin(), bytes.end());
  }

  uint32_t ring_bytes(ConnectionId id) {
    return tcp.long_rings(id) != 0 ? settings.long_bytes : settings.stream_bytes;
  }
  uint8_t* rx_ring(ConnectionId id) {
    if (const uint32_t pair = tcp.long_rings(id); pair != 0)
      return memory_.data() + own_rings() + size_t{pair - 1} * 2 * settings.long_bytes;
    return memory_.data() + size_t{id} * 2 * settings.stream_bytes;
  }
  uint8_t* tx_ring(ConnectionId id) { return rx_ring(id) + ring_bytes(id); }

  const IpAddress address;
  const HostSettings settings;
  const Limits limits;
  Path path;

 private:
  Bytes arena() {
    const size_t skip = -reinterpret_cast<uintptr_t>(arena_.data()) & 63;
    return Bytes(arena_).subspan(skip, Tcp::arena_bytes(limits));
  }
  size_t own_rings() const { return size_t{2} * settings.stream_bytes * settings.connections; }
  Streams streams() {
    return {memory_.data(),
            size_t{2} * settings.stream_bytes,
            0,
            settings.stream_bytes,
            settings.stream_bytes,
            memory_.data() + own_rings(),
            settings.long_rings,
            settings.long_bytes};
  }

  std::vector<uint8_t> arena_;
  std::vector<uint8_t> memory_;

 public:
  IndexPool ids;
  Random random;
  Tcp tcp;
  std::map<ConnectionId, Socket> sockets;
};

}  // namespace skerry::tcp
