// Every descriptor that a stack is granted besides those of its link, by the name that plan.hpp gives it.
#pragma once

#include <utility>

#include "run/env.hpp"

namespace skerry {

struct Descriptors {
  Fd arena, session, listener, session_wake, session_ring, rules;
  Fd names;  // to the resolver; only of a stack with an allow-list

  static Result<Descriptors> take(Env& env, bool with_names) {
    Descriptors all;
    const std::pair<const char*, Fd*> names[] = {{"arena", &all.arena},
                                                 {"session.region", &all.session},
                                                 {"session.listener", &all.listener},
                                                 {"session.wake", &all.session_wake},
                                                 {"session.ring", &all.session_ring},
                                                 {"rules", &all.rules}};
    for (const auto& [name, place] : names) {
      Result<Fd> fd = env.take(name);
      if (!fd) return fd.error();
      *place = std::move(*fd);
    }
    if (with_names) {
      Result<Fd> fd = env.take("names");
      if (!fd) return fd.error();
      all.names = std::move(*fd);
    }
    return all;
  }
};

}  // namespace skerry
