#include "vswitch/mac_table.hpp"

#include <gtest/gtest.h>

namespace skerry::vswitch {
namespace {

MacKey station(uint32_t number) {
  MacAddress mac{{0x02, 0x10, 0, 0, 0, 0}};
  store_be32(mac.bytes.data() + 2, number);
  return mac_key(mac);
}

std::optional<PortId> port_of(const MacTable& table, MacKey mac, TimeNs now) {
  const MacTable::Entry* const entry = table.find(mac, now);
  return entry ? std::optional(entry->port) : std::nullopt;
}

TEST(MacTable, LearnsAndFollowsAStationThatMoves) {
  MacTable table({}, 99);
  EXPECT_EQ(port_of(table, station(1), 0), std::nullopt);
  EXPECT_TRUE(table.learn(station(1), 3, 0));
  EXPECT_EQ(port_of(table, station(1), 0), 3);
  EXPECT_TRUE(table.learn(station(1), 5, 0));
  EXPECT_EQ(port_of(table, station(1), 0), 5);
  EXPECT_EQ(table.learned(), 1u);
}

TEST(MacTable, ForgetsAfterSilence) {
  MacTable table({.age_ns = 300 * kSecond}, 99);
  table.learn(station(1), 0, 1 * kSecond);
  table.learn(station(2), 0, 1 * kSecond);
  table.learn(station(2), 0, 200 * kSecond);
  EXPECT_TRUE(table.find(station(1), 300 * kSecond));
  EXPECT_FALSE(table.find(station(1), 301 * kSecond)) << "aged, though nobody has swept yet";
  table.age(301 * kSecond);
  EXPECT_EQ(table.learned(), 1u);
  EXPECT_TRUE(table.find(station(2), 301 * kSecond)) << "it was heard again";
}

TEST(MacTable, KeepsItsLimits) {
  MacTable table({.learned_total = 10, .learned_per_port = 6}, 99);
  uint32_t learned[2] = {0, 0};
  for (uint32_t i = 0; i < 20; ++i) learned[i % 2] += table.learn(station(i), static_cast<PortId>(i % 2), 0);
  EXPECT_EQ(learned[0], 5u);
  EXPECT_EQ(learned[1], 5u);
  EXPECT_EQ(table.learned(), 10u);
  EXPECT_FALSE(table.learn(station(100), 2, 0));
  EXPECT_TRUE(table.learn(station(1), 0, 0)) << "a move needs no further room";
  EXPECT_FALSE(table.learn(station(3), 0, 0)) << "but the port has its own limit";
  EXPECT_EQ(port_of(table, station(3), 0), 1);
}

TEST(MacTable, RoomComesBackWithAge) {
  MacTable table({.learned_total = 4, .learned_per_port = 4}, 99);
  for (uint32_t i = 0; i < 4; ++i) ASSERT_TRUE(table.learn(station(i), 0, 0));
  ASSERT_FALSE(table.learn(station(9), 0, 0));
  table.age(400 * kSecond);
  EXPECT_TRUE(table.learn(station(9), 0, 400 * kSecond));
}

TEST(MacTable, StaticAddressesAreNeverLearnedAwayNorAged) {
  MacTable table({}, 99);
  EXPECT_TRUE(table.learn(station(1), 7, 0));
  EXPECT_TRUE(table.add_static(station(1), 2)) << "a bound port takes its address from whoever showed it";
  EXPECT_EQ(table.learned(), 0u);
  EXPECT_FALSE(table.add_static(station(1), 3));
  table.learn(station(1), 7, 0);
  EXPECT_EQ(port_of(table, station(1), 0), 2);
  table.age(10'000 * kSecond);
  EXPECT_EQ(port_of(table, station(1), 10'000 * kSecond), 2);
}

TEST(MacTable, ForgetsAPortAndNothingElse) {
  MacTable table({}, 99);
  for (uint32_t i = 0; i < 200; ++i) table.learn(station(i), static_cast<PortId>(i % 4), 0);
  table.add_static(station(1000), 1);
  table.forget_port(1);
  EXPECT_EQ(table.learned(), 150u);
  EXPECT_FALSE(table.find(station(1000), 0));
  for (uint32_t i = 0; i < 200; ++i) EXPECT_EQ(table.find(station(i), 0) != nullptr, i % 4 != 1);
}

// Whatever the addresses are, and at the fullest that the limits allow, lookups end and are right.
TEST(MacTable, WorksWhenFull) {
  MacTable table({.learned_total = 1024, .learned_per_port = 1024}, 0);
  for (uint32_t i = 0; i < kMaxPorts; ++i)
    ASSERT_TRUE(table.add_static(station(1 << 20 | i), static_cast<PortId>(i)));
  for (uint32_t i = 0; i < 1024; ++i) ASSERT_TRUE(table.learn(station(i), 0, 0));
  for (uint32_t i = 0; i < 1024; ++i) EXPECT_TRUE(table.find(station(i), 0));
  EXPECT_FALSE(table.find(station(5000), 0));
}

}  // namespace
}  // namespace skerry::vswitch
