// What a Skerry process does to itself once it holds all that it needs: it gives up everything else, for
// good. The supervisor decides what a process is given (descriptors); this decides what it can do with the
// rest of the kernel, which is close to nothing.
//
// Read first: docs/security.md, "What is enforced where".
//
// Invariant: after confine() the process has an empty root directory, an empty network namespace, no
// capability, no way to gain any, and only the system calls of its breath. A call outside that list kills the
// process; the supervisor sees SIGSYS and says so.
#pragma once

#include "base/result.hpp"

namespace skerry {

// Which system calls the process still makes: each kind has its own list in confine.cpp.
enum class Confinement {
  vswitch,       // links and the control socket
  driver,        // the same, and read and write of an opened device
  driver_afxdp,  // the same, and the counters of an AF_XDP socket
  stack,         // the same, and the session: accepts its program's processes and watches their lives
  resolver,      // datagrams to whom its sockets are connected already: no call that takes another address
  compiler,      // text in, bytes out: like a vswitch, and what looks for files is told that there are none
};

// Call once, single-threaded, after set-up and before the first byte of a neighbour is looked at. Needs
// unprivileged user namespaces (or root) and Landlock, both in Linux 6.1 as Debian ships it. In a build with
// sanitizers only no_new_privs is set, because their run time needs /proc and more.
// Errors: one sentence; the process must end then.
Result<void> confine(Confinement kind);

// True if this build confines in full; the tests of the walls are skipped where it does not.
bool confinement_is_complete();

}  // namespace skerry
