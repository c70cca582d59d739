#include "stack/routes.hpp"

#include <gtest/gtest.h>

namespace skerry::stack {
namespace {

constexpr InterfaceAddress kTwo[] = {{0x0a000002, 24}, {0xac100005, 16}};  // 10.0.0.2/24, 172.16.0.5/16

class RoutesTest : public testing::Test {
 protected:
  Routes routes_{kTwo, 0x0a000001};
};

TEST_F(RoutesTest, OnTheLinkTheNextHopIsTheDestination) {
  const Route route = routes_.lookup(0xac10ffaa, 0);
  EXPECT_EQ(route.kind, Route::Kind::neighbour);
  EXPECT_EQ(route.next_hop, 0xac10ffaau);
  EXPECT_EQ(route.source, 0xac100005u);
}

TEST_F(RoutesTest, ElsewhereTheNextHopIsTheGateway) {
  const Route route = routes_.lookup(0x08080808, 0);
  EXPECT_EQ(route.kind, Route::Kind::neighbour);
  EXPECT_EQ(route.next_hop, 0x0a000001u);
  EXPECT_EQ(route.source, 0x0a000002u);
}

TEST_F(RoutesTest, ASocketKeepsItsSource) {
  EXPECT_EQ(routes_.lookup(0x08080808, 0xac100005).source, 0xac100005u);
}

TEST_F(RoutesTest, OwnAndLoopbackAddressesLoop) {
  for (const Ipv4Address address : {0x0a000002u, 0xac100005u, 0x7f000001u, 0x7fffffffu}) {
    const Route route = routes_.lookup(address, 0);
    EXPECT_EQ(route.kind, Route::Kind::loopback);
    EXPECT_EQ(route.source, address);
  }
}

TEST_F(RoutesTest, WhatIsBoundToLoopbackStaysHere) {
  EXPECT_EQ(routes_.lookup(0x0a000001, 0x7f000001).kind, Route::Kind::none);
  EXPECT_EQ(routes_.lookup(0x0a000002, 0x7f000001).kind, Route::Kind::loopback);
}

TEST_F(RoutesTest, Broadcasts) {
  EXPECT_EQ(routes_.lookup(0xffffffff, 0).kind, Route::Kind::broadcast);
  EXPECT_EQ(routes_.lookup(0x0a0000ff, 0).source, 0x0a000002u);
  EXPECT_EQ(routes_.lookup(0xac10ffff, 0).source, 0xac100005u);
  EXPECT_EQ(routes_.lookup(0x0a000000, 0).kind, Route::Kind::none);  // the network itself
}

TEST_F(RoutesTest, ImpossibleDestinationsHaveNoRoute) {
  for (const Ipv4Address address : {0x00000001u, 0xe0000001u, 0xf0000001u})
    EXPECT_EQ(routes_.lookup(address, 0).kind, Route::Kind::none);
}

TEST_F(RoutesTest, MartianSources) {
  for (const Ipv4Address address :
       {0x7f000001u, 0u, 0x0a000002u, 0x0a0000ffu, 0xe0000001u, 0xf0000001u, 0xffffffffu})
    EXPECT_TRUE(routes_.is_martian_source(address)) << std::hex << address;
  for (const Ipv4Address address : {0x0a000001u, 0x08080808u, 0xac100006u})
    EXPECT_FALSE(routes_.is_martian_source(address)) << std::hex << address;
}

TEST_F(RoutesTest, AudienceOfADestination) {
  EXPECT_EQ(routes_.audience(0x0a000002), Audience::us);
  EXPECT_EQ(routes_.audience(0x0a0000ff), Audience::everybody);
  EXPECT_EQ(routes_.audience(0xffffffff), Audience::everybody);
  EXPECT_EQ(routes_.audience(0x0a000003), Audience::others);
}

TEST(Routes, WithoutGatewayTheRestIsUnreachable) {
  const Routes routes(kTwo, std::nullopt);
  EXPECT_EQ(routes.lookup(0x08080808, 0).kind, Route::Kind::none);
}

TEST(Routes, AGatewayMayLieOutsideEveryPrefix) {
  constexpr InterfaceAddress kHost[] = {{0xc0000201, 32}};
  const Routes routes(kHost, 0xa9fe0101);
  const Route route = routes.lookup(0x08080808, 0);
  EXPECT_EQ(route.next_hop, 0xa9fe0101u);
  EXPECT_EQ(route.source, 0xc0000201u);
  EXPECT_TRUE(routes.is_neighbour(0xa9fe0101));
  EXPECT_FALSE(routes.is_neighbour(0xa9fe0102));
}

TEST(Routes, PrefixesOf31And32BitsHaveNoBroadcast) {
  constexpr InterfaceAddress kPair[] = {{0x0a000000, 31}};
  const Routes routes(kPair, std::nullopt);
  EXPECT_EQ(routes.lookup(0x0a000001, 0).kind, Route::Kind::neighbour);
  EXPECT_FALSE(routes.is_broadcast(0x0a000001));
}

TEST(Routes, WithoutAnAddressOnlyLoopbackIsThere) {
  const Routes routes({}, std::nullopt);
  EXPECT_EQ(routes.lookup(0x0a000001, 0).kind, Route::Kind::none);
  EXPECT_EQ(routes.lookup(0xffffffff, 0).kind, Route::Kind::none);
  EXPECT_EQ(routes.lookup(0x7f000001, 0).kind, Route::Kind::loopback);
}

}  // namespace
}  // namespace skerry::stack
