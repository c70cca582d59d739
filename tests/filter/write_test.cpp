// What rules write into packets. That every byte is the kernel's is for tests/programs/filter_kernel_test.py.
#include <gtest/gtest.h>

#include "base/check.hpp"
#include "filter/checksum_change.hpp"
#include "filter/engine.hpp"
#include "filter/load.hpp"
#include "filter/write_batch.hpp"

namespace skerry::filter {
namespace {

constexpr uint32_t kNetwork = 1, kTransport = 2;

Engine engine_of(const Octets& rules, Engine::Search search = Engine::Search::indexed) {
  Ruleset ruleset;
  const auto refused = load(batch(table(), base_chain(), rules), ruleset);
  EXPECT_FALSE(refused) << refused->sentence;
  return Engine(std::move(ruleset), 0, {}, search);
}
int error_of(const Octets& expressions) {
  Ruleset ruleset;
  const auto refused = load(batch(table(), base_chain(), rule("in", expressions)), ruleset);
  return refused ? refused->error : 0;
}

// TCP to port 80, both checksums right.
Octets segment() {
  Octets bytes = {0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2};
  bytes.resize(40);
  store_be16(bytes.data() + 20, 4000);
  store_be16(bytes.data() + 22, 80);
  bytes[32] = 5 << 4;
  store_be16(bytes.data() + 10, static_cast<uint16_t>(~fold(sum_of(ConstBytes(bytes).first(20)))));
  const uint32_t covered = sum_of(ConstBytes(bytes).subspan(12)) + 6 + 20;
  store_be16(bytes.data() + 36, static_cast<uint16_t>(~fold(covered)));
  return bytes;
}
bool sums_are_right(const Octets& bytes) {
  const bool header = fold(sum_of(ConstBytes(bytes).first(20))) == 0xffff;
  return header && fold(sum_of(ConstBytes(bytes).subspan(12)) + 6 + 20) == 0xffff;
}
Packet pass(Engine& engine, Octets& bytes, Packet packet = {}) {
  CHECK(packet.read(bytes));
  CHECK(engine.judge(Hook::input, packet, 0).accepted);
  return packet;
}

TEST(Write, ChangesThePacketAndItsChecksums) {
  Engine engine = engine_of(rule("in", join(write(kNetwork, 12, {172, 16, 0, 9}, kAddressSums),
                                            write(kTransport, 2, {0x1f, 0x90}, kTcpSum),
                                            write(kNetwork, 8, {9, 6}, {.type = 1, .offset = 10}))));
  Octets bytes = segment();
  ASSERT_TRUE(sums_are_right(bytes));
  EXPECT_TRUE(pass(engine, bytes).translated);
  EXPECT_EQ(load_be32(bytes.data() + 12), 0xac100009U);
  EXPECT_EQ(load_be16(bytes.data() + 22), 8080);
  EXPECT_EQ(bytes[8], 9);
  EXPECT_TRUE(sums_are_right(bytes));
}

TEST(Write, LeavesWhatIsNotThereAlone) {
  Octets bytes = segment();
  const Octets before = bytes;
  Engine beyond = engine_of(rule("in", join(write(kTransport, 19, {1, 2}), counter())));
  EXPECT_FALSE(pass(beyond, bytes).translated);
  EXPECT_EQ(beyond.tally(0).packets, 0U) << "the rule ends";
  store_be16(bytes.data() + 6, 5);
  Engine port = engine_of(rule("in", join(write(kTransport, 2, {1, 2}), counter())));
  EXPECT_FALSE(pass(port, bytes).translated) << "a later piece has no ports";
  store_be16(bytes.data() + 6, 0);
  EXPECT_EQ(bytes, before);
}

// A sum that the link finishes covers what is written by itself; of the pseudo-header it is told.
TEST(Write, KeepsASumUnfinished) {
  Octets bytes = segment();
  const uint32_t pseudo = sum_of(ConstBytes(bytes).subspan(12, 8)) + 6 + 20;
  store_be16(bytes.data() + 36, fold(pseudo));
  Engine engine = engine_of(rule("in", join(write(kTransport, 2, {0x1f, 0x90}, kTcpSum),
                                            write(kNetwork, 12, {172, 16, 0, 9}, kAddressSums))));
  Packet packet;
  packet.unfinished = true;
  pass(engine, bytes, packet);
  const uint32_t now = sum_of(ConstBytes(bytes).subspan(12, 8)) + 6 + 20;
  EXPECT_EQ(load_be16(bytes.data() + 36), fold(now));
}

// The index looks again at what a rule wrote, also behind a jump.
TEST(Write, IsSeenByTheRulesBehind) {
  for (const bool jumps : {false, true}) {
    const Octets set = write(kTransport, 2, {0, 7});
    Octets rules =
        jumps ? join(chain("sub"), rule("sub", set), rule("in", verdict(-3, "sub"))) : rule("in", set);
    for (uint8_t port = 1; port <= 8; ++port)
      rules = join(rules, rule("in", join(payload(kTransport, 2, 2), cmp(0, {0, port}), counter())));
    Engine engine = engine_of(rules);
    Octets bytes = segment();
    bytes[23] = 3;
    pass(engine, bytes);
    for (uint32_t i = 0; i < 8; ++i) EXPECT_EQ(engine.tally(i).packets, i == 6 ? 1U : 0U) << i;
  }
}

// As each base chain of the kernel does.
TEST(Write, OfAnotherProtocolMakesItOneForTheNextBaseChain) {
  const Octets l4proto = expression("meta", join(number(nft::kMetaTo, 1), number(nft::kMetaKey, 16)));
  Engine engine =
      engine_of(join(rule("in", join(write(kNetwork, 9, {17}), l4proto, cmp(0, {6}), counter())),
                     chain("later", hook(1, 5)), rule("later", join(l4proto, cmp(0, {17}), counter()))));
  Octets bytes = segment();
  pass(engine, bytes);
  EXPECT_EQ(engine.tally(0).packets, 1U);
  EXPECT_EQ(engine.tally(1).packets, 1U);
}

TEST(Write, OfAnotherProtocolMakesItOneForTheNextHook) {
  const Octets l4proto = expression("meta", join(number(nft::kMetaTo, 1), number(nft::kMetaKey, 16)));
  Engine engine = engine_of(join(chain("early", hook(0)), rule("early", write(kNetwork, 9, {17})),
                                 rule("in", join(l4proto, cmp(0, {17}), counter()))));
  Octets bytes = segment();
  Packet packet;
  ASSERT_TRUE(packet.read(bytes));
  ASSERT_TRUE(engine.judge(Hook::prerouting, packet, 0).accepted);
  ASSERT_TRUE(engine.judge(Hook::input, packet, 0).accepted);
  EXPECT_EQ(engine.tally(0).packets, 1U);
}

TEST(Write, NeedsAsMuchOfAPacketAsItWritesAndSums) {
  EXPECT_EQ(engine_of(rule("in", write(kTransport, 100, {1, 2}))).needed_bytes(), 162U);
  EXPECT_EQ(engine_of(rule("in", write(kTransport, 2, {1, 2}, {.type = 1, .offset = 200}))).needed_bytes(),
            262U);
}

TEST(Write, RefusesWhatTheKernelRefuses) {
  EXPECT_EQ(error_of(write(0, 6, {1, 2})), EOPNOTSUPP) << "nobody would see it";
  EXPECT_EQ(error_of(write(3, 6, {1, 2})), EOPNOTSUPP);
  EXPECT_EQ(error_of(write(kNetwork, 256, {1, 2})), ERANGE);
  EXPECT_EQ(error_of(write(kTransport, 0, {1, 2}, {.type = 2, .offset = 8})), EOPNOTSUPP) << "SCTP";
  EXPECT_EQ(error_of(write(kTransport, 0, {1, 2}, {.type = 3})), EOPNOTSUPP);
  EXPECT_EQ(error_of(write(kTransport, 0, {1, 2}, {.type = 1, .offset = 256})), ERANGE);
  EXPECT_EQ(error_of(write(kNetwork, 0, {1, 2}, {.flags = 2})), EINVAL);
  const Octets unwritten =
      expression("payload", join(number(nft::kPayloadFrom, 1), number(nft::kPayloadBase, kNetwork),
                                 number(nft::kPayloadOffset, 0), number(nft::kPayloadLength, 2)));
  EXPECT_EQ(error_of(unwritten), ENODATA);
  EXPECT_EQ(error_of(join(
                payload(kNetwork, 0, 2),
                expression("payload", join(number(nft::kPayloadFrom, 1), number(nft::kPayloadTo, 1),
                                           number(nft::kPayloadBase, kNetwork),
                                           number(nft::kPayloadOffset, 0), number(nft::kPayloadLength, 2))))),
            EINVAL);
}

}  // namespace
}  // namespace skerry::filter
