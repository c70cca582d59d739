// Where a user's runtime directory can be. Which place is taken depends on the environment, so whoever must
// keep somebody away from it (cell_view.hpp) has to know them all.
#pragma once

#include <string>
#include <vector>

namespace skerry::supervisor {

// $SKERRY_RUNTIME_DIR, else /run/skerry for root, else $XDG_RUNTIME_DIR/skerry, else /tmp/skerry-UID.
std::string runtime_place();

// Every place, absolute, that a command of this user could take, now or with another environment.
std::vector<std::string> runtime_places();

}  // namespace skerry::supervisor
