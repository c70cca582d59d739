// The parts of `skerry filter` that speak with a stack that runs.
#pragma once

#include "ctl/command.hpp"

namespace skerry::ctl {

void add_filter_load(CLI::App& filter, Outcome& outcome);
void add_filter_list(CLI::App& filter, Outcome& outcome);
void add_filter_trace(CLI::App& filter, Outcome& outcome);
void add_filter_reset(CLI::App& filter, Outcome& outcome);

// `named` is what follows the stack: {"set", "inet", "mine", "friends"}.
Outcome list_set(const std::string& stack, const std::string& net, const std::vector<std::string>& named,
                 bool as_json);

}  // namespace skerry::ctl
