#include "rules/rules.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "filter/load.hpp"
#include "filter/words.hpp"
#include "rules/rows.hpp"

namespace skerry {
namespace {

using nlohmann::json;

// Nobody can change it while it is read, nor take it away.
bool is_sealed(const Fd& memory) {
  constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
  return (::fcntl(memory.get(), F_GET_SEALS) & kSeals) == kSeals;
}

json chain_row(const filter::Engine& engine, uint32_t index) {
  const filter::Ruleset& ruleset = engine.ruleset();
  const filter::Chain& chain = ruleset.chains[index];
  json row{{"table", filter::table_name(ruleset, chain.table)},
           {"chain", filter::chain_name(ruleset, index)}};
  if (!chain.is_base) return row;
  row["hook"] = filter::hook_name(chain.hook);
  row["priority"] = chain.priority;
  row["policy"] = chain.policy == filter::Policy::accept ? "accept" : "drop";
  row["packets"] = engine.hits(index, filter::kNone).packets;
  return row;
}

json rule_row(const filter::Engine& engine, uint32_t chain, uint32_t index, TimeNs now) {
  const filter::Ruleset& ruleset = engine.ruleset();
  const filter::Rule& rule = ruleset.chains[chain].rules[index];
  const filter::Hits& hits = engine.hits(chain, index);
  json row{{"table", filter::table_name(ruleset, ruleset.chains[chain].table)},
           {"chain", filter::chain_name(ruleset, chain)},
           {"handle", rule.handle},
           {"index", rule_number(ruleset, chain, index)},
           {"packets", hits.packets}};
  if (hits.packets > 0) row["ago_ms"] = (now - hits.last) / kMillisecond;
  if (!rule.comment.empty()) row["comment"] = rule.comment;
  for (const filter::Expression& expression : rule.expressions) {
    const auto* touch = std::get_if<filter::Touch>(&expression.action);
    if (touch == nullptr) continue;
    if (json tally = tally_of(engine, touch->stateful); !tally.is_null())
      row["tallies"].push_back(std::move(tally));
  }
  return row;
}

json object_row(const filter::Engine& engine, const filter::NamedObject& object) {
  const filter::Ruleset& ruleset = engine.ruleset();
  return {{"table", filter::table_name(ruleset, object.table)},
          {"kind", filter::kind_name(ruleset.stateful[object.stateful].kind)},
          {"name", object.name},
          {"tally", tally_of(engine, object.stateful)}};
}

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

json name_row(const filter::Event& event, TimeNs now) {
  return {{"what", "refuse"},
          {"layer", "names"},
          {"ago_ms", (now - event.at) / kMillisecond},
          {"packet", fmt::format("name {}", event.name.data())},
          {"by", why_no_answer(event.name_event)}};
}

json event_row(const filter::Ruleset& ruleset, const filter::Event& event, TimeNs now) {
  if (event.name_event != filter::NameEvent::none) return name_row(event, now);
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

size_t elements_of(const filter::Engine& engine, uint32_t set, TimeNs now) {
  const filter::DynamicSet* const dynamic = engine.dynamic_set(set);
  if (dynamic == nullptr) return engine.ruleset().sets[set].size();
  size_t count = 0;
  dynamic->for_each(now, [&](const uint8_t*, const filter::Element&) { ++count; });
  return count;
}

}  // namespace

// The number of a rule among all, by chains and in each by rules.
size_t rule_number(const filter::Ruleset& ruleset, uint32_t chain, uint32_t rule) {
  size_t index = rule;
  for (uint32_t before = 0; before < chain; ++before) index += ruleset.chains[before].rules.size();
  return index;
}

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

json tally_of(const filter::Engine& engine, uint32_t stateful) {
  const filter::Tally& tally = engine.tally(stateful);
  const filter::Stateful& begins = engine.ruleset().stateful[stateful];
  switch (begins.kind) {
    case filter::StatefulKind::counter:
      return {{"counter", {{"packets", tally.packets}, {"bytes", tally.bytes}}}};
    case filter::StatefulKind::quota:
      return {{"quota", {{"used", tally.consumed}, {"bytes", begins.bytes}, {"over", begins.inverted}}}};
    case filter::StatefulKind::limit:
    case filter::StatefulKind::connections:
    case filter::StatefulKind::helper:
      break;
  }
  return nullptr;
}

Result<filter::Ruleset> read_rules(const Fd& memory, filter::Place place, const Pause& pause) {
  struct stat facts;
  if (!is_sealed(memory) || ::fstat(memory.get(), &facts) != 0)
    return Error{"rules come in memory that is sealed, and this is none"};
  filter::Ruleset ruleset;
  if (const auto bytes = static_cast<size_t>(facts.st_size); bytes > 0) {
    void* const at = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, memory.get(), 0);
    if (at == MAP_FAILED) return Error{"cannot map the rules", errno};
    const auto refusal =
        filter::load({static_cast<const uint8_t*>(at), bytes}, ruleset, {.place = place}, pause);
    ::munmap(at, bytes);
    if (refusal) return Error{"the rules are refused: " + refusal->sentence, refusal->error};
  }
  return ruleset;
}

bool Rules::answers(std::string_view command) {
  constexpr std::string_view kKnown[] = {"rules", "why",         "elements", "change_elements",
                                         "reset", "begin_trace", "trace"};
  return std::find(std::begin(kKnown), std::end(kKnown), command) != std::end(kKnown);
}

Result<json> Rules::answer(std::string_view command, ControlMessage& request, TimeNs now) {
  const json& body = request.body;
  if (command == "rules") return table(body.value("first", size_t{0}), now);
  if (command == "why") return events(body, now);
  if (command == "elements") return elements(body, now);
  if (command == "reset") return reset(body);
  if (command == "trace") return trace(body, now);
  if (command == "begin_trace") {
    if (request.fds.size() != 1) return Error{"begin_trace needs rules in memory"};
    return begin_trace(request.fds.front(), now);
  }
  if (Result<void> done = change_elements(body, now); !done) return done.error();
  return json{{"ok", true}};
}

Result<void> Rules::load(Fd memory, TimeNs now) {
  return load(std::move(memory), now, Pause());
}

Result<void> Rules::load(Fd memory, TimeNs now, const Pause& pause) {
  Result<filter::Ruleset> ruleset = read_rules(memory, place_, pause);
  if (!ruleset) return ruleset.error();
  if (accept_) {
    if (Result<void> accepted = accept_(*ruleset); !accepted) return accepted;
  }
  filter::Engine engine(std::move(*ruleset), now, secret_, filter::Engine::Search::indexed, pause);
  filter::Engine old = in_force_.use(std::move(engine), now, secret_, pause);
  if (begun_) begun_(now);
  memory_ = std::move(memory);
  old.take_apart(pause);
  return {};
}

Result<json> Rules::begin_load(ControlMessage& request, TimeNs now, ControlServer& control) {
  if (request.fds.size() != 1) return Error{"load_rules needs rules in memory"};
  next_memory_ = std::move(request.fds.front());
  const Result<void> begun =
      slices_.begin([this, now](const Pause& pause) { loaded_ = load(std::move(next_memory_), now, pause); },
                    [this, &control] {
                      control.answer_later(loaded_ ? Result(json::object()) : Result<json>(loaded_.error()));
                    });
  if (!begun) return begun.error();
  control.defer();
  return json::object();
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
      json row = event_row(in_force_.engine().ruleset(), events[number], now);
      if (with_bytes) add_bytes(row, events[number], now);
      return row;
    });
  return {{"ok", true},
          {"next", from + rows.rows.size()},
          {"missed", from > first ? from - first : 0},
          {"rows", std::move(rows.rows)}};
}

