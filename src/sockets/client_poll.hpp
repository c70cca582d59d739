// poll(2) and select(2) over any mixture of descriptors, as long as one is ours.
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/select.h>

#include "sockets/client_state.hpp"

namespace skerry::sockets::client {

// Whether any is ours; if not, the call belongs to the kernel as it is.
bool has_ours(const pollfd* fds, nfds_t count);
bool has_ours(int count, const fd_set* read, const fd_set* write, const fd_set* except);

// `timeout_ns` kNever waits for ever, 0 does not wait; `mask` may be null. Result as poll(2), or -errno.
int wait_poll(pollfd* fds, nfds_t count, DurationNs timeout_ns, const sigset_t* mask);
// The same, of as many as RLIMIT_NOFILE does not allow to poll(2) too.
int wait_any_number(pollfd* fds, nfds_t count, DurationNs timeout_ns, const sigset_t* mask);
// The sets are rewritten as by select(2).
int wait_select(int count, fd_set* read, fd_set* write, fd_set* except, DurationNs timeout_ns,
                const sigset_t* mask);

}  // namespace skerry::sockets::client
