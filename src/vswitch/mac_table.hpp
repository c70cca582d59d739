// Which port a MAC address is behind (IEEE 802.1Q section 8.8, the filtering database). Addresses of bound
// ports are static; those behind uplinks are learned from what they send, and forgotten after `age_ns` of
// silence.
//
// Open addressing with linear probing under a keyed hash, at most half full, so that a lookup is one or two
// entries and no choice of addresses makes it longer. Nothing is allocated after create.
//
// Invariant: a learned address never replaces a static one, and learned addresses stay within their limits.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "base/check.hpp"
#include "base/time.hpp"
#include "vswitch/port.hpp"
#include "wire/address.hpp"

namespace skerry::vswitch {

// A MAC address as 48 bits in the order of memory: what one load from a frame gives.
using MacKey = uint64_t;
inline constexpr MacKey kMacMask = 0xffff'ffff'ffff;

inline MacKey mac_key(const MacAddress& mac) {
  MacKey key = 0;
  std::memcpy(&key, mac.bytes.data(), 6);
  return key;
}
// The same from a frame, where two more bytes follow either address: one load instead of two stores and a
// load.
inline MacKey load_mac_key(const uint8_t* in_frame) {
  uint64_t word;
  std::memcpy(&word, in_frame, sizeof word);
  return word & kMacMask;
}
inline bool is_multicast(MacKey key) {
  return (key & 1) != 0;  // broadcast included (IEEE 802.3 section 3.2.3)
}

struct MacTableLimits {
  uint32_t learned_total = 1024;
  uint32_t learned_per_port = 512;
  DurationNs age_ns = 300 * kSecond;
};

class MacTable {
 public:
  struct Entry {
    MacKey mac = 0;  // 0: free
    TimeNs seen = 0;
    PortId port = 0;
    bool is_static = false;
  };

  // `hash_key`: any secret number.
  MacTable(const MacTableLimits& limits, uint64_t hash_key) : limits_(limits), hash_key_(hash_key | 1) {
    while ((size_t{1} << bits_) < 2 * (size_t{limits.learned_total} + kMaxPorts)) ++bits_;
    entries_.resize(size_t{1} << bits_);
    survivors_.reserve(entries_.size() / 2);
  }

  // The entry of that address, unless it has aged out.
  const Entry* find(MacKey mac, TimeNs now) const {
    const Entry& entry = entries_[place(mac)];
    return entry.mac != 0 && is_alive(entry, now) ? &entry : nullptr;
  }

  // False if the address is static already.
  bool add_static(MacKey mac, PortId port) {
    Entry& entry = entries_[place(mac)];
    if (entry.mac != 0 && entry.is_static) return false;
    if (entry.mac != 0) uncount(entry);
    entry = {mac, 0, port, true};
    return true;
  }

  // The address was seen behind that port. False if there is no room for it; static addresses stay what they
  // are.
  bool learn(MacKey mac, PortId port, TimeNs now) {
    Entry& entry = entries_[place(mac)];
    if (entry.mac != 0 && (entry.is_static || entry.port == port)) {
      entry.seen = now;
      return true;
    }
    const bool moved = entry.mac != 0;
    if (learned_[port] >= limits_.learned_per_port || (!moved && learned_total_ >= limits_.learned_total))
      return false;
    if (moved) uncount(entry);
    entry = {mac, now, port, false};
    ++learned_[port];
    ++learned_total_;
    return true;
  }

  // Throws out what has aged; does something only once in ten seconds, and never asks to be woken for it.
  void age(TimeNs now) {
    if (now < next_ageing_) [[likely]]
      return;
    next_ageing_ = now + kAgeEvery;
    if (learned_total_ > 0) keep([&](const Entry& entry) { return is_alive(entry, now); });
  }

  void forget_port(PortId port) {
    keep([&](const Entry& entry) { return entry.port != port; });
  }

  uint32_t learned() const { return learned_total_; }

 private:
  static constexpr DurationNs kAgeEvery = 10 * kSecond;

  bool is_alive(const Entry& entry, TimeNs now) const {
    return entry.is_static || now - entry.seen < limits_.age_ns;
  }

  // Where the address is, or where it would go. Multiplication by a secret odd number is a universal hash
  // (Dietzfelbinger et al. 1997).
  size_t place(MacKey mac) const {
    const size_t mask = entries_.size() - 1;
    size_t at = static_cast<size_t>((mac * hash_key_) >> (64 - bits_));
    while (entries_[at].mac != 0 && entries_[at].mac != mac) at = (at + 1) & mask;
    return at;
  }

  void uncount(const Entry& entry) {
    --learned_[entry.port];
    --learned_total_;
  }

  // Removing from a table with linear probing would leave holes, so the survivors are put in anew.
  template <class Wanted>
  void keep(Wanted wanted) {
    survivors_.clear();
    for (Entry& entry : entries_) {
      if (entry.mac == 0) continue;
      if (wanted(entry)) {
        survivors_.push_back(entry);
      } else if (!entry.is_static) {
        uncount(entry);
      }
      entry = Entry{};
    }
    for (const Entry& entry : survivors_) entries_[place(entry.mac)] = entry;
  }

  const MacTableLimits limits_;
  const uint64_t hash_key_;
  unsigned bits_ = 4;
  std::vector<Entry> entries_;
  std::vector<Entry> survivors_;
  uint32_t learned_total_ = 0;
  uint32_t learned_[kMaxPorts] = {};
  TimeNs next_ageing_ = 0;
};

}  // namespace skerry::vswitch
