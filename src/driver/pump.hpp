// Pump: a Component that joins two links and carries every frame across, one copy each way, and the word
// about the wire's carrier. A driver process is a device's link, a ShmLink, and a pump between them.
//
// Invariant: a frame that the other side has no memory for waits, and nothing is received behind it: the
// queue grows where its sender can see it (the kernel's queue of a TAP, the neighbour's ring), and nothing is
// lost here.
#pragma once

#include <cstring>

#include "base/time.hpp"
#include "link/carrier.hpp"
#include "link/link.hpp"

namespace skerry {

// One direction.
template <Link From, Link To>
class Copier {
 public:
  Copier(From& from, To& to) : from_(from), to_(to) {}

  // Frames carried.
  uint32_t carry() {
    if (!blocked()) {
      batch_.clear();
      next_ = 0;
      from_.receive(batch_);
    }
    FrameBatch copies;
    for (; next_ < batch_.count; ++next_) {
      const Frame& frame = batch_.frames[next_];
      if (frame.length > to_.facts().max_frame) {
        ++too_long_;
      } else {
        const std::optional<Frame> copy = copy_of(frame);
        if (!copy) break;
        copies.push(*copy);
      }
      from_.give_back(frame);
    }
    const size_t sent = to_.send(copies.view());
    // Memory but no room to send: a link that has just been closed.
    for (const Frame& frame : copies.view().subspan(sent)) to_.give_back(frame);
    return static_cast<uint32_t>(sent);
  }

  // True while a frame waits for memory.
  bool blocked() const { return next_ < batch_.count; }
  uint64_t too_long() const { return too_long_; }

 private:
  std::optional<Frame> copy_of(const Frame& frame) {
    std::optional<Frame> copy = to_.allocate(frame.length);
    if (!copy) return copy;
    std::memcpy(to_.data(*copy).data(), from_.data(frame).data(), frame.length);
    copy->flags = frame.flags;
    copy->gso_size = frame.gso_size;
    copy->checksum_start = frame.checksum_start;
    copy->checksum_offset = frame.checksum_offset;
    return copy;
  }

  From& from_;
  To& to_;
  FrameBatch batch_;
  uint32_t next_ = 0;  // the first frame of batch_ that is still to be carried
  uint64_t too_long_ = 0;
};

template <Link Wire, Link Program>
class Pump {
 public:
  Pump(Wire& wire, Program& program)
      : wire_(wire), program_(program), up_(wire, program), down_(program, wire) {}

  uint32_t rx(TimeNs) {
    const uint32_t carried = up_.carry();
    if constexpr (requires { program_.tell(wire_.carrier()); }) program_.tell(told_ = wire_.carrier());
    return carried;
  }
  uint32_t tx(TimeNs) { return down_.carry(); }
  // That of the wire, if it has one: a device that nobody wakes is to be looked at.
  TimeNs deadline() const {
    if constexpr (requires { wire_.deadline(); }) return wire_.deadline();
    return kNever;
  }

  // A direction that is blocked waits for memory of the link that it leads to, and wants no more of the
  // other. What the kernel says of an interface comes between breaths, and wakes nobody twice.
  bool arm() {
    bool safe = true;
    if constexpr (requires { program_.tell(wire_.carrier()); }) safe = told_ == wire_.carrier();
    if (!up_.blocked() || down_.blocked()) safe = wire_.arm() && safe;
    if (!down_.blocked() || up_.blocked()) safe = program_.arm() && safe;
    return safe;
  }
  void disarm() {
    wire_.disarm();
    program_.disarm();
  }

  uint64_t too_long() const { return up_.too_long() + down_.too_long(); }

 private:
  Wire& wire_;
  Program& program_;
  Copier<Wire, Program> up_;
  Copier<Program, Wire> down_;
  Carrier told_;
};

}  // namespace skerry
