// A ruleset as values: what a netlink batch says, with every name resolved to an index. Made by import,
// judged by verify, run by the engine; immutable once loaded.
//
// Read first: docs/filter.md. Words are nf_tables' own (nft(8)).
//
// Invariant: after verify() every index lies within the vector that it points into, every register within the
// sixteen, and every expression reads only what an earlier one of its rule wrote.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/pause.hpp"

namespace skerry::filter {

inline constexpr uint32_t kNone = UINT32_MAX;
// No chain: what rules have written into a packet; what it announces (`ct helper`).
inline constexpr uint32_t kWritten = kNone - 1, kAnnouncement = kNone - 2;

enum class Family : uint8_t { inet = 1, ip = 2, arp = 3, netdev = 5, bridge = 7, ip6 = 10 };  // NFPROTO_*
// NF_INET_*, which those of ARP and of a switch share, and behind them those of a link.
enum class Hook : uint8_t { prerouting, input, forward, output, postrouting, ingress, egress };
inline constexpr unsigned kHooks = 7;
// What a hook shows to chains: packets of one protocol, or whatever passes the link, or a switch.
enum class Realm : uint8_t { ipv4, ipv6, arp, link, bridge };
inline constexpr unsigned kRealms = 5;
constexpr bool is_ip(Realm realm) {
  return realm <= Realm::ipv6;
}
constexpr Realm realm_of(bool v6) {
  return v6 ? Realm::ipv6 : Realm::ipv4;
}
// Whether chains of such a table see what passes there.
constexpr bool sees(Family family, Realm realm) {
  switch (family) {
    case Family::inet:
      return is_ip(realm);
    case Family::ip:
      return realm == Realm::ipv4;
    case Family::ip6:
      return realm == Realm::ipv6;
    case Family::arp:
      return realm == Realm::arp;
    case Family::netdev:
      return realm == Realm::link;
    case Family::bridge:
      return realm == Realm::bridge;
  }
  return false;
}
// Whether connections are known where chains of such a table stand: they see packets of IP and nothing else.
constexpr bool knows_flows(Family family) {
  return sees(family, Realm::ipv4) || sees(family, Realm::ipv6);
}

// Where something stands in the batch, for sentences.
struct Origin {
  uint32_t sequence = 0;   // of its message
  uint32_t attribute = 0;  // bytes from the message's head to the attribute
};

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

// What a counter, limit, quota or number of connections begins with and is given.
// connections: how many flows that are open have met it; helper: reads what they announce (FTP).
enum class StatefulKind : uint8_t { counter, limit, quota, connections, helper };
struct Stateful {
  StatefulKind kind = StatefulKind::counter;
  bool inverted = false;
  bool in_bytes = false;  // a limit's
  uint32_t burst = 0;     // a limit's
  uint64_t rate = 0;      // a limit's, in packets or bytes for each period
  uint64_t period_ns = 0;
  uint64_t bytes = 0;           // counted so far, or a quota's
  uint64_t packets = 0;         // counted so far
  uint64_t consumed = 0;        // of a quota
  uint32_t connections = 0;     // that are allowed
  std::array<bool, 2> helps{};  // by v6: whose connections a helper reads

