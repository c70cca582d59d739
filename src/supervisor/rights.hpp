// Who may touch what: the table that `skerry rights` prints. It is read off the plan's grants and nothing
// else, so it cannot promise what the supervisor does not do.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "supervisor/plan.hpp"

namespace skerry::supervisor {

struct Right {
  std::string process;
  std::string kind;         // of the process
  int number = 0;           // of the descriptor in the process
  std::string fd;           // its name there
  std::string what;         // "region lan.redis.region"
  std::string shared_with;  // "lan.vswitch"; "" if nobody
  std::string access;       // "read", "write", "read-write"
};

// In the order of the plan: processes, then descriptors 0 to 3, then grants.
std::vector<Right> rights(const Plan& plan);

nlohmann::json rights_to_json(const std::vector<Right>& table);
Result<std::vector<Right>> rights_from_json(const nlohmann::json& rows);

}  // namespace skerry::supervisor
