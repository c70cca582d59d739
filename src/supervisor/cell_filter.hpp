// The system calls that a program in a cell may not make. Everything else stays allowed: the cell is a wall
// around the network and around Skerry, the kernel's own checks stand for the rest.
//
// Read first: seccomp(2); docs/security.md, "The cell".
#pragma once

#include "base/result.hpp"

namespace skerry::supervisor {

// For the process that is about to execute the program, with no_new_privs set. What is refused fails with an
// errno that programs know (EAFNOSUPPORT, ENOSYS, EPERM), so that they fall back; calls of another
// architecture's table, which the filter cannot read, kill. `strict`: a socket of the Internet is SIGSYS,
// which the preload library explains and which else ends the process.
Result<void> filter_program(bool strict);

}  // namespace skerry::supervisor
