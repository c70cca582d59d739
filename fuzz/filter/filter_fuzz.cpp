// The loader against any bytes, the engine against what the loader lets pass, its index against rule after
// rule, and what it remembers against what it judges: the first byte is the length of a packet that follows,
// the rest is the netlink batch.
#include "base/check.hpp"
#include "filter/engine.hpp"
#include "filter/load.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace skerry;
  using namespace skerry::filter;
  if (size < 1) return 0;
  const size_t length = std::min<size_t>(data[0], size - 1);
  std::vector<uint8_t> frame(data + 1, data + 1 + length);
  const std::vector<uint8_t> batch(data + 1 + length, data + size);

  Ruleset ruleset;
  const Limits limits{.dynamic_elements = 1024};  // room for more only takes time
  if (const auto refusal = load(batch, ruleset, limits)) {
    CHECK(refusal->error != 0 && !refusal->sentence.empty());
    return 0;
  }
  Engine indexed(ruleset), linear(std::move(ruleset), 0, {}, Engine::Search::linear);
  indexed.take_over(linear, 0);
  Packet packet;
  if (!packet.read(frame)) return 0;
  const Interface network{.index = 2, .type = 1, .name = {'e', 't', 'h', '0'}};
  packet.in = &network;
  const std::vector<uint8_t> link(14, 2);
  packet.link = link;
  Packet same = packet;
  for (const Hook hook : {Hook::prerouting, Hook::input, Hook::output, Hook::postrouting}) {
    const Judgement judgement = indexed.judge(hook, packet, 1000), expected = linear.judge(hook, same, 1000);
    CHECK(judgement.accepted == (judgement.chain == kNone));
    CHECK(judgement.chain == expected.chain && judgement.rule == expected.rule);
    CHECK(judgement.mark == expected.mark && judgement.logs == expected.logs);
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
  return 0;
}
