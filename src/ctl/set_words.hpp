// A set of a stack in nft's words: how it is declared, and what its elements are. Both are made from what the
// stack says of it, and it may say anything.
//
// Read first: nft(8), "SETS", "DATA TYPES".
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/result.hpp"

namespace skerry::ctl {

// `declared` is what the stack answers (rules/rules.hpp). "type ipv4_addr . inet_service;
// flags interval;". Without `maps`, of the set that a map's keys would make. Errors: its type has no name.
Result<std::string> set_body(const nlohmann::json& declared, bool maps = true);

// What each element counts by, of `counts` in such an answer: "limit rate over 5/second burst 5 packets".
// Empty: nft has no word for it.
std::string statement_text(const nlohmann::json& statement);

// All that must be in the same table for elements to name it: "chain web { }".
std::string companions(const nlohmann::json& declared);

// "10.77.0.3 timeout 1m expires 12s", of one of the stack's rows.
std::string element_text(const nlohmann::json& declared, const nlohmann::json& row);

// "1d2h", "12s340ms"
std::string nft_time(uint64_t milliseconds);

}  // namespace skerry::ctl
