// The loader against any bytes, the engine against what the loader lets pass, its index against rule after
// rule, what it remembers against what it judges, rules that are called dead against what they hold for, and
// elements that come and go: the first byte is the length of a packet that follows,
// the rest is the netlink batch.
#include "base/check.hpp"
#include "filter/dead_rules.hpp"
#include "filter/engine.hpp"
#include "filter/load.hpp"

namespace {

using namespace skerry::filter;
using skerry::Bytes;

void check_dead(const Engine& engine) {
  for (const DeadRule& dead : find_dead_rules(engine.ruleset())) {
    if (dead.rule != kNone) CHECK(engine.hits(dead.chain, dead.rule).packets == 0);
    for (uint32_t rule = 0; dead.rule == kNone && rule < engine.ruleset().chains[dead.chain].rules.size();
         ++rule)
      CHECK(engine.hits(dead.chain, rule).packets == 0);
  }
}

// Each set is given what the bytes say and loses it again; the ruleset stays one that may be run.
void change_sets(Engine& engine, const std::vector<uint8_t>& bytes) {
  constexpr uint32_t kMostSets = 8;
  for (uint32_t set = 0; set < engine.ruleset().sets.size() && set < kMostSets; ++set) {
    const Set& declared = engine.ruleset().sets[set];
    if (bytes.size() < declared.key_bytes) continue;
    GivenElement given;
    given.key.assign(bytes.begin(), bytes.begin() + declared.key_bytes);
    if (declared.shape != SetShape::exact) given.last.assign(bytes.end() - declared.key_bytes, bytes.end());
    if (declared.maps && !declared.maps_verdict && !declared.maps_object)
      given.data.length = declared.data_bytes;
    if (declared.maps_verdict) given.verdict = {Code::go, 0};
    const bool was_there = !engine.change(set, Change::remove, {&given, 1}, 1000);
    const bool added = !engine.change(set, Change::add, {&given, 1}, 1000);
    // What the text gave may overlap in several dimensions; what is given later may not.
    CHECK(added || !was_there || declared.maps || declared.shape == SetShape::concatenated_ranges);
    if (added) CHECK(!engine.change(set, Change::add, {&given, 1}, 1000));
    if (added) CHECK(!engine.change(set, Change::remove, {&given, 1}, 1000));
    CHECK(!verify(engine.ruleset()));
  }
}

// One port in four has none.
std::optional<Socket> some_socket(const void*, const Tuple& tuple) {
  const uint8_t port = tuple.destination_port[1];
  if (port % 4 == 0) return std::nullopt;
  return Socket{.whole = port % 4 != 1, .any_address = port % 4 == 2};
}

// At the link, in ARP and at a switch too both ways of running rules agree.
template <class Read>
void check_realm(Engine& indexed, Engine& linear, const Interface& network, Hook hook,
                 const std::vector<uint8_t>& frame, const Read& read) {
  std::vector<uint8_t> one = frame, other = frame;
  Packet packet, same;
  packet.in = same.in = &network;
  read(packet, one);
  read(same, other);
  const Judgement judgement = indexed.judge(hook, packet, 1000), expected = linear.judge(hook, same, 1000);
  CHECK(judgement.chain == expected.chain && judgement.rule == expected.rule);
  CHECK(judgement.mark == expected.mark && one == other);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace skerry;
  using namespace skerry::filter;
  if (size < 1) return 0;
  const size_t length = std::min<size_t>(data[0], size - 1);
  std::vector<uint8_t> frame(data + 1, data + 1 + length);
  const std::vector<uint8_t> batch(data + 1 + length, data + size);

  Ruleset ruleset;
  Limits limits{.dynamic_elements = 1024};  // room for more only takes time
  for (const Place place : {Place::stack, Place::vswitch}) {
    limits.place = place;
    const auto refusal = load(batch, ruleset, limits);
    if (!refusal) break;
    CHECK(refusal->error != 0 && !refusal->sentence.empty());
    if (place == Place::vswitch) return 0;
  }
  Engine indexed(ruleset), linear(std::move(ruleset), 0, {}, Engine::Search::linear);
  for (Engine* engine : {&indexed, &linear}) engine->ask_sockets(&some_socket, nullptr);
  indexed.take_over(linear, 0);
  const Interface network = network_interface();
  for (const bool leaves : {false, true}) {
    if (frame.size() < 14) break;
    check_realm(indexed, linear, network, leaves ? Hook::egress : Hook::ingress, frame,
                [&](Packet& packet, Bytes bytes) { packet.read_frame(bytes, bytes.size(), leaves); });
    check_realm(
        indexed, linear, network, leaves ? Hook::output : Hook::input, frame,
        [&](Packet& packet, Bytes bytes) { packet.read_arp(bytes.subspan(14), bytes.size(), leaves); });
  }
  for (const Hook hook : {Hook::prerouting, Hook::forward, Hook::postrouting}) {
    if (frame.size() < 14) break;
    check_realm(indexed, linear, network, hook, frame,
                [&](Packet& packet, Bytes bytes) { packet.read_bridged(bytes, bytes.size()); });
  }
  Packet packet;
  if (!packet.read(frame)) return 0;
  packet.in = &network;
  const std::vector<uint8_t> link(14, 2);
  packet.link = link;
  Packet same = packet;
  std::vector<uint8_t> copy(packet.bytes.begin(), packet.bytes.end());  // rules write into it
  same.bytes = copy;
  for (const Hook hook : {Hook::prerouting, Hook::input, Hook::output, Hook::postrouting}) {
    const Judgement judgement = indexed.judge(hook, packet, 1000), expected = linear.judge(hook, same, 1000);
    CHECK(judgement.accepted == (judgement.chain == kNone));
    CHECK(judgement.chain == expected.chain && judgement.rule == expected.rule);
    CHECK(judgement.mark == expected.mark && judgement.logs == expected.logs);
    CHECK(std::equal(copy.begin(), copy.end(), packet.bytes.begin()));
  }
  for (int round = 0; round < 3; ++round) {
    packet.mark = same.mark = 0;
    const auto look = packet.v6 ? std::nullopt : indexed.look(packet.bytes, false, false, {});
    bool passes = look && indexed.recall(*look, packet.length, 1000);
    if (!passes) {
      indexed.record();
      passes = indexed.judge(Hook::prerouting, packet, 1000).accepted &&
               indexed.judge(Hook::input, packet, 1000).accepted;
      if (passes && look) indexed.remember(*look);
    }
    CHECK(passes == (linear.judge(Hook::prerouting, same, 1000).accepted &&
                     linear.judge(Hook::input, same, 1000).accepted));
  }
  for (uint32_t i = 0; i < linear.ruleset().stateful.size(); ++i)
    CHECK(indexed.tally(i).packets == linear.tally(i).packets &&
          indexed.tally(i).bytes == linear.tally(i).bytes);
  check_dead(linear);
  change_sets(indexed, frame);
  return 0;
}
