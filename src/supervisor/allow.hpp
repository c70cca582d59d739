// Allow-lists: whom a program may speak to, as people write it after `--allow` and `allow =`, and the rules
// that it becomes. Read first: docs/filter.md, "Allow-lists by name".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "wire/address.hpp"

namespace skerry::supervisor {

struct Machine;
struct Network;
struct Program;

inline constexpr size_t kMaxAllowed = 64;

struct Allow {
  std::string name;                    // in lower case; empty if an address was written, or none
  std::vector<Ipv4Address> addresses;  // that was written, or that hosts(5) of the host has for the name
  uint16_t port = 0;
  bool udp = false;

  friend bool operator==(const Allow&, const Allow&) = default;
  // Who may connect to the program, instead of whom it may.
  bool is_incoming() const { return name.empty() && addresses.empty(); }
};

// "api.example.org:443", "10.77.0.3:5432", "time.example.org:123/udp", ":80". Errors: one sentence.
Result<Allow> parse_allow(std::string_view text);
std::string format_allow(const Allow& allow);  // as it was written

// What is asked of the machine: addresses that its hosts(5) has for names of the allow-list, but for its own
// loopback ones, which are others' in a cell ("127.0.1.1 myhost"); and its name servers, if the program has
// none of its own.
void know_hosts(Program& program, const Machine& machine);

// `members`: who has a name in its network. Without a name of others, no name servers are needed.
void leave_out_idle_servers(Program& program, const std::vector<std::string>& members);

// The names in a network that are no program's: the host's, where there is one.
std::vector<std::string> own_names(const Network& network);

// Empty if the program's allow-list can be kept, else a sentence. `members`: who has a name in its network.
std::string allow_defect(const Program& program, const Network& network,
                         const std::vector<std::string>& members);

// Has rules from its stack's first packet on.
bool has_rules(const Program& program);

// The table of nftables rules that keeps it, in the language of nft(8); empty without an allow-list. Its set
// is filled by the stack.
std::string allow_rules(const Program& program);

}  // namespace skerry::supervisor
