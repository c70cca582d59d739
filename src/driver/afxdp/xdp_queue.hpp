// One queue of an interface: an AF_XDP socket, its slots (UMEM) and its four rings. Read first: the kernel's
// Documentation/networking/af_xdp.rst.
//
// A slot for receiving goes round: fill ring (the kernel may write it), rx ring (it has), its holder, fill
// ring. One for sending: free, its holder, tx ring, completion ring (the kernel has read it), free.
//
// Invariant: a slot is in exactly one of these places, so no ring is ever full.
#pragma once

#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "base/fd.hpp"
#include "base/index_pool.hpp"
#include "base/result.hpp"
#include "driver/afxdp/xdp_ring.hpp"

namespace skerry {

class XdpQueue {
 public:
  static constexpr uint32_t kRxSlots = 2048, kTxSlots = 1024, kSlots = kRxSlots + kTxSlots;
  static constexpr uint32_t kSlotBytes = 2048;  // of which the kernel keeps 256 before a received frame

  // Binds the socket to queue `number` of the interface and puts it into the map of take_interface(). The
  // kernel takes a moment to give a queue free whose last socket has just been closed; this waits for it.
  static Result<XdpQueue> create(Fd socket, const Fd& sockets_by_queue, const std::string& interface,
                                 uint32_t number);

  uint8_t* slot(uint32_t index) { return static_cast<uint8_t*>(memory_.get()) + index * size_t{kSlotBytes}; }
  XdpRing<xdp_desc>& rx() { return rx_; }
  const XdpRing<xdp_desc>& rx() const { return rx_; }
  int fd() const { return socket_.get(); }

  // A slot to fill and send; nothing if all are under way.
  std::optional<uint32_t> take_tx_slot();
  // Returns a slot of either kind that its holder is done with.
  void give_back(uint32_t index);
  // The slot's first bytes leave with the next transmit().
  void put_tx(uint32_t index, uint32_t bytes);
  // Before sleeping: a NIC that sleeps over its ring would not write into the slots that it has got.
  void wake_receiver();
  // Asks the kernel to send what waits. False, with errno, if something is left that it will not send by
  // itself.
  bool transmit();

  xdp_statistics statistics() const;

 private:
  void reclaim();

  Fd socket_;
  Mapping memory_;
  XdpRing<uint64_t> fill_, completed_;
  XdpRing<xdp_desc> rx_, tx_;
  IndexPool to_send_in_{kTxSlots};  // slots kRxSlots and following
};

}  // namespace skerry
