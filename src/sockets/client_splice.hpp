// splice(2) between a pipe and a socket of ours, which the kernel cannot do: below our descriptor lies the
// anchor, which must not hear the program's bytes.
#pragma once

#include "sockets/client_state.hpp"

namespace skerry::sockets::client {

// As splice(2) where one of the descriptors at least is a socket of ours; -errno.
ssize_t splice(int from, bool from_has_offset, int to, bool to_has_offset, size_t bytes, unsigned flags);

}  // namespace skerry::sockets::client
