// The memory that the supervisor made for a stack, mapped for good: the arena, which is the stack's alone,
// and the session, which it shares with its program. Both are as large as the settings need, or the stack
// does not start.
#pragma once

#include "base/bytes.hpp"
#include "base/fd.hpp"
#include "base/result.hpp"
#include "settings.hpp"
#include "sockets/session_view.hpp"
#include "tcp/tcp.hpp"

namespace skerry {

struct GrantedMemory {
  Bytes arena;
  sockets::SessionView session;

  static Result<GrantedMemory> map(const Fd& arena, const Fd& session, const StackSettings& settings);
};

// What the arena has room for.
tcp::Limits limits(const StackSettings& settings);
// Where in the session the streams of TCP lie.
tcp::Streams streams_of(const sockets::SessionView& view);

}  // namespace skerry
