// Carrier: whether what lies behind a link is there. A driver sees it of its device and tells the switch, the
// switch tells the stacks behind that uplink; each over the link that the two share, as one word that only
// the teller writes. Who listens believes nothing but the parity, so no value is a lie that could do harm.
#pragma once

#include <cstdint>

namespace skerry {

struct Carrier {
  uint32_t changes = 0;  // how often it went or came back: even while it is there

  bool up() const { return changes % 2 == 0; }
  void set(bool is_up) { changes += is_up != up(); }
  friend bool operator==(const Carrier&, const Carrier&) = default;
};

}  // namespace skerry
