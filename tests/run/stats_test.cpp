#include "run/stats.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/random.hpp"

namespace skerry {
namespace {

class StatsTest : public testing::Test {
 protected:
  void SetUp() override {
    Result<Fd> memory = create_stats_memory();
    ASSERT_TRUE(memory);
    memory_ = std::move(*memory);
  }
  Fd memory_;
};

TEST_F(StatsTest, TheReaderSeesWhatTheWriterCounts) {
  Result<Stats> stats = Stats::attach(memory_);
  Result<StatsReader> reader = StatsReader::attach(memory_);
  ASSERT_TRUE(stats && reader);
  Counter breaths = stats->counter("breaths");
  Counter frames = stats->counter("rx_frames");
  breaths.add(1);
  breaths.add(2);
  frames.set(7);
  EXPECT_EQ(reader->value("breaths"), 3u);
  EXPECT_EQ(reader->value("rx_frames"), 7u);
  EXPECT_EQ(reader->value("tx_frames"), std::nullopt);
  EXPECT_EQ(reader->rows().size(), 2u);
}

TEST_F(StatsTest, OneNameIsOneCounter) {
  Result<Stats> stats = Stats::attach(memory_);
  ASSERT_TRUE(stats);
  stats->counter("x").add(1);
  stats->counter("x").add(1);
  EXPECT_EQ(stats->counter("x").get(), 2u);
}

TEST_F(StatsTest, AttachingBeginsAnew) {
  {
    Result<Stats> stats = Stats::attach(memory_);
    ASSERT_TRUE(stats);
    stats->counter("x").add(1);
  }
  Result<Stats> stats = Stats::attach(memory_);
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->counter("x").get(), 0u);
}

TEST_F(StatsTest, ForgottenRowsAreUsedAgain) {
  Result<Stats> stats = Stats::attach(memory_);
  Result<StatsReader> reader = StatsReader::attach(memory_);
  ASSERT_TRUE(stats && reader);
  stats->counter("port.a.rx").add(5);
  stats->counter("port.b.rx").add(6);
  stats->forget("port.a.");
  EXPECT_EQ(reader->value("port.a.rx"), std::nullopt);
  stats->counter("port.c.rx").add(7);
  const auto rows = reader->rows();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].name, "port.c.rx");
  EXPECT_EQ(rows[0].value, 7u);
  EXPECT_EQ(rows[1].name, "port.b.rx");
}

TEST_F(StatsTest, AFullPageSharesOneOverflowRow) {
  Result<Stats> stats = Stats::attach(memory_);
  Result<StatsReader> reader = StatsReader::attach(memory_);
  ASSERT_TRUE(stats && reader);
  for (uint32_t i = 0; i < kStatsRows + 10; ++i) stats->counter("c" + std::to_string(i)).add(1);
  EXPECT_EQ(reader->rows().size(), kStatsRows);
  EXPECT_EQ(reader->value("overflow"), 11u);
  EXPECT_EQ(reader->value("c0"), 1u);
}

TEST_F(StatsTest, LongNamesAreCut) {
  Result<Stats> stats = Stats::attach(memory_);
  Result<StatsReader> reader = StatsReader::attach(memory_);
  ASSERT_TRUE(stats && reader);
  stats->counter(std::string(200, 'n')).add(1);
  EXPECT_EQ(reader->value(std::string(55, 'n')), 1u);
  EXPECT_EQ(stats->counter(std::string(200, 'n')).get(), 1u);
}

TEST_F(StatsTest, TheReaderSurvivesAnyPage) {
  Result<StatsReader> reader = StatsReader::attach(memory_);
  ASSERT_TRUE(reader);
  EXPECT_TRUE(reader->rows().empty()) << "no writer yet";
  {
    Result<Stats> stats = Stats::attach(memory_);
    ASSERT_TRUE(stats);
  }
  auto* page = static_cast<uint8_t*>(
      ::mmap(nullptr, kStatsBytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_.get(), 0));
  ASSERT_NE(page, MAP_FAILED);
  // A count beyond the page, names without an end and full of control characters.
  Random random(1);
  for (size_t i = 12; i < kStatsBytes; ++i) page[i] = static_cast<uint8_t>(random.next() | 1);
  const auto rows = reader->rows();
  EXPECT_EQ(rows.size(), kStatsRows);
  for (const auto& row : rows) {
    EXPECT_LT(row.name.size(), kStatsNameBytes);
    for (const char c : row.name) EXPECT_TRUE(c >= 0x20 && c <= 0x7e);
  }
  ::munmap(page, kStatsBytes);
}

TEST_F(StatsTest, RefusesMemoryThatCanShrink) {
  Fd unsealed(::memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(unsealed.get(), kStatsBytes), 0);
  EXPECT_FALSE(StatsReader::attach(unsealed));
  EXPECT_FALSE(Stats::attach(unsealed));
  EXPECT_FALSE(StatsReader::attach(Fd(-1)));
  EXPECT_EQ(::ftruncate(memory_.get(), 100), -1);
}

}  // namespace
}  // namespace skerry
