// What a program in its cell sees of the file system: the host's files, but none of the doors that lead past
// the cell. Those are Skerry's own control sockets, the sockets of host services, the devices, and the
// kernel's own switches under /proc and /sys.
//
// Read first: mount_namespaces(7); docs/security.md, "The cell".
//
// Invariant: everything happens in the mount namespace of the caller, which must be its own; whoever is asked
// to make a view has checked that (cell.cpp makes it with the namespace).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace skerry::supervisor {

struct CellView {
  std::vector<std::string> shares;              // absolute host paths that stay visible, whatever hides them
  std::vector<std::string> hidden_sockets;      // from listening_sockets(), asked outside the cell
  std::vector<std::string> hidden_directories;  // whatever is shared: nobody inside may see or fill them
  std::map<std::string, std::string> hosts;     // name → address, added to /etc/hosts
  std::string resolver;           // IPv4 address of the only name server; empty: those of the host
  std::string working_directory;  // absolute; entered last, so that it lies inside the view
};

// Paths of the Unix sockets that processes of this network namespace listen on, as /proc/net/unix tells them.
std::vector<std::string> listening_sockets();

// Changes what the calling process and its children see. Needs CAP_SYS_ADMIN over the mount namespace.
// Errors: one sentence; the process must not go on then.
Result<void> make_view(const CellView& view);

}  // namespace skerry::supervisor
