// Which stack is meant by a command that speaks with one.
#pragma once

#include <string>

#include "supervisor/control_socket.hpp"

namespace skerry::ctl {

struct StackAsked {
  supervisor::ControlClient client;  // of the supervisor that runs it
  std::string program;
};

// `name` is the program's, as "redis", or the stack's, as "redis.stack"; `net` names the composition, and may
// be empty if only one runs. Errors: what there is instead.
Result<StackAsked> find_stack(const std::string& name, const std::string& net);

}  // namespace skerry::ctl
