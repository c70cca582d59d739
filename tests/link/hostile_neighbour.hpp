// A ShmLink whose neighbour is hostile: a script of bytes says, move by move, what the honest end does and
// what the neighbour does to the region and to every descriptor it holds or can open. Run from random scripts
// by hostile_test.cpp, from evolved ones by fuzz/link.
//
// What must hold after every move: nothing crashes or blocks, no frame lies outside the region, and a link
// that has faulted stays closed while what was received stays readable.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "base/check.hpp"
#include "link/shm_link.hpp"

namespace skerry {

// Bytes that run out turn into zeros.
class Script {
 public:
  explicit Script(ConstBytes bytes) : bytes_(bytes) {}
  bool over() const { return at_ >= bytes_.size(); }
  uint8_t byte() { return over() ? 0 : bytes_[at_++]; }
  uint16_t half() { return static_cast<uint16_t>(byte() | byte() << 8); }
  uint32_t word() { return half() | static_cast<uint32_t>(half()) << 16; }

 private:
  ConstBytes bytes_;
  size_t at_ = 0;
};

// What the neighbour can do to memory. Its stores are atomic so that only the honest end's own races show in
// ThreadSanitizer.
class HostileMemory {
 public:
  HostileMemory(std::byte* memory, const ShmLayout& layout, Side victim)
      : memory_(memory), layout_(layout), victim_(victim), self_(victim == Side::kA ? Side::kB : Side::kA) {}

  void move(Script& script) {
    switch (script.byte() % 6) {
      case 0: {  // anything anywhere
        const uint32_t span = static_cast<uint32_t>((control_only ? layout_.slots() : layout_.bytes()) / 4);
        return store(script.word() % span * 4, script.word());
      }
      case 1:  // a descriptor that is right or nearly so, in the next place, and published
        descriptor(script, load(layout_.descriptors(self_)));
        return advance(layout_.descriptors(self_));
      case 2:  // the same anywhere, or any number of them
        if (script.byte() % 2 == 0) return descriptor(script, script.byte());
        return store(layout_.descriptors(self_), script.byte() % 2 == 0
                                                     ? script.word()
                                                     : load(layout_.descriptors(self_)) + script.byte() % 4);
      case 3: {  // consume a descriptor of the victim's and give its slot back, as one should
        const size_t ring = layout_.descriptors(victim_);
        const uint32_t next = load(ring + offsetof(RingIndices, consumed));
        if (next == load(ring)) return;
        const uint32_t slot = load(entry(ring, next, sizeof(Frame)));
        advance(ring + offsetof(RingIndices, consumed));
        const size_t returns = layout_.returns(victim_);
        store(entry(returns, load(returns), 4), slot);
        return advance(returns);
      }
      case 4: {  // or some slot, or any number of them
        const size_t returns = layout_.returns(victim_);
        store(entry(returns, load(returns), 4), first(victim_) + script.byte() % 12);
        return store(returns, script.byte() % 8 == 0 ? script.word() : load(returns) + script.byte() % 3);
      }
      case 5: {  // consume what the victim sent, or claim to; and ask to be woken
        const size_t index = layout_.descriptors(victim_) + offsetof(RingIndices, consumed);
        store(index, load(index) + script.byte() % 3);
        return store(layout_.wake_word(self_), script.byte() % 4);
      }
    }
  }

  bool control_only = false;

 private:
  void store(size_t at, uint32_t value) {
    std::atomic_ref<uint32_t>(*reinterpret_cast<uint32_t*>(memory_ + at))
        .store(value, std::memory_order_release);
  }
  uint32_t load(size_t at) {
    return std::atomic_ref<uint32_t>(*reinterpret_cast<uint32_t*>(memory_ + at))
        .load(std::memory_order_relaxed);
  }
  uint32_t first(Side side) const { return side == Side::kA ? 0 : layout_.geometry.slots(); }

  void advance(size_t index) { store(index, load(index) + 1); }
  size_t entry(size_t ring, uint32_t index, size_t bytes) const {
    return ring + sizeof(RingIndices) + index % layout_.ring_capacity * bytes;
  }

