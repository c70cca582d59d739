// What a ShmLink does when its neighbour lies. The neighbour is played by hand: it writes the words of the
// region itself.
#include "link/shm_link.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "worlds.hpp"

namespace skerry {
namespace {

constexpr SlotGeometry kGeometry{8, 2};

struct Liar : testing::Test {
  ShmLayout layout{kGeometry};
  std::optional<Region> region;
  std::optional<ShmLink> honest;  // side A
  Fd ring_honest, woken_by_honest;

  void SetUp() override {
    ::signal(SIGPIPE, SIG_IGN);
    Result<Region> created = Region::create("link", layout.bytes());
    ASSERT_TRUE(created);
    region.emplace(std::move(*created));
    Result<DoorbellPipe> to_a = DoorbellPipe::create();
    Result<DoorbellPipe> to_b = DoorbellPipe::create();
    ASSERT_TRUE(to_a && to_b);
    ring_honest = std::move(to_a->ring);
    woken_by_honest = std::move(to_b->wake);
    Result<Region> same = Region::adopt(Fd(::dup(region->fd())), layout.bytes());
    ASSERT_TRUE(same);
    Result<ShmLink> link = ShmLink::create(std::move(*same), Side::kA, test_facts(1), std::move(to_b->ring),
                                           std::move(to_a->wake), kGeometry);
    ASSERT_TRUE(link);
    honest.emplace(std::move(*link));
  }

  std::byte* descriptors() { return region->data() + layout.descriptors(Side::kB); }
  std::byte* returns() { return region->data() + layout.returns(Side::kA); }
  void publish(std::byte* ring, uint32_t produced) {
    reinterpret_cast<RingIndices*>(ring)->produced = produced;
  }
  template <class T>
  void write(std::byte* ring, uint32_t at, const T& value) {
    std::memcpy(ring + sizeof(RingIndices) + at * sizeof(T), &value, sizeof value);
  }

