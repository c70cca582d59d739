// The cell's init: PID 1 of the cell's PID namespace. It makes the view and the listener, waits for the
// stack, starts the program, and then reaps and passes on signals until the program ends.
//
// Read first: cell.hpp; pid_namespaces(7): when PID 1 ends, the kernel kills everybody else in the namespace.
#pragma once

#include "base/fd.hpp"
#include "supervisor/cell.hpp"

namespace skerry::supervisor {

// In the new namespaces, with all signals taken over. `stops`: an int for each time that the program stopped.
// `launcher`: its pid outside. Returns the exit status of the whole cell.
int run_init(const CellSpec& spec, Fd control, const Fd& signals, Fd stops, pid_t launcher);

}  // namespace skerry::supervisor
