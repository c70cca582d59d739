#include "allow_list.hpp"

#include <algorithm>

namespace skerry {
namespace {

resolver::AllowedPort port_from(const nlohmann::json& json) {
  return {json.at("port").get<uint16_t>(), json.at("udp").get<bool>()};
}

// Its number among the sets; kNone if it is not there.
uint32_t find_set(const filter::Ruleset& ruleset) {
  for (uint32_t i = 0; i < ruleset.sets.size(); ++i) {
    const filter::Set& set = ruleset.sets[i];
    const filter::Table& table = ruleset.tables[set.table];
    if (set.name == resolver::kAllowSet && table.name == resolver::kAllowTable &&
        table.family == filter::Family::inet && set.has_timeout && set.key_bytes == resolver::kAllowKeyBytes)
      return i;
  }
  return filter::kNone;
}

// In this direction its table refuses what none of its rules lets pass.
bool refuses_the_rest(const filter::Ruleset& ruleset, uint32_t table, filter::Hook hook) {
  return std::any_of(ruleset.chains.begin(), ruleset.chains.end(), [&](const filter::Chain& chain) {
    return chain.table == table && chain.is_base && chain.type == filter::ChainType::filter &&
           chain.hook == hook && chain.policy == filter::Policy::drop;
  });
}

// `timeout` 0: for ever.
filter::GivenElement element(Ipv4Address address, resolver::AllowedPort port, DurationNs timeout) {
  uint8_t key[resolver::kAllowKeyBytes];
  resolver::write_allow_key(address, port, key);
  return {.key = {std::begin(key), std::end(key)}, .timeout_ns = timeout};
}

}  // namespace

Result<AllowSettings> AllowSettings::from(const nlohmann::json& allow) {
  AllowSettings settings;
  for (const nlohmann::json& entry : allow.at("fixed")) {
    const auto address = parse_ipv4(entry.at("address").get<std::string>());
    if (!address) return Error{"the stack's settings allow an address that is none"};
    settings.fixed.push_back({*address, port_from(entry)});
  }
  for (const nlohmann::json& entry : allow.at("of_names")) settings.of_names.push_back(port_from(entry));
  for (const nlohmann::json& network : allow.at("own")) {
    const auto prefix = parse_ipv4_prefix(network.get<std::string>());
    if (!prefix) return Error{"the stack's settings have a network that is none"};
    settings.own.push_back(*prefix);
  }
  return settings;
}

bool AllowList::is_in(const filter::Ruleset& ruleset) {
  const uint32_t set = find_set(ruleset);
  if (set == filter::kNone) return false;
  const uint32_t table = ruleset.sets[set].table;
  return !ruleset.tables[table].dormant && refuses_the_rest(ruleset, table, filter::Hook::output) &&
         refuses_the_rest(ruleset, table, filter::Hook::input);
}

void AllowList::begin(TimeNs now) {
  std::vector<filter::GivenElement> fixed;
  for (const AllowSettings::Fixed& each : settings_.fixed)
    fixed.push_back(element(each.address, each.port, 0));
  const bool done = put_in(fixed, now);
  static_cast<void>(done);  // a set that somebody made too small, or has filled, lets nobody else through
}

AllowList::Granted AllowList::allow(const resolver::Allow& allow, TimeNs now) {
  const auto& ports = settings_.of_names;
  if (std::find(ports.begin(), ports.end(), allow.port) == ports.end()) return Granted::too_much;
  if (allow.seconds == 0 || allow.seconds > resolver::kAllowedAtMost) return Granted::too_much;
  bool all_public = true;
  std::vector<filter::GivenElement> given;
  for (size_t at = 0; at + 4 <= allow.addresses.size(); at += 4) {
    const Ipv4Address address = load_be32(&allow.addresses[at]);
    if (resolver::is_public(address, settings_.own))
      given.push_back(element(address, allow.port, allow.seconds * kSecond));
    else
      all_public = false;
  }
  const bool found_room = put_in(given, now);
  if (!all_public) return Granted::too_much;
  return found_room ? Granted::yes : Granted::no_room;
}

// The set has another number in other rules, and rules are loaded while we are told things. What somebody
// else allowed for longer, another name or the settings, stays so long.
bool AllowList::put_in(const std::vector<filter::GivenElement>& given, TimeNs now) {
  const uint32_t set = find_set(hooks_.engine().ruleset());
  return set != filter::kNone && !hooks_.change(set, filter::Change::prolong, given, now);
}

}  // namespace skerry
