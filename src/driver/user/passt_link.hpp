// PasstLink: a connection to passt as a Link. passt is an ordinary process of the user that translates one
// guest's Ethernet into sockets of the host, so a program reaches what its host reaches with no privilege at
// all. Read first: passt(1), docs/decisions/0014-one-passt-for-each-program.md.
//
// What passt needs of its guest, and gets here:
//  - The guest's MAC address before the first connection from outside: it is introduced by an ARP request.
//  - To be asked for the gateway alone: passt answers ARP for every address, and would take those of other
//    programs. Requests for others are dropped and counted.
//  - Frames of at most 65535 bytes with finished checksums. It does not ask how long a TCP segment is, so a
//    super-frame leaves whole.
//
// Invariants: what was sent waits in order until the socket takes it, and a frame that was begun is finished
// before the next; allocate() fails while so much waits that no slot is left. passt is no friend: a length
// that no frame has is a fault, and ends the link.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/fd.hpp"
#include "base/index_pool.hpp"
#include "base/result.hpp"
#include "driver/driver.hpp"
#include "driver/user/frame_stream.hpp"

namespace skerry {

class PasstLink {
 public:
  struct Guest {
    MacAddress mac;
    Ipv4Address address = 0;
    Ipv4Address gateway = 0;
  };

  // Takes a connected stream socket, whose other end passt has or will have.
  static Result<PasstLink> create(Fd socket, const Guest& guest, uint32_t mtu);

  std::optional<Frame> allocate(uint32_t bytes);
  size_t send(std::span<const Frame> frames);
  void receive(FrameBatch& batch);
  Bytes data(const Frame& frame) { return {address(frame.slot) + frame.offset, frame.length}; }
  void give_back(const Frame& frame);
  bool arm();
  void disarm() {}
  const LinkFacts& facts() const { return facts_; }
  Carrier carrier() const { return {gone_}; }

  // Readable when there is something to receive, or room again for what waits to be sent.
  std::vector<int> wake_fds() const { return {wake_.get()}; }
  const LinkCounters& counters() const { return counters_; }
  void each_count(auto count) const {
    count("drop.refused", refused_);             // taken, and did not reach passt
    count("kept_from_passt", kept_from_passt_);  // ARP requests for others than the gateway
  }
  bool gone() const { return gone_; }
  const char* why_gone() const {
    return counters_.faults > 0 ? "passt sent a length that no frame has" : "passt has ended";
  }

 private:
  static constexpr uint32_t kSlots = 2 * kBatch;
  static constexpr size_t kSlotBytes = (FrameStream::kLengthBytes + kMaxFrame + 63) & ~size_t{63};
  static constexpr uint16_t kHalfSuperFrame = 32 << 10;  // payload

  PasstLink(Fd socket, Fd wake, const Guest& guest, uint32_t mtu);
  // Slots from kSlots on are places in the stream's memory.
  uint8_t* address(uint32_t slot) {
    if (slot >= kSlots) return stream_.at(slot - kSlots);
    return memory_.get() + slot * kSlotBytes + FrameStream::kLengthBytes;
  }
  bool is_for_passt(ConstBytes frame) const;
  void introduce(const Guest& guest);
  void put(Frame frame);
  void put_in_halves(const Frame& frame);
  void flush();
  void end();

  Fd socket_;
  Fd wake_;  // an epoll descriptor, because room to send is of interest only while something waits
  LinkFacts facts_;
  Ipv4Address gateway_;
  FrameStream stream_;
  std::unique_ptr<uint8_t[]> memory_;
  IndexPool slots_{kSlots};
  std::deque<Frame> waiting_;  // sent by the switch, not yet taken by the socket
  size_t begun_ = 0;           // bytes of the first of them that the socket has, its length included
  bool watches_room_ = false;
  LinkCounters counters_;
  uint64_t refused_ = 0;
  uint64_t kept_from_passt_ = 0;
  bool gone_ = false;
};

static_assert(Driver<PasstLink>);

}  // namespace skerry
