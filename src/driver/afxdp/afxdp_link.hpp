// AfxdpLink: an interface of Linux as a Link, one AF_XDP socket for each of its queues. It hears all queues
// and sends on the first: what is sent is one program's work, and queues are there to spread the wire's.
//
// A wire has no super-frames and takes no unfinished checksum, and neither does this: the switch cuts and
// finishes for it (vswitch/outlet.hpp). But veth is no wire: its other end leaves checksums to us, and says
// so in a mark that does not come through. So on an interface without hardware each frame is looked at for
// one (link/unfinished.hpp), and `unfinished_checksums` counts those that were found.
//
// Invariant: sending never waits. What an interface that is down left in the ring is sent when it comes up
// again; what is sent meanwhile is lost and counted.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <vector>

#include "base/time.hpp"
#include "driver/afxdp/xdp_queue.hpp"
#include "driver/driver.hpp"
#include "driver/interface_watch.hpp"

namespace skerry {

class AfxdpLink {
 public:
  // Takes bound queues, one at least. `wire_in_memory`: the other end may leave checksums unfinished.
  AfxdpLink(std::vector<XdpQueue> queues, InterfaceWatch watch, uint32_t mtu, bool wire_in_memory);

  // Opens it: one socket a queue (open_xdp_socket), bound here.
  static Result<AfxdpLink> create(std::vector<Fd> sockets, const Fd& sockets_by_queue, InterfaceWatch watch,
                                  const std::string& interface, uint32_t mtu);

  std::optional<Frame> allocate(uint32_t bytes);
  size_t send(std::span<const Frame> frames);
  void receive(FrameBatch& batch);
  Bytes data(const Frame& frame) {
    return {queue_of(frame).slot(frame.slot % XdpQueue::kSlots) + frame.offset, frame.length};
  }
  void give_back(const Frame& frame) { queue_of(frame).give_back(frame.slot % XdpQueue::kSlots); }
  bool arm();
  void disarm() {}
  // Nobody says when the kernel would take what it did not take before.
  TimeNs deadline() const { return try_again_; }
  const LinkFacts& facts() const { return facts_; }
  Carrier carrier() const { return watch_.carrier(); }
  InterfaceWatch& watch() { return watch_; }

  std::vector<int> wake_fds() const;
  const LinkCounters& counters() const { return counters_; }
  bool gone() const { return watch_.deleted(); }
  const char* why_gone() const { return "the interface was deleted; end this network and start it again"; }
  void each_count(auto count) const {
    count("drop.down", down_);        // sent while there was no carrier
    count("drop.refused", refused_);  // marked for help that a wire does not give
    uint64_t no_slot = 0, too_long = 0;
    for (const XdpQueue& queue : queues_) {
      const xdp_statistics counted = queue.statistics();
      no_slot += counted.rx_ring_full + counted.rx_fill_ring_empty_descs;
      // What found no slot is counted there too.
      too_long += counted.rx_dropped - std::min(counted.rx_dropped, counted.rx_fill_ring_empty_descs);
    }
    count("drop.no_slot", no_slot);       // received while all slots were full
    count("drop.rx_too_long", too_long);  // received, and longer than a slot: a super-frame in generic mode
    count("unfinished_checksums", unfinished_);
  }

 private:
  XdpQueue& queue_of(const Frame& frame) { return queues_[frame.slot / XdpQueue::kSlots]; }
  void transmit();

  std::vector<XdpQueue> queues_;
  InterfaceWatch watch_;
  LinkFacts facts_;
  bool wire_in_memory_;
  bool tx_waits_ = false;  // the kernel would not take all that was sent
  TimeNs try_again_ = kNever;
  LinkCounters counters_;
  uint64_t down_ = 0, refused_ = 0, unfinished_ = 0;
};

static_assert(Driver<AfxdpLink>);

}  // namespace skerry
