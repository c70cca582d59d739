// The parts of `skerry filter` that speak with a stack that runs.
#pragma once

#include "ctl/command.hpp"

namespace skerry::ctl {

void add_filter_load(CLI::App& filter, Outcome& outcome);
void add_filter_list(CLI::App& filter, Outcome& outcome);

}  // namespace skerry::ctl
