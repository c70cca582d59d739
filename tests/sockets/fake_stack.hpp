// A stack without a network, for tests of the client: what one socket writes another reads, at once and in
// order. It speaks the door's whole contract (session.hpp) from a thread of the test, with the real anchors
// and the real wake-ups.
//
// Addresses do not matter, ports do: connect() reaches the listener of that port, a datagram the socket bound
// to it. kSilentPort never answers a connect(); while it answers one to kTakenPort the socket is closed and
// its index given out again.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.hpp"
#include "base/index_pool.hpp"
#include "sockets/anchors.hpp"
#include "sockets/session_view.hpp"
#include "sockets/wakeups.hpp"

namespace skerry::sockets {

class FakeStack {
 public:
  static constexpr uint16_t kSilentPort = 9;
  static constexpr uint16_t kTakenPort = 11;
  static constexpr uint16_t kLongPathPort = 10;  // one connection to it at a time: both ends get long rings

  // Listens on the abstract name and serves until destroyed. `never_polls`: it sleeps as soon as it has
  // nothing to do, so that every wake-up counts.
  explicit FakeStack(const std::string& name, const SessionSize& size = default_size(),
                     bool never_polls = false);
  ~FakeStack();

  static SessionSize default_size() {
    return {.sockets = 256,
            .waiters = 32,
            .calls = 64,
            .processes = 8,
            .stream_bytes = 64 << 10,
            .long_rings = 2,
            .long_bytes = 256 << 10};
  }

  const SessionView& view() const { return view_; }
  uint32_t sockets_in_use() const { return in_use_.load(); }
  uint32_t times_slept() const { return sleeps_.load(); }
  uint32_t infos_asked() const { return infos_.load(); }
  // What it answers to Op::info, about every socket; set before it is asked.
  uint64_t info[kCallValues] = {};

 private:
  struct Socket {
    bool used = false, stream = false, listening = false, orphan = false, aborted = false;
    bool write_shut = false, fin_told = false, connecting = false;
    uint32_t peer = kNoSocket;
    Endpoint local, remote;
    uint32_t taken = 0, rx_written = 0, rx_base = 0, carriers = 0, urgents = 0;
  };

  void keep(uint32_t slot, const std::function<uint64_t(uint32_t word)>& kept);
  void run();
  bool breathe();
  void sleep();
  void serve_call(uint32_t index);
  int perform(Call& call);
  int open(bool stream);
  int bind(Call& call);
  int connect(uint32_t id, const Endpoint& to);
  int shutdown(uint32_t id, uint64_t how);
  void begin(uint32_t id, bool stream, uint32_t status);
  void look_at(uint32_t id);
  void finish_connects();
  void pump_stream(uint32_t id);
  void pump_datagrams(uint32_t id);
  void append(uint32_t id, const std::vector<uint8_t>& bytes);
  uint32_t rx_space(uint32_t id) const;
  uint32_t ring_bytes(uint32_t id) const;
  uint8_t* rx_ring(uint32_t id) const;
  uint8_t* tx_ring(uint32_t id) const { return rx_ring(id) + ring_bytes(id); }
  void freed(uint32_t id, uint32_t taken);
  void fail(uint32_t id, int error);
  void release(uint32_t id, bool abort);
  void free_if_done(uint32_t id);
  void set_status(uint32_t id, uint32_t set, uint32_t clear = 0);
  bool is_held(uint32_t id) const;
  std::optional<uint32_t> bound_to(uint16_t port, bool stream) const;

  SessionSize size_;
  bool never_polls_;
  uint8_t* region_ = nullptr;
  SessionView view_;
  Fd wake_, stop_, stopped_;
  std::unique_ptr<Anchors> anchors_;
  std::unique_ptr<Wakeups> wakeups_;
  std::unique_ptr<IndexPool> ids_;
  std::vector<Socket> sockets_;
  uint16_t next_port_ = 40000;
  std::atomic<uint32_t> in_use_ = 0, sleeps_ = 0, infos_ = 0;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace skerry::sockets
