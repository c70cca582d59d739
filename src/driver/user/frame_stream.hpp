// The receiving half of a stream of frames, each preceded by its length as a 32-bit big-endian number: how
// passt, QEMU's `-netdev stream` and their like carry Ethernet over a Unix socket. Read first: passt(1),
// qemu(1).
//
// Bytes come in as they come; frames are lent where they lie, and the memory is tidied when none is lent.
//
// Invariant: every frame that is lent lies whole in the memory and has kMinFrame to kMaxFrame bytes. A length
// outside these bounds breaks the stream for good, because nobody can say where the next frame begins.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>

#include "base/bytes.hpp"
#include "base/check.hpp"

namespace skerry {

class FrameStream {
 public:
  static constexpr uint32_t kLengthBytes = 4;
  static constexpr uint32_t kMinFrame = 14;     // an Ethernet header
  static constexpr uint32_t kMaxFrame = 65535;  // what passt takes and gives
  static constexpr uint32_t kCapacity = 256 << 10;

  struct Piece {
    uint32_t at = 0;  // where in the memory the frame begins
    uint32_t length = 0;
  };

  // Where the next bytes go; empty while lent frames fill the memory.
  Bytes room() {
    if (lent_ == 0 && begin_ > 0) {
      std::memmove(memory_.get(), memory_.get() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    return {memory_.get() + end_, kCapacity - end_};
  }
  // So many of them have come.
  void filled(size_t bytes) {
    CHECK(bytes <= kCapacity - end_);
    end_ += static_cast<uint32_t>(bytes);
  }

  // The next whole frame, lent until give_back().
  std::optional<Piece> next() {
    if (!has_next()) return std::nullopt;
    const Piece piece{begin_ + kLengthBytes, load_be32(memory_.get() + begin_)};
    begin_ = piece.at + piece.length;
    ++lent_;
    return piece;
  }
  // Whether next() would give one. Finds out when the stream is broken.
  bool has_next() {
    if (broken_ || end_ - begin_ < kLengthBytes) return false;
    const uint32_t length = load_be32(memory_.get() + begin_);
    broken_ = length < kMinFrame || length > kMaxFrame;
    return !broken_ && end_ - begin_ - kLengthBytes >= length;
  }
  void give_back() {
    CHECK(lent_ > 0);
    --lent_;
  }

  uint8_t* at(uint32_t place) { return memory_.get() + place; }
  bool broken() const { return broken_; }

 private:
  std::unique_ptr<uint8_t[]> memory_ = std::make_unique_for_overwrite<uint8_t[]>(kCapacity);
  uint32_t begin_ = 0;  // of what has not been lent
  uint32_t end_ = 0;    // of what has come
  uint32_t lent_ = 0;   // frames
  bool broken_ = false;
};

}  // namespace skerry
