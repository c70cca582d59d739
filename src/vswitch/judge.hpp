// Is a frame what its port may send? The answer comes from a private copy of the frame's headers, so that the
// sender cannot change afterwards what was judged. Read first: RFC 826 (ARP), RFC 5227 (probes with sender
// 0.0.0.0), and Virtual I/O Device 1.2 section 5.1.6.2 for the offload marks.
//
// Invariant: what passes from a bound port carries its MAC and one of its addresses, and no mark by which
// whoever finishes the frame would write over those.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "base/bytes.hpp"
#include "link/frame.hpp"
#include "vswitch/mac_table.hpp"
#include "vswitch/port.hpp"
#include "wire/ipv4.hpp"

namespace skerry::vswitch {

// How much of a frame is copied and judged: Ethernet, the longest IPv4 header, and the headers that follow it
// for those who cut and finish.
inline constexpr size_t kJudgedBytes = 128;

// Which IPv4 address is bound to which port. Sorted; at most kMaxPorts * kMaxAddressesPerPort entries.
class AddressTable {
 public:
  AddressTable() { entries_.reserve(kMaxPorts * kMaxAddressesPerPort); }

  // False if the address is another port's already.
  bool add(Ipv4Address address, PortId port);
  void forget_port(PortId port);
  // True if the address belongs to a port other than `port`.
  bool is_foreign(Ipv4Address address, PortId port) const {
    const auto at = std::lower_bound(entries_.begin(), entries_.end(), address, before);
    return at != entries_.end() && at->address == address && at->port != port;
  }

 private:
  struct Entry {
    Ipv4Address address;
    PortId port;
  };
  static bool before(const Entry& entry, Ipv4Address address) { return entry.address < address; }

  std::vector<Entry> entries_;
};

// A frame that may pass: a private head, the rest in memory that the sender can still write.
struct JudgedFrame {
  ConstBytes head;
  ConstBytes tail;
  Frame marks;

  size_t bytes() const { return head.size() + tail.size(); }
  void copy_to(uint8_t* to) const {
    std::memcpy(to, head.data(), head.size());
    if (!tail.empty()) std::memcpy(to + head.size(), tail.data(), tail.size());
  }
};

// What is known of the sender and its neighbours.
struct Sender {
  PortId port = 0;
  bool uplink = false;
  MacKey mac = 0;                          // of a bound port
  std::span<const Ipv4Address> addresses;  // of a bound port
};

// Marks of an IPv4 packet name its TCP or UDP checksum and nothing else: the field that is written when the
// frame is finished must not lie in what was judged.
bool marks_fit(const Frame& frame, const Ipv4Header& ip);

// `head` is a private copy of the frame's first bytes, kJudgedBytes or all; `frame` gives its whole length
// and its marks, which lie within the frame: the Link has seen to that.
Drop judge(ConstBytes head, const Frame& frame, const Sender& sender, const MacTable& macs,
           const AddressTable& addresses, TimeNs now);

}  // namespace skerry::vswitch
