// What `ps`, `top` and `rights` show, as the replies of control_protocol.hpp: made from what runs, not from
// what was planned, wherever the two could differ.
#pragma once

#include <nlohmann/json.hpp>

#include "base/time.hpp"
#include "supervisor/supervisor.hpp"

namespace skerry::supervisor {

nlohmann::json processes_view(const Supervisor& supervisor, TimeNs now);
nlohmann::json counters_view(const Supervisor& supervisor, TimeNs now);
// The rows of rights_to_json(), each with "pid" (-1 if it does not run) and "inode" of the open file behind
// the descriptor, so that anybody can hold them against /proc/PID/fd.
nlohmann::json rights_view(const Supervisor& supervisor);

}  // namespace skerry::supervisor
