// Requests that need the stack's answer, through the call slots of the session.
#pragma once

#include "sockets/client_state.hpp"

namespace skerry::sockets::client {

struct Request {
  Op op = Op::open;
  uint32_t socket = 0;
  Endpoint endpoint;  // both ways
  uint64_t value[kCallValues] = {};
};

// Asks and waits for the answer, which it stores into endpoint and value. Returns >= 0, or -errno. The stack
// answers at once, so handlers wait for it, as for bind(2) and its like.
int call(Request& request);

// Asks without waiting: for Op::close, whose answer nobody needs.
void post(const Request& request);

// Until all that was posted is done.
void wait_for_posted();

// After exec: what an older image of this process posted is answered by now, or will be soon; nobody else
// frees it.
void reclaim_calls();

// In the child of a fork: what was posted is the parent's.
void forget_posted();

}  // namespace skerry::sockets::client
