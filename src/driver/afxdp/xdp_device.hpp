// Takes an interface for AF_XDP: the part of the driver that needs CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF.
// The supervisor does it and passes descriptors; the driver process never has the right. Read first: the
// kernel's Documentation/networking/af_xdp.rst, and bpf(2).
//
// The interface is taken whole: every frame that arrives goes to the driver's sockets and none to the host's
// own stack, also while no driver is there; so nothing of a network leaks into the host when its driver dies.
//
// Invariant: nothing outlives its descriptors. The program is attached by a bpf_link, promiscuity belongs to
// a socket; when their last holder ends, in whatever way, the interface is the host's again. That is also why
// this speaks to the kernel itself: libxdp attaches by netlink and pins in a file system, and both stay.
#pragma once

#include <string>

#include "base/fd.hpp"
#include "base/result.hpp"

namespace skerry {

// How many sockets it takes to hear all of the interface: one a receive queue. 0: there is no such interface.
unsigned receive_queues(const std::string& interface);

// The bridge or bond that the interface is a member of; empty if it is of none.
std::string master_of(const std::string& interface);

struct XdpDevice {
  Fd sockets_by_queue;  // BPF map: an AF_XDP socket put at N (bind_xdp_socket does it) gets what queue N
                        // receives
  Fd attachment;        // the program's bpf_link
  Fd promiscuity;       // so that a NIC passes frames for the stacks' addresses, which are not its own
};

// In the caller's network namespace; native mode where the interface's driver has it, else generic. Errors:
// EPERM without the capabilities, EBUSY if the interface has an XDP program already.
Result<XdpDevice> take_interface(const std::string& interface);

// An AF_XDP socket that is not bound yet. It stays in the caller's network namespace wherever it is passed
// to.
Result<Fd> open_xdp_socket();

}  // namespace skerry
