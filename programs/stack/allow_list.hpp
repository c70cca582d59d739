// The allow-list of a stack: the set of its rules in table skerry_allow that nobody changes but the
// supervisor, whose settings say what is in it from the beginning, and the resolver, which adds what allowed
// names lead to. The resolver reads what strangers wrote; so what it says is held against the settings here
// once more.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/result.hpp"
#include "resolver/public_address.hpp"
#include "resolver/words.hpp"
#include "stack/filter_hooks.hpp"

namespace skerry {

struct AllowSettings {
  struct Fixed {
    Ipv4Address address;
    resolver::AllowedPort port;
  };
  std::vector<Fixed> fixed;                     // for ever
  std::vector<resolver::AllowedPort> of_names;  // the only ports for which the resolver may allow addresses
  std::vector<Ipv4Prefix> own;                  // whose addresses it may not

  // "allow" of a stack's settings (supervisor/plan.hpp). Throws what nlohmann::json throws.
  static Result<AllowSettings> from(const nlohmann::json& allow);
};

class AllowList {
 public:
  AllowList(stack::FilterHooks& hooks, AllowSettings settings)
      : hooks_(hooks), settings_(std::move(settings)) {}

  // Whether the ruleset has the set, and chains that drop, either way; one without would allow more, or
  // nothing.
  static bool is_in(const filter::Ruleset& ruleset);
  // The rules are new: what never changes goes in again. What the resolver had added is kept over a reload,
  // also what it adds while one is under way.
  void begin(TimeNs now);
  enum class Granted : uint8_t {
    yes,
    no_room,   // for these addresses; none is in
    too_much,  // more than the settings grant, which alone is in
  };
  Granted allow(const resolver::Allow& allow, TimeNs now);

 private:
  // False: there is no set, or no room in it.
  bool put_in(const std::vector<filter::GivenElement>& given, TimeNs now);

  stack::FilterHooks& hooks_;
  const AllowSettings settings_;
};

}  // namespace skerry
