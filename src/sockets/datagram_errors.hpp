// What ICMP said of datagrams and no program has heard yet (ip(7), IP_RECVERR): a bounded store for all
// sockets of a stack, oldest first. What finds no room is forgotten, as on Linux, where it is the receive
// buffer that bounds it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "sockets/session_call.hpp"

namespace skerry::sockets {

class DatagramErrors {
 public:
  static constexpr uint32_t kMost = 256;
  static constexpr uint32_t kMostOfOne = 64;

  DatagramErrors() { entries_.reserve(kMost); }

  // False: there is no room.
  bool push(uint32_t socket, const DatagramError& error) {
    if (entries_.size() == kMost || count(socket) == kMostOfOne) return false;
    entries_.push_back({socket, error});
    return true;
  }
  uint32_t count(uint32_t socket) const {
    return static_cast<uint32_t>(std::count_if(entries_.begin(), entries_.end(),
                                               [&](const Entry& entry) { return entry.socket == socket; }));
  }
  // The oldest of the socket, without taking it; null: there is none.
  const DatagramError* front(uint32_t socket) const {
    const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                    [&](const Entry& one) { return one.socket == socket; });
    return entry == entries_.end() ? nullptr : &entry->error;
  }
  std::optional<DatagramError> take(uint32_t socket) {
    const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                    [&](const Entry& one) { return one.socket == socket; });
    if (entry == entries_.end()) return std::nullopt;
    const DatagramError error = entry->error;
    entries_.erase(entry);
    return error;
  }
  void forget(uint32_t socket) {
    std::erase_if(entries_, [&](const Entry& entry) { return entry.socket == socket; });
  }

 private:
  struct Entry {
    uint32_t socket;
    DatagramError error;
  };

  std::vector<Entry> entries_;
};

}  // namespace skerry::sockets
