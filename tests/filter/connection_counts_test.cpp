// How many connections are open, by the rules that ask. That limits hold as the kernel's is for
// tests/programs/filter_kernel_test.py; here stands when one is over, which the kernel learns by its clock.
#include "filter/connection_counts.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <cerrno>
#include <map>
#include <memory>

#include "base/random.hpp"
#include "filter/connections_world.hpp"

namespace skerry::filter {
namespace {

// Lists of clients that have gone for good make room for the next one.
TEST(ConnectionCounts, WhatHasEndedMakesRoomWhicheverListItIsIn) {
  constexpr uint32_t kMost = ConnectionCounts::kMostCounted;
  ConnectionCounts counts;
  std::vector<Flow> flows(kMost + 1);
  TimeNs now = kSecond;
  bool full = false;
  for (uint32_t list = 0; list < 3; ++list) counts.begin(list);
  for (uint32_t i = 0; i <= kMost; ++i) {
    flows[i].number = i;
    flows[i].expires = i < kMost ? 2 * kSecond : 9 * kSecond;
    EXPECT_FALSE(counts.exceeds(i % 2, &flows[i], kMost, now, full));
    ASSERT_EQ(full, i == kMost);
  }
  EXPECT_FALSE(counts.exceeds(2, &flows[kMost], 1, now, full));
  EXPECT_TRUE(full) << "all are open";
  now = 3 * kSecond;
  EXPECT_FALSE(counts.exceeds(2, &flows[kMost], 1, now, full));
  EXPECT_FALSE(full);
}

TEST_F(ConnectionCountsTest, AConnectionCountsOnce) {
  Engine engine = engine_of(counts(2));
  EXPECT_TRUE(engine.tracks());
  for (int again = 0; again < 3; ++again) {
    EXPECT_TRUE(passes(engine, datagram(1)));
    EXPECT_TRUE(passes(engine, datagram(2)));
    EXPECT_FALSE(passes(engine, datagram(3)));
  }
}

TEST_F(ConnectionCountsTest, OneWhoseTimeIsOverMakesRoom) {
  Engine engine = engine_of(counts(2));
  for (const int port : {1, 2}) EXPECT_TRUE(passes(engine, datagram(port)));
  now_ += 31 * kSecond;
  for (const int port : {3, 4}) EXPECT_TRUE(passes(engine, datagram(port)));
  EXPECT_FALSE(passes(engine, datagram(5)));
}

TEST_F(ConnectionCountsTest, OneThatWasResetMakesRoom) {
  Engine engine = engine_of(counts(1));
  EXPECT_TRUE(passes(engine, segment(false, 5, kSyn, 99, 0)));
  EXPECT_TRUE(passes(engine, segment(true, 5, kSyn | kAck, 199, 100)));
  EXPECT_FALSE(passes(engine, segment(false, 6, kSyn, 99, 0)));
  EXPECT_TRUE(passes(engine, segment(false, 5, kRst | kAck, 100, 200)));
  EXPECT_TRUE(passes(engine, segment(false, 6, kSyn, 99, 0)));
}

// What is dropped never was a connection.
TEST_F(ConnectionCountsTest, OneThatWasRefusedDoesNotCount) {
  Engine engine = engine_of(counts(1));
  EXPECT_TRUE(passes(engine, datagram(1)));
  for (const int port : {2, 3, 4}) EXPECT_FALSE(passes(engine, datagram(port)));
  now_ += 20 * kSecond;
  EXPECT_TRUE(passes(engine, datagram(1)));
}

TEST_F(ConnectionCountsTest, HoldsUpToItsNumberOrFromThereOn) {
  Engine engine = engine_of(batch(table(), base_chain(), rule("in", join(ct_count(1, 0), counter())),
                                  rule("in", join(ct_count(1), counter()))));
  for (const int port : {1, 2, 3}) EXPECT_TRUE(passes(engine, datagram(port)));
  EXPECT_EQ(engine.hits(0, 0).packets, 1U);
  EXPECT_EQ(engine.hits(0, 1).packets, 2U);
}

// What cannot be tracked counts while it is looked at.
TEST_F(ConnectionCountsTest, APacketWithoutAConnectionIsOneMore) {
  Engine engine = engine_of(counts(1));
  Octets invalid = datagram(9);
  store_be16(&invalid[24], 3);
  EXPECT_TRUE(passes(engine, invalid));
  EXPECT_TRUE(passes(engine, datagram(1)));
  EXPECT_FALSE(passes(engine, invalid));
  EXPECT_TRUE(passes(engine, datagram(1)));
}

TEST_F(ConnectionCountsTest, ElementsCountTheirOwnAndGoOnAfterAReload) {
  Engine engine = engine_of(one_each(9));
  EXPECT_TRUE(engine.tracks());
  for (const int from : {1, 2}) {
    EXPECT_TRUE(passes(engine, datagram(1, from)));
    EXPECT_FALSE(passes(engine, datagram(2, from)));
  }
  Engine next = engine_of(one_each(9));
  next.take_over(engine, now_);
  EXPECT_FALSE(passes(next, datagram(3, 1)));
  EXPECT_TRUE(passes(next, datagram(1, 1)));
}

// Nothing counts when the rules come into force.
TEST_F(ConnectionCountsTest, ASetThatIsEmptyAtFirstCountsForWhomPeopleAdd) {
  Engine engine = engine_of(batch(table(), set({.more = own_count(nft::kSetExpression, 1)}), base_chain(),
                                  rule("in", join(payload(1, 12, 4), lookup(), verdict(0)))));
  EXPECT_TRUE(engine.tracks());
  GivenElement element;
  element.key = {10, 0, 0, 1};
  ASSERT_EQ(engine.change(0, Change::add, {&element, 1}, now_), std::nullopt);
  EXPECT_TRUE(passes(engine, datagram(1)));
  EXPECT_FALSE(passes(engine, datagram(2)));
}

// Who has the place of one that was given another number has none of it.
TEST_F(ConnectionCountsTest, AnElementMayHaveANumberOfItsOwn) {
  constexpr int kOwn = 1, kUsual = 2;
  const Octets given = elements(element({10, 0, 0, kOwn}, own_count(nft::kElementExpression, 2)));
  const Octets update = expression(
      "dynset", join(attribute(nft::kDynsetName, text("s")), attribute(nft::kDynsetOperation, be32(0)),
                     attribute(nft::kDynsetKey, be32(1))));
  for (const bool dynamic : {false, true}) {
    const uint32_t flags = dynamic ? static_cast<uint32_t>(nft::kSetEval) : 0;
    const Octets size = attribute(nft::kSetDescription, attribute(nft::kDescriptionSize, be32(1)));
    Engine engine = engine_of(
        batch(table(), set({.flags = flags, .more = join(own_count(nft::kSetExpression, 1), size)}), given,
              base_chain(), rule("in", join(payload(1, 12, 4), dynamic ? update : lookup(), verdict(0)))));
    for (const int port : {1, 2}) EXPECT_TRUE(passes(engine, datagram(port, kOwn)));
    EXPECT_FALSE(passes(engine, datagram(3, kOwn)));
    GivenElement element;
    element.key = {10, 0, 0, kOwn};
    ASSERT_EQ(engine.change(0, Change::remove, {&element, 1}, now_), std::nullopt);
    element.key[3] = kUsual;
    if (!dynamic) {
      ASSERT_EQ(engine.change(0, Change::add, {&element, 1}, now_), std::nullopt);
    }
    EXPECT_TRUE(passes(engine, datagram(1, kUsual)));
    EXPECT_FALSE(passes(engine, datagram(2, kUsual))) << dynamic;
    if (!dynamic) continue;
    ASSERT_EQ(engine.change(0, Change::remove, {&element, 1}, now_), std::nullopt);
    element.key[3] = kOwn;
    ASSERT_EQ(engine.change(0, Change::add, {&element, 1}, now_), std::nullopt);
    EXPECT_TRUE(passes(engine, datagram(1, kOwn)));
    EXPECT_FALSE(passes(engine, datagram(2, kOwn))) << "given by hand it has the usual one";
  }
}

// As in Linux (nft_set_elem_expr_alloc()): nobody says that a time is over, and what was counted would stay.
TEST(ConnectionCounts, WhatHasATimeCountsNone) {
  const auto refused = [](const Octets& bytes) {
    Ruleset ruleset;
    return load(bytes, ruleset);
  };
  const Octets add = expression(
      "dynset", join(attribute(nft::kDynsetName, text("s")), attribute(nft::kDynsetOperation, be32(0)),
                     attribute(nft::kDynsetKey, be32(1)), own_count(nft::kDynsetExpression, 1)));
  const Octets taken = rule("in", join(payload(1, 12, 4), add, verdict(0)));
  const Octets declares = own_count(nft::kSetExpression, 1);
  for (const uint32_t eval : {0U, static_cast<uint32_t>(nft::kSetEval)}) {
    const auto found = refused(batch(table(), set({.flags = nft::kSetHasTimeout | eval, .more = declares})));
    ASSERT_TRUE(found);
    EXPECT_EQ(found->error, EOPNOTSUPP);
    EXPECT_NE(found->sentence.find("ct count"), std::string::npos) << found->sentence;
    EXPECT_NE(found->attribute, 0U);
    EXPECT_FALSE(refused(batch(table(), set({.flags = eval, .more = declares}))));
  }
  const auto found =
      refused(batch(table(), set({.flags = nft::kSetEval | nft::kSetHasTimeout}), base_chain(), taken));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->error, EOPNOTSUPP);
  EXPECT_NE(found->sentence.find("ct count"), std::string::npos) << found->sentence;
  EXPECT_NE(found->attribute, 0U);
  EXPECT_FALSE(refused(batch(table(), set({.flags = nft::kSetEval}), base_chain(), taken)));
}

// However many there are: it is done between two packets.
TEST(ConnectionCounts, WhatIsTakenOverIsNotLookedAtFlowByFlow) {
  constexpr uint32_t kMany = 30'000, kList = 1, kNext = 2;
  ConnectionCounts counts, next;
  counts.begin(kList);
  next.begin(kNext);
  next.join(counts, Pause());
  const size_t bytes = kMany * sizeof(Flow) / 4096 * 4096;
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  const auto many = static_cast<uint32_t>(bytes / sizeof(Flow));
  auto* const flows = static_cast<Flow*>(memory);
  bool full = false;
  for (uint32_t i = 0; i < many; ++i) {
    std::construct_at(&flows[i]);
    flows[i].number = i;
    flows[i].expires = 9 * kSecond;
    EXPECT_FALSE(counts.exceeds(kList, &flows[i], many, 0, full));
  }
  ASSERT_EQ(::mprotect(memory, bytes, PROT_NONE), 0);
  next.take_over(kNext, counts, kList);
  ASSERT_EQ(::mprotect(memory, bytes, PROT_READ), 0);
  EXPECT_TRUE(next.exceeds(kNext, nullptr, many, kSecond, full));
  EXPECT_FALSE(next.exceeds(kNext, nullptr, many + 1, kSecond, full));
  ::munmap(memory, bytes);
}

// What rules count that are no more makes room, though its connections are open.
TEST(ConnectionCounts, WhatNobodyTakesOverMakesRoom) {
  constexpr uint32_t kMost = ConnectionCounts::kMostCounted;
  ConnectionCounts counts, next;
  std::vector<Flow> flows(kMost + 1);
  bool full = false;
  for (uint32_t list = 0; list < 2; ++list) {
    counts.begin(list);
    next.begin(list);
  }
  next.join(counts, Pause());
  for (uint32_t i = 0; i <= kMost; ++i) {
    flows[i].number = i;
    flows[i].expires = 9 * kSecond;
    if (i < kMost) counts.exceeds(i % 2, &flows[i], kMost, 0, full);
  }
  next.take_over(1, counts, 0);
  next.exceeds(0, &flows[kMost], kMost, kSecond, full);
  EXPECT_TRUE(full);
  counts.take_apart(Pause());
  EXPECT_FALSE(next.exceeds(0, &flows[kMost], 1, 2 * kSecond, full));
  EXPECT_FALSE(full);
  EXPECT_TRUE(next.exceeds(1, nullptr, kMost / 2, 2 * kSecond, full)) << "and nothing else has gone";
}

// Packets come in every pause: addresses come, get a connection and are taken out.
TEST_F(ConnectionCountsTest, NothingIsLostOfWhatIsCountedMeanwhile) {
  constexpr uint32_t kAddresses = 400;  // so that not all are taken over at once
  const auto is_icmp = join(payload(1, 9, 1, 2), cmp(0, {kProtocolIcmp}, 2));
  const Octets rules =
      one_each(600, rule("in", join(is_icmp, payload(1, 12, 4),
                                    expression("dynset", join(attribute(nft::kDynsetName, text("s")),
                                                              attribute(nft::kDynsetOperation, be32(2)),
                                                              attribute(nft::kDynsetKey, be32(1)))),
                                    verdict(1))));
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    now_ += 100 * kSecond;  // all that was before is over
    Random random(seed);
    Engine engine = engine_of(rules);
    // Of each address the one of three ports that has a connection, and how often it was taken out: then it
    // goes on with three others.
    std::map<uint32_t, uint32_t> open;
    std::array<uint32_t, kAddresses> taken_out{};
    const auto comes = [&](Engine& at, uint32_t from, uint32_t port) {
      return passes(at, datagram(static_cast<int>(1 + 3 * taken_out[from] + port), static_cast<int>(from)));
    };
    const auto packets = [&](uint32_t count) {
      for (; count > 0; --count) {
        const uint32_t from = random.below(kAddresses), port = random.below(3);
        if (random.below(5) == 0) {
          Octets echo = transport(kProtocolUdp, false, 0x800, static_cast<uint16_t>(from));
          echo[9] = kProtocolIcmp;
          EXPECT_TRUE(passes(engine, echo));
          open.erase(from);
          ++taken_out[from];
        } else {
          const bool first = open.try_emplace(from, port).first->second == port;
          ASSERT_EQ(comes(engine, from, port), first);
        }
      }
    };
    packets(2000);
    Engine next = engine_of(rules);
    next.take_over(engine, now_, Pause([&] { packets(random.below(4) == 0 ? 1 : 0); }, 1));
    engine.take_apart(Pause());
    for (uint32_t from = 0; from < kAddresses; ++from) {
      const auto holds = open.find(from);
      EXPECT_EQ(comes(next, from, holds == open.end() ? 0 : (holds->second + 1) % 3), holds == open.end());
      EXPECT_TRUE(holds == open.end() || comes(next, from, holds->second));
    }
  }
}

// As Linux's collector does; else the first addresses that ever came would keep the limit from all others.
TEST_F(ConnectionCountsTest, AnAddressWithoutConnectionsMakesRoomInAFullSet) {
  Engine engine = engine_of(one_each(2));
  for (const int from : {1, 2}) EXPECT_TRUE(passes(engine, datagram(1, from)));
  for (const int port : {1, 2}) EXPECT_TRUE(passes(engine, datagram(port, 3))) << "there is no room to count";
  EXPECT_FALSE(passes(engine, datagram(2, 1)));
  now_ += 31 * kSecond;
  for (const int from : {3, 4}) {
    EXPECT_TRUE(passes(engine, datagram(3, from)));
    EXPECT_FALSE(passes(engine, datagram(4, from)));
  }
}

}  // namespace
}  // namespace skerry::filter
