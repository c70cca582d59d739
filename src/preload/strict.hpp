// `skerry run --strict`: nothing in the cell speaks past this library, and what would is told of.
#pragma once

namespace skerry::preload {

inline constexpr char kStrictEntry[] = "SKERRY_STRICT=1";  // of the environment, from the cell

// From here on SIGSYS, by which the cell's filter stops who asks the kernel for a socket, says from where.
void begin_strict();
bool is_strict();

// False for a program that the library is not loaded into, a static one: the filter would end it at its first
// socket without a word. Then it has been told of, and errno is EACCES. `folder` as for openat(2).
bool may_start(int folder, const char* path);
// The same of a name that is looked for in PATH, as execvp(3) does.
bool may_start_by_name(const char* file);

}  // namespace skerry::preload
