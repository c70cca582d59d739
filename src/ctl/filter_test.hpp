// `skerry filter test`: the packets of a capture through a ruleset, with no stack and no network.
#pragma once

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "ctl/command.hpp"
#include "filter/engine.hpp"

namespace skerry::ctl {

void add_filter_test(CLI::App& filter, Outcome& outcome);
void add_filter_diff(CLI::App& filter, Outcome& outcome);

// What rules have counted: {"rules":[…],"elements":[…],"objects":[…]}.
nlohmann::json counted_json(const filter::Engine& engine, TimeNs now);

}  // namespace skerry::ctl
