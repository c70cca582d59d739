// Who in a plan knows which names, and by allow-lists may speak to whom: brought up to date whenever a
// program has come or gone.
#pragma once

#include "supervisor/plan.hpp"

namespace skerry::supervisor {

// Every stack and launcher of the network knows all names in it.
void tell_hosts(Plan& plan, const Network& network);

// Whom a list means is settled when its program, or its composition, starts: a name that somebody takes later
// changes nothing, nor does one that is given up.
void tell_lists(Plan& plan, const Network& network, const Program& newcomer);

}  // namespace skerry::supervisor
