#include "ctl/filter_test.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "ctl/compile.hpp"
#include "ctl/filter_bench.hpp"
#include "ctl/table.hpp"
#include "filter/words.hpp"
#include "wire/ethernet.hpp"

namespace skerry::ctl {

namespace {

using filter::Engine;
using nlohmann::json;

struct TestOptions {
  std::string rules;
  std::string capture;
  std::string passed;  // where to write what passes, or empty
  std::vector<std::string> addresses;
  bool as_json = false;
};

std::string hex(ConstBytes bytes) {
  std::string digits;
  for (const uint8_t byte : bytes) digits += fmt::format("{:02x}", byte);
  return digits;
}

json tally_json(const Engine& engine, uint32_t stateful) {
  const filter::Tally& tally = engine.tally(stateful);
  const filter::Stateful& begins = engine.ruleset().stateful[stateful];
  switch (begins.kind) {
    case filter::StatefulKind::counter:
      return {{"packets", tally.packets}, {"bytes", tally.bytes}};
    case filter::StatefulKind::quota:
      return {{"used", std::min(tally.consumed, begins.bytes)}};
    case filter::StatefulKind::limit:
    case filter::StatefulKind::connections:
    case filter::StatefulKind::helper:
      break;
  }
  return nullptr;
}

// What has a name is listed with it and not with the rules that use it.
json rules_json(const Engine& engine) {
  const filter::Ruleset& ruleset = engine.ruleset();
  std::vector<bool> named(ruleset.stateful.size());
  for (const filter::NamedObject& object : ruleset.objects) named[object.stateful] = true;
  json all = json::array();
  for (const filter::Chain& chain : ruleset.chains) {
    for (const filter::Rule& rule : chain.rules) {
      json tallies = json::array();
      for (const filter::Expression& expression : rule.expressions) {
        const auto* touch = std::get_if<filter::Touch>(&expression.action);
        if (touch != nullptr && !named[touch->stateful])
          tallies.push_back(tally_json(engine, touch->stateful));
      }
      all.push_back({{"table", filter::table_name(ruleset, chain.table)},
                     {"chain", chain.name},
                     {"handle", rule.handle},
                     {"comment", rule.comment},
                     {"tallies", tallies}});
    }
  }
  return all;
}

// Of sets that change all elements, of others those that count.
json elements_json(const Engine& engine, TimeNs now) {
  const filter::Ruleset& ruleset = engine.ruleset();
  json all = json::array();
  for (uint32_t i = 0; i < ruleset.sets.size(); ++i) {
    const filter::Set& set = ruleset.sets[i];
    const auto list = [&](const uint8_t* key, const filter::Element& element) {
      json tallies = json::array();
      if (element.counts)
        for (const uint32_t own : element.counters) tallies.push_back(tally_json(engine, own));
      all.push_back({{"table", filter::table_name(ruleset, set.table)},
                     {"set", set.name},
                     {"handle", set.handle},
                     {"key", element.catchall ? std::string() : hex({key, set.key_bytes})},
                     {"tallies", tallies}});
    };
    if (const filter::DynamicSet* dynamic = engine.dynamic_set(i)) {
      dynamic->for_each(now, list);
      continue;
    }
    for (const filter::Element& element : set.elements)
      if (!element.counters.empty()) list(set.keys.data() + element.key, element);
  }
  return all;
}

void print_json(const Bench& bench, const std::vector<Fate>& fates) {
  const filter::Ruleset& ruleset = bench.engine().ruleset();
  json packets = json::array();
  for (const Fate& fate : fates) {
    json packet{{"verdict", kind_name(fate.kind)}, {"mark", fate.judgement.mark}};
    if (fate.kind == Fate::Kind::dropped) {
      packet["by"] = filter::place_name(ruleset, fate.judgement.chain, fate.judgement.rule);
      packet["hook"] = filter::hook_name(fate.hook);
    }
    if (!fate.translated.empty()) packet["translated"] = hex(fate.translated);
    if (fate.judgement.reject) packet["reject"] = true;
    for (unsigned i = 0; i < fate.judgement.logs; ++i)
      packet["log"].push_back(ruleset.logs[fate.judgement.logged[i]].prefix);
    packets.push_back(std::move(packet));
  }
  json all = counted_json(bench.engine(), bench.now());
  all["packets"] = std::move(packets);
  fmt::print("{}\n", all.dump(-1, ' ', false, json::error_handler_t::replace));
}

void print_table(const Bench& bench, const std::vector<Fate>& fates) {
  const filter::Ruleset& ruleset = bench.engine().ruleset();
  std::vector<std::pair<std::string, size_t>> counts;
  for (const Fate& fate : fates) {
    const bool dropped = fate.kind == Fate::Kind::dropped;
    std::string name =
        dropped ? fmt::format("{} by {}", fate.judgement.reject ? "reject" : "drop",
                              filter::place_name(ruleset, fate.judgement.chain, fate.judgement.rule))
                : kind_name(fate.kind);
    const auto known =
        std::find_if(counts.begin(), counts.end(), [&](const auto& each) { return each.first == name; });
    if (known == counts.end())
      counts.emplace_back(std::move(name), 1);
    else
      ++known->second;
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, count] : counts) rows.push_back({fmt::format("{}", count), name});
  fmt::print("{}", format_table({{"PACKETS", true}, {"FATE"}}, rows));
}

// What passes, as it is behind the rules, and what is not judged because it is no IP and no rules see more.
Result<void> write_passed(const std::string& path, const Capture& capture, const std::vector<Fate>& fates) {
  std::vector<std::vector<uint8_t>> rewritten(fates.size());
  std::vector<CapturedPacket> passed;
  for (size_t i = 0; i < fates.size(); ++i) {
    if (fates[i].kind != Fate::Kind::accepted && fates[i].kind != Fate::Kind::not_ip) continue;
    passed.push_back(capture.packets[i]);
    if (fates[i].translated.empty()) continue;
    // Around the packet what was around it: its link header, and what followed.
    const ConstBytes whole = capture.packets[i].bytes;
    const size_t begin = capture.packets[i].link == CaptureLink::ethernet ? EthernetHeader::kBytes : 0;
    rewritten[i].assign(whole.begin(), whole.end());
    rewritten[i].resize(std::max(whole.size(), begin + fates[i].translated.size()));
    std::copy(fates[i].translated.begin(), fates[i].translated.end(), rewritten[i].begin() + begin);
    passed.back().bytes = rewritten[i];
    passed.back().original_bytes =
        std::max(passed.back().original_bytes, static_cast<uint32_t>(rewritten[i].size()));
  }
  const Result<std::vector<uint8_t>> file = write_pcap(passed);
  if (!file) return Error{fmt::format("cannot write {}: {}", path, file.error().message)};
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream.write(reinterpret_cast<const char*>(file->data()), static_cast<std::streamsize>(file->size()));
  stream.close();
  if (!stream) return Error{fmt::format("cannot write {}: {}", path, std::strerror(errno)), errno};
  return {};
}

Outcome test(const TestOptions& options) {
  const Result<std::vector<std::vector<uint8_t>>> addresses = parse_addresses(options.addresses);
  if (!addresses) return failed(addresses.error());
  const Result<Capture> capture = open_capture(options.capture);
  if (!capture) return failed(capture.error());
  Result<CompiledRules> rules = compile_first_rules(options.rules);
  if (!rules) return failed(rules.error());
  Bench bench(std::move(rules->ruleset), capture->begin(), *addresses);
  std::vector<Fate> fates;
  for (const CapturedPacket& packet : capture->packets) fates.push_back(bench.pass(packet));
  if (options.as_json)
    print_json(bench, fates);
  else
    print_table(bench, fates);
  if (options.passed.empty()) return {};
  const Result<void> written = write_passed(options.passed, *capture, fates);
  return written ? Outcome{} : failed(written.error());
}

}  // namespace

