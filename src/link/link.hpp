// Link: where frames come from and go to, passively. A driver is a Link; ShmLink joins two processes;
// LocalLink two components of one process; the component cannot tell which. Dispatch is static: components
// are templates over it.
//
// Every Link obeys the contract that tests/link/contract.hpp checks:
//  - allocate(bytes) lends a frame to fill, offset = headroom, length = bytes; nothing if there is no memory
//  now.
//  - send(frames) takes a prefix and returns its length: the rest is backpressure and still the caller's. The
//    neighbour is rung at most once a call, and only if it asked to be (arm).
//  - receive(batch) appends up to batch.room() frames; each is the caller's until give_back.
//  - data(frame) is the frame's bytes, bounds already checked. A neighbour may still be writing to them:
//  copy, then
//    decide.
//  - give_back(frame) returns a received frame, or an allocated one that was not sent.
//  - arm() asks to be woken when there is something to receive, and returns true if sleeping is safe, that is
//  if
//    nothing had arrived by the time the wish was visible. disarm() takes the wish back.
//  - facts() never change while the link lives.
//  - carrier() is what the last receive() found out about what lies behind the other end; news of it wakes
//  like a frame.
//    A link between neighbours also has tell(carrier), which passes it on.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <span>

#include "base/bytes.hpp"
#include "link/carrier.hpp"
#include "link/frame.hpp"
#include "wire/address.hpp"

namespace skerry {

struct LinkFacts {
  uint32_t mtu = 1500;        // bytes of IP packet on the wire behind the link
  uint32_t headroom = 0;      // bytes that allocate() leaves before the frame
  uint32_t max_frame = 1514;  // longest frame that send() takes: over mtu + 14 only with segmentation help
  MacAddress mac;             // this end's address
  bool vouches = false;       // received frames without kChecksumNeeded are intact (memory, not a wire)
  bool takes_unfinished = false;  // send() takes kChecksumNeeded
  bool segments_tcp4 = false;     // send() takes kSegmentTcp4
};

template <class L>
concept Link = requires(L& link, const L& constant, FrameBatch& batch, Frame frame,
                        std::span<const Frame> frames, uint32_t bytes) {
  { link.allocate(bytes) } -> std::same_as<std::optional<Frame>>;
  { link.send(frames) } -> std::same_as<size_t>;
  { link.receive(batch) } -> std::same_as<void>;
  { link.data(frame) } -> std::same_as<Bytes>;
  { link.give_back(frame) } -> std::same_as<void>;
  { link.arm() } -> std::same_as<bool>;
  { link.disarm() } -> std::same_as<void>;
  { constant.facts() } -> std::same_as<const LinkFacts&>;
  { constant.carrier() } -> std::same_as<Carrier>;
};

// What every Link counts, for `skerry top` and for tests; shown, never decided upon.
struct LinkCounters {
  uint64_t rx_frames = 0, rx_bytes = 0;
  uint64_t tx_frames = 0, tx_bytes = 0;
  uint64_t tx_no_memory = 0;  // allocate() found no slot
  uint64_t rings = 0;         // doorbells rung at the neighbour
  uint64_t faults = 0;        // lies of the neighbour; after the first the link is closed
};

}  // namespace skerry