  // An honest frame of side B: its first small slot.
  Frame good() const {
    Frame frame;
    frame.slot = kGeometry.slots();
    frame.offset = 64;
    frame.length = 60;
    return frame;
  }
  Frame good_super() const {
    Frame frame = good();
    frame.slot = 2 * kGeometry.slots() - 1;
    frame.length = 60'000;
    frame.flags = kChecksumNeeded | kSegmentTcp4;
    frame.gso_size = 1448;
    frame.checksum_start = 34;
    frame.checksum_offset = 16;
    return frame;
  }
  uint32_t offer(const Frame& frame) {
    write(descriptors(), 0, frame);
    publish(descriptors(), 1);
    FrameBatch batch;
    honest->receive(batch);
    return batch.count;
  }
  void expect_closed() {
    EXPECT_TRUE(honest->closed());
    EXPECT_NE(honest->fault(), nullptr);
    EXPECT_EQ(honest->counters().faults, 1u);
    EXPECT_FALSE(honest->allocate(64));
    EXPECT_TRUE(honest->arm());
    FrameBatch batch;
    honest->receive(batch);
    EXPECT_EQ(batch.count, 0u);
  }
};

TEST_F(Liar, TheTruthIsTaken) {
  EXPECT_EQ(offer(good()), 1u);
  EXPECT_FALSE(honest->closed());
}

TEST_F(Liar, ATrueSuperFrameIsTaken) {
  EXPECT_EQ(offer(good_super()), 1u);
  EXPECT_FALSE(honest->closed());
}

struct Lie {
  const char* name;
  void (*tell)(Frame&);
};

struct EveryLie : Liar, testing::WithParamInterface<Lie> {};

TEST_P(EveryLie, FaultsAndCloses) {
  Frame frame = good_super();
  GetParam().tell(frame);
  EXPECT_EQ(offer(frame), 0u);
  expect_closed();
}

INSTANTIATE_TEST_SUITE_P(
    About, EveryLie,
    testing::Values(Lie{"SlotOfOurs", [](Frame& f) { f.slot = 0; }},
                    Lie{"SlotBeyond", [](Frame& f) { f.slot = 2 * kGeometry.slots(); }},
                    Lie{"SlotHuge", [](Frame& f) { f.slot = UINT32_MAX; }},
                    Lie{"LengthZero", [](Frame& f) { f.length = 0; }},
                    Lie{"LengthHuge", [](Frame& f) { f.length = UINT32_MAX - 10; }},
                    Lie{"LengthOfALargeSlotInASmall", [](Frame& f) { f.slot = kGeometry.slots(); }},
                    Lie{"EndOutside", [](Frame& f) { f.offset = UINT16_MAX; }},
                    Lie{"UnknownFlag", [](Frame& f) { f.flags |= 0x80; }},
                    Lie{"SegmentsTooSmall", [](Frame& f) { f.gso_size = kMinGsoSize - 1; }},
                    Lie{"SegmentsOfNothing", [](Frame& f) { f.gso_size = 0; }},
                    Lie{"SegmentsWithoutChecksum", [](Frame& f) { f.flags = kSegmentTcp4; }},
                    Lie{"ChecksumInTheEthernetHeader", [](Frame& f) { f.checksum_start = 13; }},
                    Lie{"ChecksumBeyondTheEnd", [](Frame& f) { f.checksum_start = UINT16_MAX; }},
                    Lie{"ChecksumFieldAcrossTheEnd", [](Frame& f) { f.checksum_start = 59'983; }}),
    [](const testing::TestParamInfo<Lie>& lie) { return lie.param.name; });

TEST_F(Liar, OneSlotSentTwice) {
  write(descriptors(), 0, good());
  write(descriptors(), 1, good());
  publish(descriptors(), 2);
  FrameBatch batch;
  honest->receive(batch);
  EXPECT_EQ(batch.count, 1u);
  expect_closed();
  EXPECT_EQ(honest->data(batch.frames[0]).size(), 60u);  // still readable
  honest->give_back(batch.frames[0]);
}

TEST_F(Liar, MoreDescriptorsThanTheRingHas) {
  publish(descriptors(), layout.ring_capacity + 1);
  FrameBatch batch;
  honest->receive(batch);
  EXPECT_EQ(batch.count, 0u);
  expect_closed();
}

TEST_F(Liar, ASlotReturnedThatWasNeverLent) {
  write(returns(), 0, uint32_t{3});
  publish(returns(), 1);
  for (uint32_t n = 0; n < kGeometry.small_slots; ++n) honest->allocate(64);
  EXPECT_FALSE(honest->allocate(64));
  expect_closed();
}

TEST_F(Liar, ASlotReturnedTwice) {
  const std::optional<Frame> frame = honest->allocate(64);
  ASSERT_EQ(honest->send({&*frame, 1}), 1u);
  write(returns(), 0, frame->slot);
  write(returns(), 1, frame->slot);
  publish(returns(), 2);
  for (uint32_t n = 0; n < kGeometry.small_slots; ++n) honest->allocate(64);
  EXPECT_FALSE(honest->allocate(64));
  expect_closed();
}

TEST_F(Liar, ADescriptorChangedAfterItWasTaken) {
  Frame frame = good();
  write(descriptors(), 0, frame);
  publish(descriptors(), 1);
  FrameBatch batch;
  honest->receive(batch);
  ASSERT_EQ(batch.count, 1u);
  frame.length = UINT32_MAX;
  write(descriptors(), 0, frame);
  EXPECT_EQ(honest->data(batch.frames[0]).size(), 60u);
}

TEST_F(Liar, ARingNobodyDrainsTakesAPrefix) {
  // The neighbour gives slots back without consuming their descriptors: only it loses by that.
  uint32_t sent = 0;
  for (uint32_t round = 0; round < 3 * layout.ring_capacity; ++round) {
    const std::optional<Frame> frame = honest->allocate(64);
    ASSERT_TRUE(frame);
    if (honest->send({&*frame, 1}) == 0) {
      honest->give_back(*frame);
      break;
    }
    write(returns(), sent % layout.ring_capacity, frame->slot);
    publish(returns(), ++sent);
  }
  EXPECT_EQ(sent, layout.ring_capacity);
  EXPECT_FALSE(honest->closed());
}

TEST_F(Liar, AClosedDoorbellIsAFault) {
  ring_honest.reset();
  honest->drain();
  EXPECT_EQ(honest->wake_fd(), -1);
  expect_closed();
}

TEST_F(Liar, AClosedEarIsAFault) {
  woken_by_honest.reset();
  *reinterpret_cast<uint32_t*>(region->data() + layout.wake_word(Side::kB)) = kWishFrames;
  const std::optional<Frame> frame = honest->allocate(64);
  ASSERT_TRUE(frame);
  honest->send({&*frame, 1});
  expect_closed();
}

TEST(ShmLinkCreate, RefusesWhatDoesNotFit) {
  ::signal(SIGPIPE, SIG_IGN);
  const auto create = [](size_t bytes, const LinkFacts& facts, const SlotGeometry& geometry) {
    Result<DoorbellPipe> to_a = DoorbellPipe::create();
    Result<DoorbellPipe> to_b = DoorbellPipe::create();
    Result<Region> region = Region::create("link", bytes);
    return ShmLink::create(std::move(*region), Side::kA, facts, std::move(to_b->ring), std::move(to_a->wake),
                           geometry);
  };
  const size_t bytes = ShmLink::region_bytes(kGeometry);
  EXPECT_TRUE(create(bytes, test_facts(1), kGeometry));
  EXPECT_FALSE(create(bytes - 4096, test_facts(1), kGeometry));
  EXPECT_FALSE(create(bytes, test_facts(1), {0, 0}));
  EXPECT_FALSE(create(bytes, test_facts(1), {UINT32_MAX, 1}));
  LinkFacts greedy = test_facts(1);
  greedy.headroom = kMaxHeadroom + 1;
  EXPECT_FALSE(create(bytes, greedy, kGeometry));
  Result<ShmLink> small = create(bytes, test_facts(1), {8, 0});
  ASSERT_TRUE(small);
  EXPECT_EQ(small->facts().max_frame, kSmallSlotBytes - 64);
}

TEST(ShmLinkDeathTest, OurOwnMistakesAreNotFaults) {
  ShmWorld world(kGeometry);
  const std::optional<Frame> frame = world.a().allocate(64);
  Frame wrong = *frame;
  wrong.length = kSmallSlotBytes;
  EXPECT_DEATH(world.a().send({&wrong, 1}), "CHECK");
  ASSERT_EQ(world.a().send({&*frame, 1}), 1u);
  EXPECT_DEATH(world.a().send({&*frame, 1}), "CHECK");
  EXPECT_DEATH(world.a().give_back(*frame), "CHECK");
}

}  // namespace
}  // namespace skerry
