// A composition: the text (TOML 1.0) that says what runs, joined how, on which cores. It is checked whole
// before anything starts; docs/composition.md describes every key.
//
// Invariant: a reading has mistakes, or a plan for which check_plan() finds nothing; never both.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "supervisor/machine.hpp"
#include "supervisor/mistakes.hpp"
#include "supervisor/plan.hpp"

namespace skerry::supervisor {

struct Reading {
  Plan plan;
  std::vector<Mistake> mistakes;
};

// `path` names the file in sentences; relative paths in the text are relative to its directory.
Reading read_composition(std::string_view text, const std::string& path, const Machine& machine);

// Reads the file. The error is what a person sees: every mistake on a line of its own.
Result<Plan> load_composition(const std::string& path, const Machine& machine);

// Bounds that a composition and `skerry run` share.
inline constexpr uint32_t kMinSockets = 64, kMaxSockets = 65536;                   // and a multiple of 64
inline constexpr uint32_t kMinStreamBytes = 16 << 10, kMaxStreamBytes = 16 << 20;  // and a power of two
inline constexpr size_t kMaxNetworkName = 12;  // "sk-" and the name fit in an interface name (IFNAMSIZ)
inline constexpr size_t kMaxProgramName = 31;

// Empty if `name` can name a program or network, else the rest of the sentence `the name "x" …`.
std::string name_defect(std::string_view name, size_t longest);
// Empty if the address can be a program's in that network, else the rest of the sentence `address a.b.c.d …`.
std::string address_defect(Ipv4Address address, const Network& network);
// Empty if what it publishes can be published beside what the others do, else a sentence.
std::string publish_defect(const Program& program, const Network& network,
                           const std::vector<Program>& others);
// Gives the network that uplink. Empty if it can be had here, else one sentence that says what to write
// instead.
std::string choose_uplink(Network& network, const UplinkName& uplink, const Machine& machine);
// Empty if no interface of the host is in the subnet that a TAP uplink would make the host's too, or that
// passt could not reach any more.
std::string uplink_defect(const Network& network, const Machine& machine);

}  // namespace skerry::supervisor
