// Numbers that rules make, and what connection tracking counts. That hashes have the kernel's values is also
// for tests/programs/filter_kernel_test.py.
#include <gtest/gtest.h>

#include <set>

#include "base/check.hpp"
#include "filter/engine.hpp"
#include "filter/jenkins_hash.hpp"
#include "filter/load.hpp"
#include "filter/write_batch.hpp"

namespace skerry::filter {
namespace {

Octets numgen(uint32_t type, uint32_t modulus, uint32_t offset = 0) {
  return expression("numgen", join(number(nft::kNumgenTo, 1), number(nft::kNumgenModulus, modulus),
                                   number(nft::kNumgenType, type), number(nft::kNumgenOffset, offset)));
}
Octets symhash(uint32_t modulus) {
  return expression(
      "hash", join(number(nft::kHashTo, 1), number(nft::kHashModulus, modulus), number(nft::kHashType, 1)));
}
Octets jhash(uint32_t length, const Octets& more = {}) {
  return expression("hash", join(number(nft::kHashFrom, 2), number(nft::kHashTo, 1),
                                 number(nft::kHashLength, length), number(nft::kHashModulus, 16), more));
}
Octets to_mark() {
  return expression("meta", join(number(nft::kMetaKey, 3), number(nft::kMetaFrom, 1)));
}

Engine engine_of(const Octets& rules, const SipKey& secret = {}, TimeNs now = 0) {
  Ruleset ruleset;
  const auto refused = load(batch(table(), base_chain(), rule("in", rules)), ruleset);
  EXPECT_FALSE(refused) << refused->sentence;
  return Engine(std::move(ruleset), now, secret);
}
int error_of(const Octets& rules) {
  Ruleset ruleset;
  const auto refused = load(batch(table(), base_chain(), rule("in", rules)), ruleset);
  return refused ? refused->error : 0;
}

// TCP over IPv4 between two hosts.
Octets segment(uint8_t from, uint8_t to, uint16_t from_port, uint16_t to_port, uint16_t fragment = 0) {
  Octets bytes = {0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, from, 10, 0, 0, to};
  bytes.resize(40);
  store_be16(bytes.data() + 6, fragment);
  store_be16(bytes.data() + 20, from_port);
  store_be16(bytes.data() + 22, to_port);
  bytes[32] = 5 << 4;
  return bytes;
}
uint32_t mark(Engine& engine, Octets bytes) {
  Packet packet;
  CHECK(packet.read(bytes));
  return engine.judge(Hook::input, packet, 0).mark;
}

// Values that the author of the hash gives (lookup3.c, driver5()).
TEST(Numbers, AHashIsTheOneOfItsAuthor) {
  const std::string words = "Four score and seven years ago";
  const ConstBytes bytes(reinterpret_cast<const uint8_t*>(words.data()), words.size());
  EXPECT_EQ(jenkins_hash(bytes, 0), 0x17770551U);
  EXPECT_EQ(jenkins_hash(bytes, 1), 0xcd628161U);
  EXPECT_EQ(jenkins_hash({}, 0), 0xdeadbeefU);
}

TEST(Numbers, OneAfterTheOtherBeginsWithTheFirstAndComesBackToIt) {
  Engine engine = engine_of(join(numgen(0, 3, 7), to_mark()));
  for (const uint32_t expected : {7U, 8U, 9U, 7U}) EXPECT_EQ(mark(engine, segment(1, 2, 3, 4)), expected);
}

TEST(Numbers, EachOfThoseThatAreDrawnComes) {
  Engine engine = engine_of(join(numgen(1, 4, 10), to_mark()));
  std::set<uint32_t> drawn;
  for (int i = 0; i < 200; ++i) drawn.insert(mark(engine, segment(1, 2, 3, 4)));
  EXPECT_EQ(drawn, (std::set<uint32_t>{10, 11, 12, 13}));
}

TEST(Numbers, WhatIsDrawnIsTheSecrets) {
  const auto drawn = [](const SipKey& secret) {
    Engine engine = engine_of(join(numgen(1, UINT32_MAX), to_mark()), secret);
    return mark(engine, segment(1, 2, 3, 4));
  };
  EXPECT_NE(drawn({1, 2}), drawn({1, 3}));
}

TEST(Numbers, ASymmetricHashIsTheSameInBothDirections) {
  Engine engine = engine_of(join(symhash(UINT32_MAX), to_mark()), {5, 6});
  const uint32_t there = mark(engine, segment(1, 2, 1000, 80));
  EXPECT_EQ(mark(engine, segment(2, 1, 80, 1000)), there);
  EXPECT_NE(mark(engine, segment(1, 2, 1001, 80)), there);
  EXPECT_NE(mark(engine, segment(1, 3, 1000, 80)), there);
  const uint32_t first_piece = mark(engine, segment(1, 2, 1000, 80, 0x2000));
  EXPECT_NE(first_piece, there) << "all pieces of a packet are one flow";
  EXPECT_EQ(mark(engine, segment(1, 2, 7, 7, 0x0005)), first_piece);
}

TEST(Numbers, AnUnseededHashKeepsItsSeed) {
  const Octets rules = join(payload(1, 12, 4, 2), jhash(4), to_mark());
  Engine engine = engine_of(rules, {5, 6});
  std::set<uint32_t> seen;
  for (uint8_t host = 1; host < 200; ++host) {
    const uint32_t once = mark(engine, segment(host, 2, 3, 4));
    EXPECT_EQ(mark(engine, segment(host, 2, 9, 9)), once);
    seen.insert(once);
  }
  EXPECT_EQ(seen.size(), 16U);
}

TEST(Numbers, RefusesWhatTheKernelRefuses) {
  EXPECT_EQ(error_of(numgen(0, 0)), ERANGE);
  EXPECT_EQ(error_of(numgen(2, 1)), EINVAL);
  EXPECT_EQ(error_of(numgen(0, 2, UINT32_MAX)), EOVERFLOW);
  EXPECT_EQ(error_of(numgen(0, 1, UINT32_MAX)), 0);
  EXPECT_EQ(error_of(jhash(4)), ENODATA) << "nothing is in the register";
  EXPECT_EQ(error_of(join(payload(1, 12, 4, 2), jhash(0))), ERANGE);
  EXPECT_EQ(error_of(join(payload(1, 12, 4, 2), jhash(65))), ERANGE);
  EXPECT_EQ(error_of(join(payload(1, 12, 4, 2), jhash(4, number(nft::kHashType, 2)))), EOPNOTSUPP);
}

}  // namespace
}  // namespace skerry::filter
