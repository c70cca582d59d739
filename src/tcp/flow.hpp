// The four-tuple that names a connection (RFC 9293 section 3.1, socket pair) and its keyed hash.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/siphash.hpp"
#include "wire/address.hpp"

namespace skerry::tcp {

struct Flow {
  IpAddress local;
  IpAddress remote;
  uint16_t local_port = 0;
  uint16_t remote_port = 0;

  friend bool operator==(const Flow&, const Flow&) = default;
};
static_assert(sizeof(Flow) == 36, "hashed as bytes: no padding");

// NH (RFC 4418 section 5.2, with 64-bit words) under secret keys, folded: two flows that a stranger chooses
// without the keys collide by chance only, at a sixth of the cost of SipHash, which is paid for every
// segment.
class FlowHash {
 public:
  explicit FlowHash(const SipKey& secret) {
    for (uint64_t i = 0; i < 6; ++i) {
      uint8_t number[8];
      std::memcpy(number, &i, 8);
      keys_[i] = siphash24(secret, number) | 1;
    }
  }

  uint32_t operator()(const Flow& flow) const {
    uint64_t words[5] = {};
    std::memcpy(words, &flow, sizeof flow);
    unsigned __int128 sum = product(words[0] + keys_[0], words[1] + keys_[1]);
    sum += product(words[2] + keys_[2], words[3] + keys_[3]);
    sum += product(words[4] + keys_[4], keys_[5]);
    const uint64_t folded = static_cast<uint64_t>(sum) ^ static_cast<uint64_t>(sum >> 64);
    return static_cast<uint32_t>(folded >> 32) ^ static_cast<uint32_t>(folded);
  }

 private:
  static unsigned __int128 product(uint64_t a, uint64_t b) { return static_cast<unsigned __int128>(a) * b; }

  uint64_t keys_[6];
};

}  // namespace skerry::tcp
