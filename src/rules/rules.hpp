// The rules of a process that judges by them, a stack or a switch: read from memory that nobody can write any
// more, checked as a stranger's, and put in force between two breaths. No program has a way here: the memory
// and the questions come from the supervisor.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>

#include "base/fd.hpp"
#include "base/result.hpp"
#include "base/siphash.hpp"
#include "filter/in_force.hpp"
#include "run/control.hpp"
#include "run/slices.hpp"

namespace skerry {

class Rules {
 public:
  // `secret` keeps strangers from filling one bucket of a set.
  Rules(filter::InForce& in_force, filter::Place place, const SipKey& secret, std::function<TimeNs()> clock)
      : in_force_(in_force), place_(place), secret_(secret), slices_(std::move(clock)) {}

  // From now on no rules are loaded that `accept` has an error for, and `begun` is called when others are in
  // force. What they refer to outlives the rules.
  using Accept = std::function<Result<void>(const filter::Ruleset&)>;
  void insist_on(Accept accept, std::function<void(TimeNs)> begun) {
    accept_ = std::move(accept);
    begun_ = std::move(begun);
  }

  // Commands of the control socket that are about rules; each is a function below. Throws what nlohmann::json
  // does at what is missing.
  static bool answers(std::string_view command);
  Result<nlohmann::json> answer(std::string_view command, ControlMessage& request, TimeNs now);

  // `memory` holds a netlink batch; empty: no rules. An error leaves in force what was.
  Result<void> load(Fd memory, TimeNs now);
  // "load_rules": the same in slices, between which packets meet what was. `control` answers when it is done,
  // and whoever asks for something else meanwhile waits.
  Result<nlohmann::json> begin_load(ControlMessage& request, TimeNs now, ControlServer& control);
  Slices& slices() { return slices_; }

  // Elements that come to a set, or go: all of them between two packets, or none. `request`:
  // {"change":"add","table":"inet mine","set":"friends","elements":[ELEMENT…]}; "change" is "add" or
  // "delete", ELEMENT = {"key":"0a4d0003"}, with "last" if it is a range, "timeout_ms" and "expires_ms", and
  // what it maps to: "data", "object", or "verdict" ("accept", "drop", "continue", "return", "jump", "goto")
  // with "chain". Keys and data are hexadecimal, in the order of the registers; the key "*" is that of the
  // element for all others. Throws what nlohmann::json does. Errors: which of these is missing or wrong, or
  // why the set does not take it.
  Result<void> change_elements(const nlohmann::json& request, TimeNs now);

  // What a set is, and as many of its elements from "first" on as fit into one message: {"table":"inet mine",
  // "set":"friends","first":0} is answered by {"declared":{"key_type":7,"key_bytes":4,"ranges":false,
  // "timeout":true,"timeout_ms":60000,"size":100,"counts":[STATEMENT]},"rows":[ELEMENT…],"more":false}. A map
  // has "map", one of "data", with "data_type" and "data_bytes", "verdict", with the "chains" it may lead to,
  // and "object", with its "kind" and the "objects" of that kind. Types are nft's numbers. An ELEMENT also
  // has "expires_ms", and "tallies" of its own. A STATEMENT is what each element counts by:
  // {"kind":"counter"}; "over" says that it holds for more, a limit has "rate", "seconds", "burst" and
  // "of_bytes", a quota "bytes", ct count "connections".
  Result<nlohmann::json> elements(const nlohmann::json& request, TimeNs now) const;

  // As many rows from `first` on as fit into one control message; "more" says that there are others.
  // {"rows":[{"table":"inet web","chain":"in","hook":"input","priority":0,"policy":"drop","packets":3},
  //          {"table":"inet
  //          web","chain":"in","handle":4,"index":0,"packets":7,"ago_ms":20,"comment":"…","tallies":[TALLY]},
  //          {"table":"inet web","kind":"counter","name":"seen","tally":TALLY},
  //          {"table":"inet web","set":"blocked","elements":2}],"more":false}
  // TALLY = {"counter":{"packets":1,"bytes":40}} or {"quota":{"used":10,"bytes":1000,"over":false}}; a limit
  // has none. A base chain's packets are those that its policy decided on, a rule's those that it held for;
  // "index" is its number among all rules, by chains and in each by rules.
  nlohmann::json table(size_t first, TimeNs now) const;

  // Named counters, or quotas, begin again: all of that "kind", those of "table", or the one "name" in it.
  // {"rows":[{"table":"inet web","kind":"counter","name":"seen","tally":TALLY}],"more":false} is what they
  // were; those from "first" on that fit into one message, and no others were touched.
  Result<nlohmann::json> reset(const nlohmann::json& request);

  // What rules refused or logged, and names that were not resolved, from number `first` on: "next" is where
  // to go on, "missed" how many were forgotten since, "names_left_out" how many names ever came too fast to
  // be told.
  // {"rows":[{"what":"drop","layer":"filter","hook":"input","ago_ms":3,"packet":"tcp 10.77.0.3:40000
  // > 10.77.0.2:80",
  //           "by":"inet web in handle 4","index":0}],"next":8,"missed":0,"names_left_out":0}; "what" is
  //           "drop", "reject", "log", which has its prefix as "by", and "level" or "group", or "refuse" of a
  //           name, with "layer" "names". With "bytes":true in the question each has "ago_ns", "length" and
  //           what it begins with, hexadecimal: "bytes", which a name has none of
  nlohmann::json events(const nlohmann::json& request, TimeNs now) const;

  // Packets that `memory` matches, a ruleset of nothing but matches, are followed until nobody asks for three
  // seconds, or another follower comes. {"trace":7}, by which to ask.
  Result<nlohmann::json> begin_trace(const Fd& memory, TimeNs now);
  // {"trace":7,"first":0}: where they went, from step "first" on.
  // {"rows":[{"packet":3,"hook":"input","what":"tcp 10.77.0.3:40000 > 10.77.0.2:80, 60 bytes","by":"inet web
  // in handle 4","index":0,"verdict":"jump allowed"}],"next":8,"missed":0,"passed_over":0}; "missed" steps
  // were forgotten since, "passed_over" packets were not followed because there were more than 1000 in a
  // second. A packet that came by where no chain is has no "by".
  Result<nlohmann::json> trace(const nlohmann::json& request, TimeNs now);

 private:
  Result<void> load(Fd memory, TimeNs now, const Pause& pause);
  // Of what a request names by "table" and "set".
  Result<uint32_t> find_set(const nlohmann::json& request) const;

  filter::InForce& in_force_;
  const filter::Place place_;
  const SipKey secret_;
  Accept accept_;
  std::function<void(TimeNs)> begun_;
  Fd memory_;  // kept, so that who looks at our descriptors finds what was granted
  Fd next_memory_;
  Result<void> loaded_;
  Slices slices_;  // last, because what it does is done to its end
};

}  // namespace skerry
