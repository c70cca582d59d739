// Can this file run on a stack of its own? The door is a preloaded library, so a program that the dynamic
// linker does not start, or starts in its secure mode, would find no network at all.
//
// Read first: ld.so(8), "Secure-execution mode"; elf(5), PT_INTERP.
#pragma once

#include <string>

#include "base/result.hpp"

namespace skerry::supervisor {

// Follows "#!" to the interpreter, as execve does. Errors: one sentence that names the file and says why it
// is refused: missing (system_error ENOENT), not executable (EACCES), setuid, setgid, with file capabilities,
// statically linked, made by Go, or built for another machine (ENOEXEC).
Result<void> check_program_file(const std::string& path);

}  // namespace skerry::supervisor