  void descriptor(Script& script, uint32_t place) {
    Frame frame;
    // Mostly a slot of its own for each place in the ring, sometimes one that is perhaps under way already.
    const uint32_t choice = script.byte();
    frame.slot = first(self_) + (choice % 8 == 0 ? choice / 8 : place) % layout_.geometry.slots();
    frame.offset = 64;
    frame.length = frame.slot - first(self_) < layout_.geometry.small_slots ? 1000 : 60'000;
    if (script.byte() % 2 == 0) {
      frame.flags = kChecksumNeeded | kSegmentTcp4;
      frame.gso_size = 1448;
      frame.checksum_start = 34;
      frame.checksum_offset = 16;
    }
    switch (script.byte() % 12) {
      case 0:
        frame.slot = script.word();
        break;
      case 1:
        frame.length = script.word();
        break;
      case 2:
        frame.offset = script.half();
        break;
      case 3:
        frame.flags = script.byte();
        break;
      case 4:
        frame.gso_size = script.half();
        break;
      case 5:
        frame.checksum_start = script.half();
        break;
      default:
        break;
    }
    uint32_t words[4];
    std::memcpy(words, &frame, sizeof frame);
    const size_t at = entry(layout_.descriptors(self_), place, sizeof(Frame));
    for (size_t n = 0; n < 4; ++n) store(at + 4 * n, words[n]);
  }

  std::byte* memory_;
  ShmLayout layout_;
  Side victim_;
  Side self_;
};

class HostileNeighbour {
 public:
  static constexpr SlotGeometry kGeometry{8, 2};

  explicit HostileNeighbour(Side victim) : layout_(kGeometry) {
    ::signal(SIGPIPE, SIG_IGN);
    Result<Region> theirs = Region::create("hostile", layout_.bytes());
    CHECK(theirs);
    region_.emplace(std::move(*theirs));
    Result<Region> ours = Region::adopt(Fd(::dup(region_->fd())), layout_.bytes());
    Result<DoorbellPipe> to_victim = DoorbellPipe::create();
    Result<DoorbellPipe> to_neighbour = DoorbellPipe::create();
    CHECK(ours && to_victim && to_neighbour);
    first_ = ours->data();
    held_fds_.push_back(std::move(to_victim->ring));
    held_fds_.push_back(std::move(to_neighbour->wake));
    LinkFacts facts;
    facts.headroom = 64;
    facts.max_frame = kMaxFrame;
    Result<ShmLink> link = ShmLink::create(std::move(*ours), victim, facts, std::move(to_neighbour->ring),
                                           std::move(to_victim->wake), kGeometry);
    CHECK(link);
    link_.emplace(std::move(*link));
    // Through the honest end's mapping: ThreadSanitizer tells races by address.
    memory_.emplace(first_, layout_, victim);
  }

  ShmLink& link() { return *link_; }
  HostileMemory& memory() { return *memory_; }

  void run(Script& script) {
    while (!script.over()) {
      const uint8_t move = script.byte();
      if (move % 8 < 3)
        memory_->move(script);
      else if (move % 8 == 3)
        play_with_descriptors(script);
      else
        honest_move(script);
    }
  }

