// What rules refused or logged, and the names that were not resolved, in words.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "filter/words.hpp"
#include "rules/rows.hpp"
#include "rules/rules.hpp"

namespace skerry {
namespace {

using nlohmann::json;

const char* why_no_answer(filter::NameEvent what) {
  switch (what) {
    case filter::NameEvent::not_public:
      return "it leads to no address of the Internet";
    case filter::NameEvent::unanswered:
      return "no name server has an answer";
    case filter::NameEvent::no_room:
      return "the allow-list has no room for its addresses";
    case filter::NameEvent::none:
    case filter::NameEvent::not_allowed:
      return "it is not on the allow-list";
  }
  return "";
}

json name_row(const filter::Event& event, std::string_view name, TimeNs now) {
  return {{"what", "refuse"},
          {"layer", "names"},
          {"ago_ms", (now - event.at) / kMillisecond},
          {"packet", fmt::format("name {}", name)},
          {"by", why_no_answer(event.name_event)}};
}

json event_row(const filter::Ruleset& ruleset, const filter::Event& event, TimeNs now) {
  const bool logged = event.log != filter::kNone;
  json row{
      {"what", logged           ? "log"
               : event.rejected ? "reject"
                                : "drop"},
      {"layer", "filter"},
      {"hook", filter::hook_name(event.hook)},
      {"ago_ms", (now - event.at) / kMillisecond},
      {"packet", packet_text(event)},
      {"by", logged ? ruleset.logs[event.log].prefix : filter::place_name(ruleset, event.chain, event.rule)}};
  if (logged && ruleset.logs[event.log].group != filter::kNone)
    row["group"] = ruleset.logs[event.log].group;
  else if (logged)
    row["level"] = filter::log_level_name(ruleset.logs[event.log].level);
  if (!logged && event.rule != filter::kNone) row["index"] = rule_number(ruleset, event.chain, event.rule);
  return row;
}

void add_bytes(json& row, const filter::Event& event, TimeNs now) {
  row["ago_ns"] = now - event.at;
  row["length"] = event.length;
  row["bytes"] = fmt::format("{:02x}", fmt::join(event.bytes.begin(), event.bytes.begin() + event.kept, ""));
}

}  // namespace

std::string packet_text(const filter::Event& event) {
  const auto address = [&](Ipv4Address a, uint16_t port) {
    const std::string text = fmt::format("{}.{}.{}.{}", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
    return port == 0 ? text : fmt::format("{}:{}", text, port);
  };
  if (event.kind == filter::Event::Kind::arp)
    return fmt::format("arp {} {} > {}, {} bytes", event.operation == 1 ? "request" : "reply",
                       address(event.source, 0), address(event.destination, 0), event.length);
  if (event.kind == filter::Event::Kind::frame)
    return fmt::format("frame {:02x} > {:02x}, type {:#06x}, {} bytes", fmt::join(event.from.bytes, ":"),
                       fmt::join(event.to.bytes, ":"), event.ether_type, event.length);
  const std::string protocol = event.protocol == 6    ? "tcp"
                               : event.protocol == 17 ? "udp"
                               : event.protocol == 1  ? "icmp"
                                                      : fmt::format("protocol {}", event.protocol);
  return fmt::format("{} {} > {}, {} bytes", protocol, address(event.source, event.source_port),
                     address(event.destination, event.destination_port), event.length);
}

json Rules::events(const json& request, TimeNs now) const {
  const filter::Events& events = in_force_.events();
  const auto first = request.value("first", uint64_t{0});
  const bool with_bytes = request.value("bytes", false);
  // Numbers that never were are those of a process that is no more: what this one remembers is all news.
  const uint64_t from = first > events.next() ? events.first() : std::max(first, events.first());
  Rows rows(0);
  uint64_t number = from;
  for (; number < events.next() && !rows.more; ++number)
    rows.add([&] {
      json row = events[number].name_event != filter::NameEvent::none
                     ? name_row(events[number], events.name(number), now)
                     : event_row(in_force_.engine().ruleset(), events[number], now);
      if (with_bytes) add_bytes(row, events[number], now);
      return row;
    });
  return {{"ok", true},
          {"next", from + rows.rows.size()},
          {"missed", from > first ? from - first : 0},
          {"names_left_out", events.names_left_out()},
          {"rows", std::move(rows.rows)}};
}

}  // namespace skerry
