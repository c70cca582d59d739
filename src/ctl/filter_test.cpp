#include "ctl/filter_test.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "ctl/capture_file.hpp"
#include "ctl/compile.hpp"
#include "ctl/table.hpp"
#include "filter/engine.hpp"
#include "filter/words.hpp"
#include "wire/ethernet.hpp"

namespace skerry::ctl {

namespace {

using filter::Engine;
using filter::Hook;
using filter::Judgement;
using nlohmann::json;

struct TestOptions {
  std::string rules;
  std::string capture;
  std::vector<std::string> addresses;
  bool as_json = false;
};

// What the dry run makes of one packet of the capture.
struct Fate {
  enum class Kind { accepted, dropped, foreign, not_ip } kind = Kind::accepted;
  Judgement judgement;
  Hook hook{};                      // the last that it met
  std::vector<uint8_t> translated;  // the packet as it is behind the rules, if it is another than it was
};

// The stack in whose place the rules are tried.
class Bench {
 public:
  Bench(filter::Ruleset ruleset, TimeNs begin, std::vector<std::vector<uint8_t>> addresses)
      : engine_(std::move(ruleset), begin), now_(begin), addresses_(std::move(addresses)) {
    if (!engine_.tracks()) return;
    conntrack_ = std::make_unique<filter::Conntrack>(SipKey{});
    engine_.track_with(conntrack_.get());
  }

  Fate pass(const CapturedPacket& captured) {
    now_ = std::max(now_, captured.at);
    filter::Packet packet;
    std::vector<uint8_t> copy(captured.bytes.begin(), captured.bytes.end());
    Bytes bytes = copy;
    if (captured.link == CaptureLink::ethernet) {
      if (bytes.size() < kEthernetBytes) return {Fate::Kind::not_ip, {}};
      const uint16_t type = load_be16(bytes.data() + 12);
      if (type != 0x0800 && type != 0x86dd) return {Fate::Kind::not_ip, {}};
      packet.link = bytes.first(kEthernetBytes);
      bytes = bytes.subspan(kEthernetBytes);
      if ((packet.link[0] & 1) != 0) packet.type = kMulticast;
      if (std::count(packet.link.begin(), packet.link.begin() + 6, 0xff) == 6) packet.type = kBroadcast;
    }
    if (!packet.read(bytes)) return {Fate::Kind::not_ip, {}};
    const bool leaves = is_ours(packet, false) && !addresses_.empty();
    if (!addresses_.empty() && !leaves && !is_ours(packet, true)) return {Fate::Kind::foreign, {}};
    if (leaves) packet.type = kHost;
    packet.address = own_address(packet);
    Fate fate{};
    for (const Hook hook :
         leaves ? std::array{Hook::output, Hook::postrouting} : std::array{Hook::prerouting, Hook::input}) {
      packet.in = leaves ? nullptr : &network_;
      packet.out = leaves ? &network_ : nullptr;
      fate.hook = hook;
      fate.judgement = engine_.judge(hook, packet, now_);
      if (!fate.judgement.accepted) {
        fate.kind = Fate::Kind::dropped;
        break;
      }
    }
    if (packet.translated) fate.translated.assign(packet.bytes.begin(), packet.bytes.end());
    return fate;
  }
  const Engine& engine() const { return engine_; }
  TimeNs now() const { return now_; }

 private:
  static constexpr size_t kEthernetBytes = EthernetHeader::kBytes;
  static constexpr uint8_t kHost = 0, kBroadcast = 1, kMulticast = 2;  // PACKET_*

  bool is_ours(const filter::Packet& packet, bool destination) const {
    const size_t size = packet.v6 ? 16 : 4;
    const ConstBytes address = packet.bytes.subspan((packet.v6 ? 8U : 12U) + (destination ? size : 0), size);
    for (const std::vector<uint8_t>& ours : addresses_) {
      if (std::equal(ours.begin(), ours.end(), address.begin(), address.end())) return true;
    }
    return false;
  }

  // What redirect and masquerade translate to: the first that was given; where all packets are for the stack,
  // what they are sent to.
  std::array<uint8_t, 16> own_address(const filter::Packet& packet) const {
    std::array<uint8_t, 16> address{};
    const size_t size = packet.v6 ? 16 : 4;
    const auto first = std::find_if(addresses_.begin(), addresses_.end(),
                                    [&](const auto& ours) { return ours.size() == size; });
    if (first != addresses_.end()) std::copy(first->begin(), first->end(), address.begin());
    if (addresses_.empty()) std::copy_n(&packet.bytes[packet.v6 ? 24 : 16], size, address.begin());
    return address;
  }

