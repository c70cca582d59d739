// res_send(3) over the program's own stack: a question that the program wrote itself goes to the name servers
// that its resolver state names, in glibc's order and with its time-outs (resolv/res_send.c).
#pragma once

#include <resolv.h>

#include "base/bytes.hpp"

namespace skerry::preload {

using ResolverState = struct __res_state;  // libc has a function of that name, too

// The length of the answer, of which as much as there is room for has been stored; or -1 and errno:
// ECONNREFUSED where there is no server, ETIMEDOUT where none gave an answer that is one. Servers that have
// IPv6 addresses alone are passed over.
int send_question(const ResolverState& state, ConstBytes question, Bytes answer);

}  // namespace skerry::preload
