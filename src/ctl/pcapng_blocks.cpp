#include "ctl/pcapng_blocks.hpp"

#include <cstring>

#include "link/frame.hpp"
#include "link/pcapng.hpp"

namespace skerry::ctl {

namespace {

constexpr uint32_t kEnhancedPacket = 6;
constexpr uint32_t kSmallestBlock = 12;  // type, length, length again
constexpr uint32_t kLargestBlock = kMaxFrame + kPcapngPacketOverheadBytes;

uint32_t word_at(const uint8_t* at) {
  uint32_t word;
  std::memcpy(&word, at, sizeof word);  // the machine's byte order: writer and reader share it
  return word;
}

}  // namespace

bool PcapngBlocks::append(ConstBytes bytes) {
  pending_.insert(pending_.end(), bytes.begin(), bytes.end());
  size_t end = 0;  // of the whole blocks
  bool sound = true;
  while (sound && pending_.size() - end >= 8) {
    const uint32_t type = word_at(pending_.data() + end);
    const uint32_t length = word_at(pending_.data() + end + 4);
    sound = length >= kSmallestBlock && length <= kLargestBlock && length % 4 == 0;
    if (!sound || pending_.size() - end < length) break;
    if (type == kEnhancedPacket) ++frames_;
    end += length;
  }
  const auto cut = pending_.begin() + static_cast<ptrdiff_t>(end);
  whole_.insert(whole_.end(), pending_.begin(), cut);
  pending_.erase(pending_.begin(), cut);
  return sound;
}

}  // namespace skerry::ctl
