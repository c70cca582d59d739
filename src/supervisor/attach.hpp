// Programs that come by `skerry run` instead of by a file: the plan of a network that nobody wrote down, and
// the checks of a request to join a running plan.
#pragma once

#include <optional>
#include <string>

#include "base/result.hpp"
#include "supervisor/control_protocol.hpp"
#include "supervisor/machine.hpp"
#include "supervisor/plan.hpp"

namespace skerry::supervisor {

inline constexpr std::string_view kDefaultNetwork = "default";

// A plan of one empty network of that name, 10.77.0.0/16 unless `subnet` says otherwise. With a TAP uplink
// the first of 10.77.0.0/16 to 10.127.0.0/16 that the host is not in. `first_core`: that of the program which
// is to be the first in it, if its user chose one. Errors: one sentence.
Result<Plan> default_plan(const std::string& name, const UplinkName& uplink,
                          const std::optional<Subnet>& subnet, std::optional<unsigned> first_core,
                          const Machine& machine);

// The program that the request asks for, ready for add_program. Errors: one sentence that says what to write
// instead.
Result<Program> admit(const RunRequest& request, const Plan& plan, const Machine& machine);

}  // namespace skerry::supervisor