  Engine engine_;
  std::unique_ptr<filter::Conntrack> conntrack_;  // if rules ask about connections
  TimeNs now_;  // of the latest packet: captures are not always in order, time is
  std::vector<std::vector<uint8_t>> addresses_;
  filter::Interface network_ = filter::network_interface();
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

const char* kind_name(Fate::Kind kind) {
  switch (kind) {
    case Fate::Kind::accepted:
      return "accept";
    case Fate::Kind::dropped:
      return "drop";
    case Fate::Kind::foreign:
      return "foreign";
    case Fate::Kind::not_ip:
      return "not ip";
  }
  return "";
}

void print_json(const Bench& bench, const std::vector<Fate>& fates) {
  const filter::Ruleset& ruleset = bench.engine().ruleset();
  json packets = json::array(), objects = json::array();
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
  for (const filter::NamedObject& object : ruleset.objects)
    objects.push_back({{"table", filter::table_name(ruleset, object.table)},
                       {"name", object.name},
                       {"tally", tally_json(bench.engine(), object.stateful)}});
  const json all{{"packets", packets},
                 {"rules", rules_json(bench.engine())},
                 {"elements", elements_json(bench.engine(), bench.now())},
                 {"objects", objects}};
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

Result<std::vector<uint8_t>> read_file(const std::string& path) {
  std::error_code error;
  const bool plain = std::filesystem::is_regular_file(path, error);
  std::ifstream stream(path, std::ios::binary);
  if (!plain || !stream)
    return Error{fmt::format("cannot read {}: {}", path, plain ? std::strerror(errno) : "it is no file")};
  return std::vector<uint8_t>(std::istreambuf_iterator<char>(stream), {});
}

Result<std::vector<std::vector<uint8_t>>> parse_addresses(const std::vector<std::string>& texts) {
  std::vector<std::vector<uint8_t>> addresses;
  for (const std::string& text : texts) {
    std::vector<uint8_t> bytes(16);
    if (::inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) {
      bytes.resize(4);
    } else if (::inet_pton(AF_INET6, text.c_str(), bytes.data()) != 1) {
      return Error{fmt::format("\"{}\" is no address: write 10.77.0.2 or fd00::2", text)};
    }
    addresses.push_back(std::move(bytes));
  }
  return addresses;
}

Outcome test(const TestOptions& options) {
  const Result<std::vector<std::vector<uint8_t>>> addresses = parse_addresses(options.addresses);
  if (!addresses) return failed(addresses.error());
  const Result<std::vector<uint8_t>> file = read_file(options.capture);
  if (!file) return failed(file.error());
  const Result<std::vector<CapturedPacket>> packets = read_capture(*file);
  if (!packets) return failed(Error{fmt::format("{}: {}", options.capture, packets.error().message)});
  Result<CompiledRules> rules = compile_rules(options.rules);
  if (!rules) return failed(rules.error());
  Bench bench(std::move(rules->ruleset), packets->empty() ? 0 : packets->front().at, *addresses);
  std::vector<Fate> fates;
  for (const CapturedPacket& packet : *packets) fates.push_back(bench.pass(packet));
  if (options.as_json)
    print_json(bench, fates);
  else
    print_table(bench, fates);
  return {};
}

}  // namespace

void add_filter_test(CLI::App& filter, Outcome& outcome) {
  CLI::App* command = filter.add_subcommand(
      "test", "Run a capture through a file of rules and say what becomes of its packets");
  auto options = std::make_shared<TestOptions>();
  command->add_option("rules", options->rules, "rules as `nft -f` reads them")->required();
  command->add_option("--pcap", options->capture, "capture to read, pcap or pcapng")->required();
  command->add_option(
      "--address", options->addresses,
      "the stack's address: packets from it meet output and postrouting, packets to it prerouting and "
      "input, others nothing (default: all arrive)");
  command->add_flag("--json", options->as_json, "each packet's verdict, then all counters, as JSON");
  command->footer(
      "Nothing is sent and nothing changes. Limits and timeouts count in the capture's own time.\n"
      "Example: skerry filter test web.nft --pcap redis.pcapng --address 10.77.0.2");
  command->callback([&outcome, options] { outcome = test(*options); });
}

}  // namespace skerry::ctl
