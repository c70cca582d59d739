// Which stack is meant by a command that speaks with one.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "supervisor/control_socket.hpp"

namespace skerry::ctl {

struct StackAsked {
  supervisor::ControlClient client;  // of the supervisor that runs it
  std::string program;
  std::string allow_rules;  // that hold beside any others; empty if it has no allow-list
};

// `name` is the program's, as "redis", or the stack's, as "redis.stack"; `net` names the composition, and may
// be empty if only one runs. Errors: what there is instead.
Result<StackAsked> find_stack(const std::string& name, const std::string& net);

// One question about that stack's rules (programs/stack/rules.hpp), one answer.
Result<nlohmann::json> ask_filter(StackAsked& asked, nlohmann::json question, std::span<const int> fds = {});
// The same again and again, until all its rows are there; "rows" of the answer has them all.
Result<nlohmann::json> ask_for_all(StackAsked& asked, nlohmann::json question);

}  // namespace skerry::ctl
