// The commands that change the sets of a stack at work.
#pragma once

#include "ctl/command.hpp"

namespace skerry::ctl {

// Each adds its subcommand to `filter`.
void add_filter_elements(CLI::App& filter, Outcome& outcome);

}  // namespace skerry::ctl
