#include "stack/udp.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <map>
#include <set>

namespace skerry::stack {
namespace {

const IpAddress kAny = IpAddress::v4(0);
const IpAddress kOne = IpAddress::v4(0x0a000002);
const IpAddress kTwo = IpAddress::v4(0x0a000003);
const Endpoint kRemote{IpAddress::v4(0x0a000001), 5000};
const Endpoint kStranger{IpAddress::v4(0x0a000009), 5000};

class UdpTest : public testing::Test {
 protected:
  int bind(SocketId id, const IpAddress& address, uint16_t port, bool reuse = false,
           bool reuse_port = false) {
    Endpoint local{address, port};
    return udp_.bind(id, local, reuse, reuse_port);
  }
  Random random_{3};
  Udp udp_{16, random_};
};

TEST_F(UdpTest, ABoundSocketMatches) {
  ASSERT_EQ(bind(0, kAny, 53), 0);
  EXPECT_EQ(udp_.match({kOne, 53}, kRemote), 0u);
  EXPECT_FALSE(udp_.match({kOne, 54}, kRemote));
  udp_.close(0);
  EXPECT_FALSE(udp_.match({kOne, 53}, kRemote));
}

TEST_F(UdpTest, TheMostSpecificMatches) {
  ASSERT_EQ(bind(0, kAny, 53, true), 0);
  ASSERT_EQ(bind(1, kOne, 53, true), 0);
  ASSERT_EQ(bind(2, kOne, 53, true), 0);
  ASSERT_EQ(udp_.connect(1, kRemote, kOne), 0);
  EXPECT_EQ(udp_.match({kTwo, 53}, kRemote), 0u);
  EXPECT_EQ(udp_.match({kOne, 53}, kStranger), 2u);
  EXPECT_EQ(udp_.match({kOne, 53}, kRemote), 1u);
  udp_.close(1);
  EXPECT_EQ(udp_.match({kOne, 53}, kRemote), 2u);
}

TEST_F(UdpTest, AConnectedSocketHearsOnlyItsPeer) {
  ASSERT_EQ(udp_.connect(0, kRemote, kOne), 0);
  EXPECT_TRUE(udp_.is_bound(0));
  EXPECT_EQ(udp_.local(0).address, kOne);
  const Endpoint local = udp_.local(0);
  EXPECT_EQ(udp_.match(local, kRemote), 0u);
  EXPECT_FALSE(udp_.match(local, kStranger));
  EXPECT_FALSE(udp_.match(local, {kRemote.address, 5001}));
  udp_.disconnect(0);
  EXPECT_EQ(udp_.local(0).port, 0) << "nobody asked for that port";
  EXPECT_FALSE(udp_.match(local, kStranger));
  ASSERT_EQ(bind(1, kAny, 53), 0);
  ASSERT_EQ(udp_.connect(1, kRemote, kOne), 0);
  udp_.disconnect(1);
  EXPECT_EQ(udp_.local(1), (Endpoint{kAny, 53}));
  EXPECT_EQ(udp_.match({kOne, 53}, kStranger), 1u);
}

TEST_F(UdpTest, WhoIsConnectedToPort0HearsAllPortsOfThatAddress) {  // Linux compute_score()
  ASSERT_EQ(udp_.connect(0, {kRemote.address, 0}, kOne), 0);
  EXPECT_TRUE(udp_.is_connected(0));
  const Endpoint local = udp_.local(0);
  EXPECT_EQ(udp_.match(local, kRemote), 0u);
  EXPECT_EQ(udp_.match(local, {kRemote.address, 5001}), 0u);
  EXPECT_FALSE(udp_.match(local, kStranger));
  udp_.disconnect(0);
  EXPECT_FALSE(udp_.is_connected(0));
  for (SocketId id = 1; id < 4; ++id) ASSERT_EQ(bind(id, kAny, 53, true), 0);
  ASSERT_EQ(udp_.connect(1, kRemote, kOne), 0);
  ASSERT_EQ(udp_.connect(2, {kRemote.address, 0}, kOne), 0);
  EXPECT_EQ(udp_.match({kOne, 53}, kRemote), 1u) << "one port before any";
  EXPECT_EQ(udp_.match({kOne, 53}, {kRemote.address, 5001}), 2u);
  EXPECT_EQ(udp_.match({kOne, 53}, kStranger), 3u);
}

TEST_F(UdpTest, ReconnectingTakesTheNewSource) {
  ASSERT_EQ(udp_.connect(0, kRemote, kOne), 0);
  ASSERT_EQ(udp_.connect(0, kStranger, kTwo), 0);
  EXPECT_EQ(udp_.local(0).address, kTwo);
  ASSERT_EQ(bind(1, kOne, 99), 0);
  ASSERT_EQ(udp_.connect(1, kRemote, kTwo), 0);
  EXPECT_EQ(udp_.local(1).address, kOne);  // bound: it keeps its address
  udp_.disconnect(1);
  EXPECT_EQ(udp_.local(1).address, kOne);
}

TEST_F(UdpTest, BindConflicts) {
  ASSERT_EQ(bind(0, kOne, 53), 0);
  EXPECT_EQ(bind(0, kOne, 54), EINVAL);
  EXPECT_EQ(bind(1, kOne, 53), EADDRINUSE);
  EXPECT_EQ(bind(1, kAny, 53), EADDRINUSE);
  EXPECT_EQ(bind(1, kOne, 53, true), EADDRINUSE);  // both must agree
  EXPECT_EQ(bind(1, IpAddress{}, 53), EADDRINUSE);
  EXPECT_EQ(bind(1, kTwo, 53), 0);
  ASSERT_EQ(bind(2, kOne, 54, true, false), 0);
  EXPECT_EQ(bind(3, kOne, 54, false, true), EADDRINUSE);  // in the same way
  EXPECT_EQ(bind(3, kOne, 54, true, true), 0);
  ASSERT_EQ(bind(4, kAny, 55), 0);
  const IpAddress six{{0x01}};
  EXPECT_EQ(bind(5, six, 55), 0) << "what is not IPv4 is not among its addresses";
  EXPECT_EQ(bind(6, IpAddress{}, 55), EADDRINUSE);
  ASSERT_EQ(bind(6, IpAddress{}, 56), 0);
  EXPECT_EQ(bind(7, six, 56), EADDRINUSE);
}

TEST_F(UdpTest, ASharedPortHasItsSenders) {
  for (SocketId id = 0; id < 4; ++id) ASSERT_EQ(bind(id, kAny, 53, false, true), 0);
  std::map<SocketId, int> times;
  for (uint16_t port = 1000; port < 2000; ++port) {
    const auto found = udp_.match({kOne, 53}, {kRemote.address, port});
    ASSERT_TRUE(found);
    EXPECT_EQ(udp_.match({kOne, 53}, {kRemote.address, port}), found) << "the same each time";
    ++times[*found];
  }
  ASSERT_EQ(times.size(), 4u);
  for (const auto& [id, count] : times) EXPECT_NEAR(count, 250, 100) << id;
  ASSERT_EQ(udp_.connect(2, kRemote, kOne), 0);
  EXPECT_EQ(udp_.match({kOne, 53}, kRemote), 2u) << "who is connected comes first";
}

TEST_F(UdpTest, SharedPortsGoToTheNewest) {
  ASSERT_EQ(bind(0, kAny, 53, true), 0);
  ASSERT_EQ(bind(1, kAny, 53, true), 0);
  EXPECT_EQ(udp_.match({kOne, 53}, kRemote), 1u);
  std::set<SocketId> all;
  udp_.for_each_match({IpAddress::v4(0xffffffff), 53}, kRemote, [&](SocketId id) { all.insert(id); });
  EXPECT_EQ(all, (std::set<SocketId>{0, 1}));
}

TEST_F(UdpTest, EphemeralPortsAreInRangeDistinctAndSpread) {
  std::set<uint16_t> ports;
  for (SocketId id = 0; id < 16; ++id) {
    Endpoint local{kAny, 0};
    ASSERT_EQ(udp_.bind(id, local, false), 0);
    EXPECT_EQ(udp_.local(id), local);
    EXPECT_GE(local.port, 32768);
    EXPECT_LE(local.port, 60999);
    ports.insert(local.port);
  }
  EXPECT_EQ(ports.size(), 16u);
  EXPECT_GT(*ports.rbegin() - *ports.begin(), 1000);  // not one after the other
}

TEST(Udp, RunsOutOfPorts) {
  constexpr uint32_t kPorts = 60999 - 32768 + 1;
  Random random(5);
  Udp udp(kPorts + 1, random);
  for (SocketId id = 0; id < kPorts; ++id) {
    Endpoint local{kAny, 0};
    ASSERT_EQ(udp.bind(id, local, false), 0);
  }
  Endpoint local{kAny, 0};
  EXPECT_EQ(udp.bind(kPorts, local, false), EADDRINUSE);
  EXPECT_EQ(udp.connect(kPorts, kRemote, kOne), EADDRINUSE);
  udp.close(77);
  EXPECT_EQ(udp.bind(kPorts, local, false), 0);
}

}  // namespace
}  // namespace skerry::stack
