// A composition as a picture: what `skerry graph` draws, in the DOT language. Read first: the grammar at
// graphviz.org/doc/info/lang.html.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "supervisor/plan.hpp"

namespace skerry::ctl {

// `processes`: the rows of `ps` if the plan runs, else empty; then nobody is shown as running or dead.
std::string dot_of(const supervisor::Plan& plan, const nlohmann::json& processes);

}  // namespace skerry::ctl
