// What a rule is made of, as values: nf_tables' expressions with what each is given, and the registers and
// verdicts with which one works for the next.
//
// Read first: docs/filter.md. Words are nf_tables' own (nft(8)); what each does is in vm.hpp.
//
// Invariant: after verify() every register lies within the sixteen, and every expression reads only what an
// earlier one of its rule wrote.
#pragma once

#include <array>
#include <cstdint>
#include <variant>

#include "filter/hooks.hpp"

namespace skerry::filter {

inline constexpr uint32_t kNone = UINT32_MAX;

enum class Code : int32_t { drop = 0, accept = 1, next = -1, stop_rule = -2, jump = -3, go = -4, back = -5 };
struct Verdict {
  Code code = Code::next;
  uint32_t chain = kNone;  // of jump and go
};

// A value of at most one 16-byte register.
struct Value {
  std::array<uint8_t, 16> bytes{};
  uint8_t length = 0;
};

// Registers are counted in words of 32 bits, 0 to 15.
using Register = uint8_t;
inline constexpr unsigned kRegisters = 16;
inline constexpr unsigned kRegisterBytes = 4 * kRegisters;  // of all together

struct LoadImmediate {
  Register to;
  Value value;
};
struct Decide {
  Verdict verdict;
};
enum class Comparison : uint8_t { equal, not_equal, less, less_equal, greater, greater_equal };
struct Compare {
  Register from;
  Comparison comparison;
  Value value;
};
struct InRange {
  Register from;
  bool inverted;
  Value low, high;
};
enum class HeaderBase : uint8_t { link, network, transport, inner };
struct LoadPayload {
  Register to;
  HeaderBase base;
  uint8_t length;
  uint16_t offset;
};
// Checksums that cover what is written change with it.
struct StorePayload {
  Register from;
  HeaderBase base;  // network or transport
  uint8_t length, offset;
  bool sums;  // a checksum of the same header, at sum_offset
  uint8_t sum_offset;
  bool sums_transport;  // that of the transport header, whose pseudo-header this belongs to
};
// One of `modulus` numbers from `offset` on.
struct NumberRange {
  uint32_t modulus, offset;
};
struct NextNumber {
  Register to;
  NumberRange range;
  bool random;     // else one after the other
  uint32_t state;  // of Ruleset::number_states
};
struct HashRegisters {
  Register to, from;
  uint8_t length;
  NumberRange range;
  uint32_t seed;
  uint32_t state;  // kNone: the seed is given, else it is drawn
};
// The same for both directions of a flow.
struct HashFlow {
  Register to;
  NumberRange range;
};
enum class ExtensionKind : uint8_t { ipv6, tcp, ipv4 };
struct LoadExtension {
  Register to;
  ExtensionKind kind;
  uint8_t type, offset, length;
  bool only_present;
};
enum class MetaKey : uint8_t {  // NFT_META_*
  length = 0,
  protocol = 1,
  mark = 3,
  iif = 4,
  oif = 5,
  iifname = 6,
  oifname = 7,
  iiftype = 8,
  oiftype = 9,
  nfproto = 15,
  l4proto = 16,
  ibrname = 17,
  obrname = 18,
  pkttype = 19,
};
struct LoadMeta {
  Register to;
  MetaKey key;
};
enum class SocketKey : uint8_t { transparent, mark, wildcard };  // NFT_SOCKET_*
struct LoadSocket {
  Register to;
  SocketKey key;
};
struct StoreMark {
  Register from;
};
enum class CtKey : uint8_t {  // NFT_CT_*
  state = 0,
  direction = 1,
  status = 2,
  mark = 3,
  expiration = 5,
  helper = 6,  // of the connection that announced it
  l3protocol = 7,
  source = 8,
  destination = 9,
  protocol = 10,
  source_port = 11,
  destination_port = 12,
  labels = 13,
  packets = 14,
  bytes = 15,
  packet_bytes = 16,  // on average
  zone = 17,
  source_v4 = 19,
  destination_v4 = 20,
  source_v6 = 21,
  destination_v6 = 22,
};
struct LoadCt {
  Register to;
  CtKey key;
  bool reply;  // of the two sides: of who answers
  bool both;   // of the two directions together
};
struct StoreCt {
  Register from;
  CtKey key;  // mark; labels, which are added to those that are set; or zone, before the packet is tracked
};
struct Untrack {};
// Where a new flow's packets are to go, or to seem to come from (conntrack_nat.cpp). What is not given stays.
enum class NatKind : uint8_t { snat, dnat, masquerade, redirect };
struct Translate {
  NatKind kind;
  Family family;  // packets of; inet: of both
  bool has_address, has_port;
  bool prefix;      // of the address only the bits that both ends of the range share are new
  bool random;      // the port is drawn, also where that of the packet is free
  bool persistent;  // the address depends on the packet's source alone
  Register address_low, address_high, port_low, port_high;
};
struct Mask {
  Register from, to;
  Value mask, flip;
};  // to = (from & mask) ^ flip
struct Shift {
  Register from, to;
  uint8_t length, bits;
  bool left;
};
struct SwapBytes {
  Register from, to;
  uint8_t length, size;
};
struct Lookup {
  uint32_t set;
  Register from, to;
  bool to_register, to_verdict, inverted;
};
struct Touch {
  uint32_t stateful;
};  // counter, limit or quota, also a named one
struct TouchMapped {
  uint32_t set;
  Register from;
};  // the named one that a map has for a key
enum class SetUpdate : uint8_t { add, renew, remove };
struct UpdateSet {
  uint32_t set;
  SetUpdate update;
  Register key, data;
  bool has_data, inverted;
  uint64_t timeout_ns;  // 0: the set's
};
struct Log {
  uint32_t log;
};
enum class RejectKind : uint8_t { icmp_unreachable, tcp_reset, icmpx_unreachable };
struct Reject {
  RejectKind kind;
  uint8_t code;
};

using Action = std::variant<LoadImmediate, Decide, Compare, InRange, LoadPayload, StorePayload, NextNumber,
                            HashRegisters, HashFlow, LoadExtension, LoadMeta, LoadSocket, StoreMark, LoadCt,
                            StoreCt, Untrack, Translate, Mask, Shift, SwapBytes, Lookup, Touch, TouchMapped,
                            UpdateSet, Log, Reject>;
struct Expression {
  Action action;
  uint32_t attribute = 0;  // its Origin's; the sequence is the rule's
};

}  // namespace skerry::filter
