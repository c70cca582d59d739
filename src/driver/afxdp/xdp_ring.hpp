// One of the four rings between an AF_XDP socket and the kernel: free-running positions in an array whose
// length is a power of two. Read first: the kernel's Documentation/networking/af_xdp.rst, "Rings".
//
// Invariant: each ring has as many places as there are slots that can lie in it, so whoever puts one in has
// room; nothing here asks.
#pragma once

#include <linux/if_xdp.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/check.hpp"

namespace skerry {

struct Unmap {
  size_t bytes = 0;
  void operator()(void* memory) const { ::munmap(memory, bytes); }
};
using Mapping = std::unique_ptr<void, Unmap>;  // empty if it failed, with errno

inline Mapping map_memory(size_t bytes, int flags, int fd, uint64_t offset) {
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags | MAP_POPULATE, fd, static_cast<off_t>(offset));
  return Mapping(memory == MAP_FAILED ? nullptr : memory, Unmap{bytes});
}

template <class Entry>
class XdpRing {
 public:
  XdpRing() = default;
  // `memory` is the ring's whole mapping.
  XdpRing(Mapping memory, const xdp_ring_offset& at, uint32_t places)
      : memory_(std::move(memory)),
        producer_(reinterpret_cast<uint32_t*>(base() + at.producer)),
        consumer_(reinterpret_cast<uint32_t*>(base() + at.consumer)),
        flags_(reinterpret_cast<uint32_t*>(base() + at.flags)),
        entries_(reinterpret_cast<Entry*>(base() + at.desc)),
        mask_(places - 1) {}

  // For the side that fills: put() what is there to put, then publish() it.
  void put(const Entry& entry) { entries_[position_++ & mask_] = entry; }
  void publish() { std::atomic_ref(*producer_).store(position_, std::memory_order_release); }
  // How many the kernel has not taken yet.
  uint32_t waiting() const { return position_ - std::atomic_ref(*consumer_).load(std::memory_order_acquire); }
  // The kernel sleeps over this ring and wants a system call.
  bool kernel_sleeps() const {
    return (std::atomic_ref(*flags_).load(std::memory_order_relaxed) & XDP_RING_NEED_WAKEUP) != 0;
  }

  // For the side that empties: take() as many as there are in ready(), then publish_taken().
  uint32_t ready() const { return std::atomic_ref(*producer_).load(std::memory_order_acquire) - position_; }
  Entry take() { return entries_[position_++ & mask_]; }
  void publish_taken() { std::atomic_ref(*consumer_).store(position_, std::memory_order_release); }

 private:
  uint8_t* base() { return static_cast<uint8_t*>(memory_.get()); }

  Mapping memory_;
  uint32_t* producer_ = nullptr;
  uint32_t* consumer_ = nullptr;
  uint32_t* flags_ = nullptr;
  Entry* entries_ = nullptr;
  uint32_t mask_ = 0;
  uint32_t position_ = 0;  // ours; the other side's is read where it is needed
};

}  // namespace skerry
