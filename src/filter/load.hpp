// The door of the filter: bytes of a netlink batch, which nobody vouches for, become a ruleset that the
// engine can run without further checks, or are refused as the kernel would refuse them.
//
// Read first: docs/filter.md, "What is refused".
#pragma once

#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "base/pause.hpp"
#include "filter/ruleset.hpp"

namespace skerry::filter {

// Why a batch is refused: the first reason found, and where it stands.
struct Refusal {
  uint32_t sequence = 0;   // of the message; with `attribute` what nft needs to name line and column
  uint32_t attribute = 0;  // bytes from the message's head
  int error = 0;           // the kernel's errno
  std::string sentence;    // for a person
};

// Where a ruleset is to stand: in a stack, or at a switch, which has chains of family bridge alone.
enum class Place : uint8_t { stack, vswitch };

// What one ruleset may have, and where; more is refused with E2BIG. A rule of 10 000 alike takes some 400
// bytes.
struct Limits {
  size_t batch_bytes = size_t{64} << 20;
  size_t tables = 256;
  size_t chains = 4096;
  size_t rules = 100'000;
  size_t expressions_of_a_rule = 128;
  size_t sets = 100'000;  // anonymous ones included
  size_t elements = 1'000'000;
  size_t dynamic_elements = 262'144;  // that sets have room for which change while packets pass
  size_t stateful = 1'000'000;
  size_t objects = 32'768;  // of these with a name: all of them go on at once when rules change
  Place place = Place::stack;
};

// A batch that is an empty span is the ruleset with nothing in it. `ruleset` is to be empty; after a refusal
// it is so again.
std::optional<Refusal> load(ConstBytes batch, Ruleset& ruleset, const Limits& limits = {},
                            const Pause& pause = {});

// The second half of load(), for rulesets that import made.
std::optional<Refusal> verify(const Ruleset& ruleset, const Pause& pause = {});
std::optional<Refusal> verify_chains(const Ruleset& ruleset, const Pause& pause);  // a part of it

}  // namespace skerry::filter
