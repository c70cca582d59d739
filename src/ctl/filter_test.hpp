// `skerry filter test`: the packets of a capture through a ruleset, with no stack and no network.
#pragma once

#include <CLI/CLI.hpp>

#include "ctl/command.hpp"

namespace skerry::ctl {

void add_filter_test(CLI::App& filter, Outcome& outcome);
void add_filter_diff(CLI::App& filter, Outcome& outcome);

}  // namespace skerry::ctl