json Rules::table(size_t first, TimeNs now) const {
  const filter::Engine& engine = in_force_.engine();
  const filter::Ruleset& ruleset = engine.ruleset();
  Rows rows(first);
  for (uint32_t chain = 0; chain < ruleset.chains.size(); ++chain) {
    rows.add([&] { return chain_row(engine, chain); });
    for (uint32_t rule = 0; rule < ruleset.chains[chain].rules.size(); ++rule)
      rows.add([&] { return rule_row(engine, chain, rule, now); });
  }
  for (const filter::NamedObject& object : ruleset.objects)
    rows.add([&] { return object_row(engine, object); });
  for (uint32_t set = 0; set < ruleset.sets.size(); ++set) {
    if (ruleset.sets[set].anonymous) continue;
    rows.add([&] {
      return json{{"table", filter::table_name(ruleset, ruleset.sets[set].table)},
                  {"set", ruleset.sets[set].name},
                  {"elements", elements_of(engine, set, now)}};
    });
  }
  return {{"ok", true}, {"rows", std::move(rows.rows)}, {"more", rows.more}};
}

Result<json> Rules::reset(const json& request) {
  const filter::Engine& engine = in_force_.engine();
  const filter::Ruleset& ruleset = engine.ruleset();
  const auto table = request.value("table", std::string()), name = request.value("name", std::string());
  const auto kind = request.at("kind").get<std::string>();
  if (kind != "counter" && kind != "quota") return Error{"only counters and quotas begin again", EINVAL};
  Rows rows(request.value("first", size_t{0}));
  bool found = name.empty();
  for (const filter::NamedObject& object : ruleset.objects) {
    if (filter::kind_name(ruleset.stateful[object.stateful].kind) != kind) continue;
    if (!table.empty() && filter::table_name(ruleset, object.table) != table) continue;
    if (!name.empty() && object.name != name) continue;
    found = true;
    rows.add([&] {
      json row = object_row(engine, object);
      in_force_.reset(object.stateful);
      return row;
    });
  }
  if (!found) return Error{fmt::format("there is no {} {} in {}", kind, name, table), ENOENT};
  return json{{"ok", true}, {"rows", std::move(rows.rows)}, {"more", rows.more}};
}

}  // namespace skerry