  friend bool operator==(const Stateful&, const Stateful&) = default;
};
inline bool counts_connections(const Stateful& stateful) {
  return stateful.kind == StatefulKind::connections;
}
inline bool count_connections(const std::vector<Stateful>& all) {
  return std::any_of(all.begin(), all.end(), counts_connections);
}

struct LogText {
  std::string prefix;
  uint32_t level = 4;  // LOG_WARNING, as the kernel fills in
  uint32_t group = kNone;
};

struct Rule {
  std::vector<Expression> expressions;
  std::string comment;
  uint64_t handle = 0;
  Origin origin;
};

enum class Policy : uint8_t { drop, accept };
enum class ChainType : uint8_t { filter, nat };
struct Chain {
  std::string name;  // empty: one that belongs to the one rule that jumps to it
  uint32_t table = kNone;
  uint64_t handle = 0;
  bool is_base = false;
  ChainType type{};
  Hook hook{};
  int32_t priority = 0;
  Policy policy = Policy::accept;
  bool counted = false;  // of a base chain: how often its policy decided
  uint32_t stateful = kNone;
  std::vector<Rule> rules;
  Origin origin;
};

struct Element {
  uint32_t key = 0;      // bytes into Set::keys
  uint32_t key_end = 0;  // of a range its last key, which is one of it
  bool catchall = false;
  bool gone = false;               // it was taken out; its place is in Set::free
  bool added = false;              // by the control side, not by the text
  Verdict verdict;                 // of a verdict map
  Value data;                      // of a map
  uint32_t stateful = kNone;       // of an object map
  std::vector<uint32_t> counters;  // Stateful of its own, in order
  bool counts = true;              // false: it has none, although others of its set have
  uint64_t timeout_ns = 0;         // 0: it stays
  uint64_t expires_ns = 0;         // how much of that is left at the beginning; 0: all
};

enum class SetShape : uint8_t { exact, interval, concatenated_ranges };
struct Set {
  Set() = default;
  Set(const Set&) = default;
  Set(Set&&) noexcept = default;  // a deque does not promise it, and a vector that grows would copy them
  Set& operator=(const Set&) = default;
  Set& operator=(Set&&) = default;

  std::string name;
  uint32_t table = kNone;
  uint64_t handle = 0;
  bool anonymous = false;
  bool constant = false;
  bool maps = false, maps_verdict = false, maps_object = false;
  SetShape shape = SetShape::exact;
  uint8_t key_bytes = 0;
  uint8_t data_bytes = 0;                // of a map to values
  uint32_t key_type = 0, data_type = 0;  // nft's numbers of types: for people, nothing here believes them
  StatefulKind object_kind{};
  uint32_t most_elements = 0;  // 0: no limit but ours
  bool dynamic = false;        // rules may add to it, or its elements have a time
  bool has_timeout = false;
  bool takes_expressions = false;  // rules may give an element a counter, a limit or a quota
  uint64_t timeout_ns = 0;         // of an element that is given none; 0: it stays
  std::vector<uint8_t> fields;     // bytes of each, of a concatenation
  // Each element stays where it is. In the text's order; but those of sets without concatenations are sorted.
  // What comes later takes the places and keys of those that have gone first.
  std::deque<Element> elements;
  std::vector<uint8_t> keys;
  std::vector<uint32_t> free, free_keys;
  std::vector<uint32_t> targets;                      // chains that a verdict map leads to; sorted
  std::vector<uint32_t> leading;                      // how many elements lead to each of them
  std::vector<Stateful> element_expressions;          // what each element gets one of
  bool declares_expressions = false;                  // by the set itself, else by the rules that add to it
  bool added_to = false;                              // by a rule so far
  std::vector<std::vector<uint32_t>> spare_counters;  // of elements that were taken out
  Origin origin;

  size_t size() const { return elements.size() - free.size(); }
};

struct NamedObject {
  std::string name;
  uint32_t table = kNone;
  uint64_t handle = 0;
  uint32_t stateful = kNone;
};

struct Table {
  std::string name;
  Family family{};
  bool dormant = false;
  uint64_t handle = 0;
};

// Chains, sets and objects name their table by index. A base chain's place among equals is its index.
struct Ruleset {
  std::vector<Table> tables;
  std::vector<Chain> chains;
  std::vector<Set> sets;
  std::vector<NamedObject> objects;  // in the order of their `stateful`
  std::vector<Stateful> stateful;
  std::vector<LogText> logs;
  uint32_t number_states = 0;
};

// What the destructor would do, in pieces; nothing is in it then.
void take_apart(Ruleset& ruleset, const Pause& pause);

}  // namespace skerry::filter
