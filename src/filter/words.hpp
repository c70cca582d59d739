// The words by which people know what a ruleset has: as nft(8) spells them.
#pragma once

#include <string>

#include "filter/ruleset.hpp"

namespace skerry::filter {

const char* family_name(Family family);
const char* hook_name(Hook hook);
const char* kind_name(StatefulKind kind);
// "tcp reset", "icmp code 3"
std::string reject_name(const Reject& reject);
// "warn", of syslog's numbers 0 to 7.
const char* log_level_name(uint32_t level);

// "inet web"
std::string table_name(const Ruleset& ruleset, uint32_t table);
// "in"; "(anonymous)" for one without a name.
std::string chain_name(const Ruleset& ruleset, uint32_t chain);
// "inet web in handle 4 "the resolver"", or with `rule` kNone "inet web in policy", or with `chain` kNone
// "translation": a packet that cannot be translated.
std::string place_name(const Ruleset& ruleset, uint32_t chain, uint32_t rule);

}  // namespace skerry::filter