  void honest_move(Script& script) {
    const bool was_closed = link_->closed();
    switch (script.byte() % 8) {
      case 0:
      case 1:
        allocate(script.byte() % 4 == 0 ? 40'000 : 200);
        break;
      case 2: {
        const size_t sent = link_->send(ours_);
        CHECK(sent <= ours_.size() && (!was_closed || sent == 0));
        ours_.erase(ours_.begin(), ours_.begin() + static_cast<std::ptrdiff_t>(sent));
        break;
      }
      case 3:
      case 4:
        receive(was_closed);
        break;
      case 5:
        if (!received_.empty()) {
          touch(received_.back());
          link_->give_back(received_.back());
          received_.pop_back();
        }
        break;
      case 6:
        if (!ours_.empty()) {
          link_->give_back(ours_.back());
          ours_.pop_back();
        }
        break;
      case 7: {
        const bool safe = link_->arm();
        CHECK(safe || !was_closed);
        if (script.byte() % 2 == 0) link_->drain();
        link_->disarm();
        break;
      }
    }
    CHECK(link_->closed() == (link_->fault() != nullptr) &&
          link_->closed() == (link_->counters().faults == 1));
    CHECK(!was_closed || link_->closed());
  }

 private:
  void allocate(uint32_t bytes) {
    const std::optional<Frame> frame = link_->allocate(bytes);
    if (!frame) return;
    CHECK(frame->length == bytes);
    touch(*frame);
    ours_.push_back(*frame);
  }

  void receive(bool was_closed) {
    FrameBatch batch;
    link_->receive(batch);
    CHECK(!was_closed || batch.count == 0);
    for (const Frame& frame : batch.view()) {
      for (const Frame& other : received_) CHECK(other.slot != frame.slot);
      received_.push_back(frame);
    }
    for (const Frame& frame : received_) touch(frame);
  }

  // Every byte of a frame can be written, and is within its slot and the slots within the region.
  void touch(const Frame& frame) {
    const bool small = frame.slot % kGeometry.slots() < kGeometry.small_slots;
    CHECK(frame.slot < 2 * kGeometry.slots());
    CHECK(uint64_t{frame.offset} + frame.length <= (small ? kSmallSlotBytes : kLargeSlotBytes));
    const Bytes data = link_->data(frame);
    const uint8_t* const slots = reinterpret_cast<const uint8_t*>(first_) + layout_.slots();
    CHECK(data.data() >= slots && data.data() + data.size() <= slots + SlotArea::bytes(kGeometry));
    std::memset(data.data(), 0xa5, data.size());
  }

  void play_with_descriptors(Script& script) {
    if (held_fds_.empty()) return;
    Fd& fd = held_fds_[script.byte() % held_fds_.size()];
    switch (script.byte() % 8) {
      case 0:
        ::fcntl(fd.get(), F_SETFL, 0);  // blocking
        return;
      case 1:
        ::fcntl(fd.get(), F_SETFL, O_NONBLOCK | O_DIRECT);  // packets
        return;
      case 2:
        ::fcntl(fd.get(), F_SETPIPE_SZ, 4096);
        return;
      case 3:
        fill(fd.get());
        return;
      case 4: {  // the other end of the same pipe
        if (held_fds_.size() > 8) return;
        const std::string path = "/proc/self/fd/" + std::to_string(fd.get());
        const int access = script.byte() % 2 == 0 ? O_WRONLY : O_RDONLY;
        Fd opened(::open(path.c_str(), access | O_NONBLOCK | O_CLOEXEC));
        if (opened) held_fds_.push_back(std::move(opened));
        return;
      }
      case 5:
        if (script.byte() % 4 == 0) fd.reset();
        return;
      case 6:  // holes, and seals that are sealed off
        ::fallocate(region_->fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, script.byte() * 4096, 4096);
        CHECK(::ftruncate(region_->fd(), 4096) != 0);
        CHECK(::fcntl(region_->fd(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE) != 0);
        return;
      case 7: {  // steal what was rung
        char bytes[512];
        const int flags = ::fcntl(fd.get(), F_GETFL);
        ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK);
        while (::read(fd.get(), bytes, sizeof bytes) > 0) {
        }
        return;
      }
    }
  }

  static void fill(int fd) {
    const int flags = ::fcntl(fd, F_GETFL);
    char bytes[4096] = {};
    ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    while (::write(fd, bytes, sizeof bytes) > 0) {
    }
    ::fcntl(fd, F_SETFL, flags);
  }

  ShmLayout layout_;
  std::optional<Region> region_;  // the neighbour's
  std::byte* first_ = nullptr;    // where the honest end has it mapped
  std::optional<ShmLink> link_;
  std::optional<HostileMemory> memory_;
  std::vector<Fd> held_fds_;
  std::vector<Frame> ours_;
  std::vector<Frame> received_;
};

}  // namespace skerry
