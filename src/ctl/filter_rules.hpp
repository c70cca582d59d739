// The parts of `skerry filter` that speak with a stack or switch that runs.
#pragma once

#include "ctl/command.hpp"
#include "ctl/rules_asked.hpp"

namespace skerry::ctl {

void add_filter_load(CLI::App& filter, Outcome& outcome);
void add_filter_list(CLI::App& filter, Outcome& outcome);
void add_filter_trace(CLI::App& filter, Outcome& outcome);
void add_filter_reset(CLI::App& filter, Outcome& outcome);

// `named` is what follows the stack: {"set", "inet", "mine", "friends"}.
Outcome list_set(const WhoseRules& whose, const std::vector<std::string>& named, bool as_json);

}  // namespace skerry::ctl
