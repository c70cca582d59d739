// A packet as rules see it: where its headers lie. The counterpart of the kernel's nft_pktinfo.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "base/bytes.hpp"
#include "filter/ruleset.hpp"

namespace skerry::filter {

struct Interface {
  uint32_t index = 0;
  uint16_t type = 0;               // ARPHRD_*
  std::array<uint8_t, 16> name{};  // padded with zeros
};

// Those of a stack, which rules may name: lo with index 1, eth0 with index 2, as every cell shows them.
inline constexpr const char* kLoopbackName = "lo";
inline constexpr const char* kNetworkName = "eth0";
inline constexpr uint32_t kLoopbackIndex = 1;
Interface loopback_interface();
Interface network_interface();
// One more of the network's kind, such as a port of a switch; rules know the first 15 bytes of its name.
Interface ethernet_interface(uint32_t index, std::string_view name);

struct Flow;

// What connection tracking says of a packet (conntrack.hpp).
enum class CtState : uint8_t { invalid, established, related, fresh, untracked };
struct Tracked {
  bool looked_up = false;  // it has been asked, or must not be
  CtState state = CtState::invalid;
  bool zoned = false;    // rules said, before it was asked:
  uint16_t zone = 0;     // in which zone it is to be looked up
  bool reply = false;    // the packet goes to who began the flow
  uint32_t number = 0;   // Flow::number, by which one that waits knows whether `flow` is still its own
  Flow* flow = nullptr;  // null: it has none
};

struct Packet {
  // Not `= default`: what a compiler can evaluate it clears with one string instruction, 12 ns of a packet on
  // the machine of docs/performance.md.
  Packet() {}

  // From the IP or ARP header on: all of the packet, or what can be seen of it; at the link to the end of the
  // frame. A copy that nobody else writes to, in which addresses and ports are translated.
  Bytes bytes;
  size_t room = 0;      // behind all of it, by which an announcement may grow
  uint32_t length = 0;  // of the packet, as its header says; of what is none of IP, as the link says
  ConstBytes link;      // the link header; empty where there is none
  const Interface* in = nullptr;
  const Interface* out = nullptr;
  const Interface* bridge = nullptr;  // the switch whose ports those are
  uint8_t type = 0;                   // PACKET_HOST and its like
  uint32_t mark = 0;
  bool damaged = false;     // its transport's checksum is known to be wrong
  bool unfinished = false;  // its transport's checksum is that of the pseudo-header alone (kChecksumNeeded)
  bool unsummed = false;    // it loops: TCP and UDP have no checksum
  bool translated = false;  // its bytes are not those that were read
  // Of the interface that it comes from or goes to, for redirect and masquerade; zeros: it has none.
  std::array<uint8_t, 16> address{};
  bool lacks_room = false;  // an announcement in it would have grown by more
  bool answers = false;     // says why another was refused, which makes it related to that one's flow
  Tracked tracked;

  // What read() finds.
  Realm realm = Realm::ipv4;
  uint16_t ether_type = 0;  // of what the link header is followed by
  bool v6 = false;
  bool has_transport = false;  // protocol, transport and fragment mean something
  uint8_t protocol = 0;
  uint16_t transport = 0;  // bytes to the transport header
  uint16_t fragment = 0;   // not 0: not the first piece of a packet, no transport header is there

  // Finds the headers of what begins at `frame` and cuts off what follows the packet; false where the stack
  // would not take it for IP: another version, cut off, or shorter than its header says.
  bool read(Bytes frame) { return read(frame, frame.size()); }
  // The same where `seen` is the beginning, as much as Engine::needed_bytes(), of `whole` bytes that are
  // there.
  bool read(Bytes seen, size_t whole);
  // An ARP packet of `whole` bytes behind its link header, whatever it says. As on Linux that header counts
  // in what leaves, and cannot be seen.
  void read_arp(Bytes seen, size_t whole, bool leaves);
  // What passes the link: `seen` is the beginning of a frame of `whole` bytes, 14 at least. A header of IP is
  // found where it is sound. As on Linux what leaves is as long as its frame, what comes as what follows its
  // link header.
  void read_frame(Bytes seen, size_t whole, bool leaves);
  // The same at a switch, where on Linux its header never counts.
  void read_bridged(Bytes seen, size_t whole);
  // The same in what rules have written into: what they made of it is nobody's to judge.
  void read_again();

  // NFPROTO_*
  uint8_t nfproto() const;
  // Of a frame that leaves, and of ARP, Linux says that it also came by that kind of link (skb->dev).
  const Interface* came_by() const { return in == nullptr && !is_ip(realm) ? out : in; }

 private:
  void find_transport_v4();
  void find_transport_v6();
  void find_transport_of_frame();
  bool read_v4(Bytes seen, size_t whole);
  bool read_v6(Bytes seen, size_t whole);

  uint32_t behind_link_ = 0;  // bytes of a frame
};

// Bytes from the IPv6 header to the extension header of that type (ipv6_find_hdr() of the kernel); `wanted`
// -1: to the transport header, or what else the chain ends with, whose type then is in `found`.
struct ExtensionHeader {
  uint32_t offset = 0;
  uint16_t fragment = 0;
  uint8_t found = 0;
};
std::optional<ExtensionHeader> find_extension(ConstBytes packet, int wanted);

}  // namespace skerry::filter
