// A file of nftables rules to a ruleset: skerry-nftc compiles the text in a process of its own, and what
// comes back is checked here as if a stranger had written it.
#pragma once

#include <string>

#include "base/result.hpp"
#include "filter/ruleset.hpp"

namespace skerry::ctl {

// "-" is standard input. What nft says about the text goes to stderr as nft says it, with the file's name.
// Errors: the file cannot be read, the compiler did not work, or the rules are refused.
Result<filter::Ruleset> compile_rules(const std::string& file);

// The interfaces that a stack has, which rules may name: lo with index 1, eth0 with index 2.
inline constexpr const char* kLoopbackInterface = "lo";
inline constexpr const char* kNetworkInterface = "eth0";

}  // namespace skerry::ctl
