#include "filter/words.hpp"

#include <iterator>

namespace skerry::filter {

const char* family_name(Family family) {
  switch (family) {
    case Family::inet:
      return "inet";
    case Family::ip:
      return "ip";
    case Family::ip6:
      return "ip6";
    case Family::arp:
      return "arp";
    case Family::netdev:
      return "netdev";
    case Family::bridge:
      return "bridge";
  }
  return "";
}

const char* hook_name(Hook hook) {
  switch (hook) {
    case Hook::prerouting:
      return "prerouting";
    case Hook::input:
      return "input";
    case Hook::forward:
      return "forward";
    case Hook::output:
      return "output";
    case Hook::postrouting:
      return "postrouting";
    case Hook::ingress:
      return "ingress";
    case Hook::egress:
      return "egress";
  }
  return "";
}

const char* kind_name(StatefulKind kind) {
  switch (kind) {
    case StatefulKind::counter:
      return "counter";
    case StatefulKind::limit:
      return "limit";
    case StatefulKind::quota:
      return "quota";
    case StatefulKind::connections:
      return "ct count";
    case StatefulKind::helper:
      return "ct helper";
  }
  return "";
}

std::string reject_name(const Reject& reject) {
  if (reject.kind == RejectKind::tcp_reset) return "tcp reset";
  return (reject.kind == RejectKind::icmpx_unreachable ? "icmpx code " : "icmp code ") +
         std::to_string(reject.code);
}

const char* log_level_name(uint32_t level) {
  constexpr const char* kNames[] = {"emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"};
  return level < std::size(kNames) ? kNames[level] : "";
}

std::string table_name(const Ruleset& ruleset, uint32_t table) {
  return std::string(family_name(ruleset.tables[table].family)) + " " + ruleset.tables[table].name;
}

std::string chain_name(const Ruleset& ruleset, uint32_t chain) {
  const std::string& name = ruleset.chains[chain].name;
  return name.empty() ? "(anonymous)" : name;
}

std::string place_name(const Ruleset& ruleset, uint32_t chain, uint32_t rule) {
  if (chain == kNone) return "translation";
  if (chain == kWritten) return "a header that rules wrote";
  if (chain == kAnnouncement) return "an announcement (ct helper)";
  std::string place = table_name(ruleset, ruleset.chains[chain].table) + " " + chain_name(ruleset, chain);
  if (rule == kNone) return place + " policy";
  const Rule& each = ruleset.chains[chain].rules[rule];
  place += " handle " + std::to_string(each.handle);
  return each.comment.empty() ? place : place + " \"" + each.comment + "\"";
}

}  // namespace skerry::filter
