// One exchange with the stack's listener: a SOCK_SEQPACKET message each way, descriptors by SCM_RIGHTS.
#pragma once

#include "sockets/anchor_protocol.hpp"
#include "sockets/client_state.hpp"

namespace skerry::sockets::client {

uint32_t process_id();

// A new connection to the listener named in `state`, or -errno. The caller closes it.
int connect_anchor();

// Sends (with our pidfd if the request is `attach`) and waits at most some seconds for the reply. False: no
// answer, or one that says no. Received descriptors are the caller's, missing ones stay -1.
bool ask_anchor(int connection, const AnchorRequest& request, AnchorReply& reply, int* received,
                uint32_t received_max);

// Only sends.
bool tell_anchor(int connection, const AnchorRequest& request);

// Whether `fd` is a connection to the listener: what our socket descriptors are.
bool is_anchor(int fd);

}  // namespace skerry::sockets::client