json counted_json(const Engine& engine, TimeNs now) {
  const filter::Ruleset& ruleset = engine.ruleset();
  json objects = json::array();
  for (const filter::NamedObject& object : ruleset.objects)
    objects.push_back({{"table", filter::table_name(ruleset, object.table)},
                       {"name", object.name},
                       {"tally", tally_json(engine, object.stateful)}});
  return {{"rules", rules_json(engine)},
          {"elements", elements_json(engine, now)},
          {"objects", std::move(objects)}};
}

void add_filter_test(CLI::App& filter, Outcome& outcome) {
  CLI::App* command = filter.add_subcommand(
      "test", "Run a capture through a file of rules and say what becomes of its packets");
  auto options = std::make_shared<TestOptions>();
  command->add_option("rules", options->rules, "rules as `nft -f` reads them")->required();
  command->add_option("--pcap", options->capture, "capture to read, pcap or pcapng")->required();
  command->add_option("--address", options->addresses,
                      "the stack's address or MAC: packets from it meet output, postrouting and egress, "
                      "packets to it ingress, "
                      "prerouting and input, others of IP nothing (default: all arrive)");
  command->add_option(
      "--pcap-out", options->passed,
      "pcap file to write: what passes, as it is behind the rules, and what they say nothing of");
  command->add_flag("--json", options->as_json, "each packet's verdict, then all counters, as JSON");
  command->footer(
      "Nothing is sent and nothing changes. Limits and timeouts count in the capture's own time.\n"
      "Example: skerry filter test web.nft --pcap redis.pcapng --address 10.77.0.2");
  command->callback([&outcome, options] { outcome = test(*options); });
}

}  // namespace skerry::ctl
