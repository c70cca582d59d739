// The rules of a stack: read from memory that nobody can write any more, checked as a stranger's, and put in
// force between two breaths. Their program has no way here: the memory and the questions come from the
// supervisor.
#pragma once

#include <nlohmann/json.hpp>

#include "base/fd.hpp"
#include "base/result.hpp"
#include "base/siphash.hpp"
#include "stack/filter_hooks.hpp"

namespace skerry {

class Rules {
 public:
  // `secret` keeps strangers from filling one bucket of a set.
  Rules(stack::FilterHooks& hooks, const SipKey& secret) : hooks_(hooks), secret_(secret) {}

  // `memory` holds a netlink batch; empty: no rules. An error leaves in force what was.
  Result<void> load(Fd memory, TimeNs now);

  // As many rows from `first` on as fit into one control message; "more" says that there are others.
  // {"rows":[{"table":"inet web","chain":"in","hook":"input","priority":0,"policy":"drop","packets":3},
  //          {"table":"inet
  //          web","chain":"in","handle":4,"index":0,"packets":7,"ago_ms":20,"comment":"…","tallies":[TALLY]},
  //          {"table":"inet web","kind":"counter","name":"seen","tally":TALLY},
  //          {"table":"inet web","set":"blocked","elements":2}],"more":false}
  // TALLY = {"counter":{"packets":1,"bytes":40}} or {"quota":{"used":10,"bytes":1000}}; a limit has none. A
  // base chain's packets are those that its policy decided on, a rule's those that it held for;
  // "index" is its number among all rules, by chains and in each by rules.
  nlohmann::json table(size_t first, TimeNs now) const;

  // What rules refused or logged, from number `first` on: "next" is where to go on, "missed" how many were
  // forgotten since.
  // {"rows":[{"what":"drop","layer":"filter","hook":"input","ago_ms":3,"packet":"tcp 10.77.0.3:40000
  // > 10.77.0.2:80",
  //           "by":"inet web in handle 4","index":0}],"next":8,"missed":0}; "what" is "drop", "reject" or
  //           "log"
  nlohmann::json events(uint64_t first, TimeNs now) const;

 private:
  stack::FilterHooks& hooks_;
  const SipKey secret_;
  Fd memory_;  // kept, so that who looks at our descriptors finds what was granted
};

}  // namespace skerry
