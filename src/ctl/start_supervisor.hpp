// Starting the supervisor of one plan, and waiting until all of it runs.
#pragma once

#include "ctl/child.hpp"
#include "supervisor/plan.hpp"

namespace skerry::ctl {

// In the background it outlives us and logs into its runtime directory; in the foreground it ends when we do.
// Errors: its own refusal, or what its log says last; nothing is left running then.
// `rules`: compiled, of the plan and of each of its programs that name a filter, in the plan's order.
Result<Child> start_supervisor(const supervisor::Plan& plan, Place place, const std::vector<Fd>& rules = {});

}  // namespace skerry::ctl
