// Which socket a packet would be for, as rules ask: the connection before the listener, and what is known of
// each while it comes and goes.
#include "stack/own_sockets.hpp"

#include <gtest/gtest.h>

#include "tcp/constants.hpp"
#include "tcp/peer.hpp"

namespace skerry::stack {
namespace {

constexpr uint16_t kPort = 80, kPeerPort = 8080;

class OwnSocketsTest : public testing::Test {
 protected:
  std::optional<filter::Socket> find(uint8_t protocol, uint16_t port = kPort, uint16_t peer_port = kPeerPort,
                                     Ipv4Address to = tcp::kOurAddress) {
    filter::Tuple tuple{};
    store_be32(tuple.source.data(), tcp::kPeerAddress);
    store_be32(tuple.destination.data(), to);
    store_be16(tuple.source_port.data(), peer_port);
    store_be16(tuple.destination_port.data(), port);
    tuple.protocol = protocol;
    return OwnSockets::find(&sockets_, tuple);
  }
  std::optional<filter::Socket> find_tcp(uint16_t port = kPort, uint16_t peer_port = kPeerPort) {
    return find(filter::kProtocolTcp, port, peer_port);
  }
  std::optional<filter::Socket> find_udp(uint16_t peer_port = kPeerPort) {
    return find(filter::kProtocolUdp, kPort, peer_port);
  }
  // True of any_address; none: no whole socket is there.
  static std::optional<bool> any_address(const std::optional<filter::Socket>& socket) {
    if (!socket || !socket->whole) return std::nullopt;
    return socket->any_address;
  }

  tcp::Host host_{tcp::kOurAddress, {}};
  Random random_{1};
  Udp udp_{8, random_};
  OwnSockets sockets_{host_.tcp, udp_};
  TimeNs now_ = 10 * kSecond;
};

TEST_F(OwnSocketsTest, NobodyListens) {
  EXPECT_FALSE(find_tcp());
  EXPECT_FALSE(find_udp());
}

TEST_F(OwnSocketsTest, AListenerIsBoundToAnyAddressOrToOne) {
  host_.listen(kPort);
  const auto id = host_.open();
  Endpoint local{IpAddress::v4(tcp::kOurAddress), 81};
  ASSERT_EQ(host_.tcp.bind(id, local, false, false), 0);
  EXPECT_FALSE(find_tcp(81)) << "it is bound, and does not listen";
  ASSERT_EQ(host_.tcp.listen(id, 1), 0);
  EXPECT_EQ(any_address(find_tcp(kPort)), true);
  EXPECT_EQ(any_address(find_tcp(81)), false);
  EXPECT_FALSE(find_tcp(82));
  EXPECT_FALSE(find(filter::kProtocolTcp, 81, kPeerPort, tcp::kOurAddress + 1)) << "another address";
}

TEST_F(OwnSocketsTest, AConnectionComesBeforeItsListenerAndIsWholeWhenItIsEstablished) {
  const auto listener = host_.listen(kPort);
  tcp::Peer peer(host_);
  peer.our_port = kPort;
  peer.syn(now_, kTcpSyn);
  peer.drain(now_);
  ASSERT_TRUE(find_tcp());
  EXPECT_FALSE(find_tcp()->whole);
  EXPECT_EQ(any_address(find_tcp(kPort, kPeerPort + 1)), true) << "another peer";
  peer.send(now_, kTcpAck, 1, 1);
  EXPECT_EQ(any_address(find_tcp()), false) << "before accept()";
  const auto id = host_.accept(listener);
  ASSERT_TRUE(id);
  EXPECT_EQ(any_address(find_tcp()), false);

  host_.tcp.close(now_, *id, false);
  peer.drain(now_);
  peer.send(now_, kTcpFin | kTcpAck, 1, 2);
  peer.drain(now_);
  host_.take_events();
  ASSERT_TRUE(find_tcp()) << "in TIME-WAIT";
  EXPECT_FALSE(find_tcp()->whole);
  now_ += 2 * tcp::kTimeWait;
  host_.tcp.expire(now_);
  EXPECT_EQ(any_address(find_tcp()), true) << "its listener";
}

TEST_F(OwnSocketsTest, OneThatConnectsIsWholeAtOnce) {
  const auto id = host_.open();
  ASSERT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(tcp::kPeerAddress), kPeerPort}), 0);
  EXPECT_EQ(any_address(find_tcp(host_.tcp.local(id).port)), false);
}

TEST_F(OwnSocketsTest, OfUdpTheConnectedComesBeforeTheOther) {
  Endpoint any{IpAddress::v4(0), kPort}, ours{IpAddress::v4(tcp::kOurAddress), kPort};
  ASSERT_EQ(udp_.bind(0, any, true), 0);
  EXPECT_EQ(any_address(find_udp()), true);
  ASSERT_EQ(udp_.bind(1, ours, true), 0);
  EXPECT_EQ(any_address(find_udp()), false);
  ASSERT_EQ(udp_.connect(1, {IpAddress::v4(tcp::kPeerAddress), kPeerPort}, IpAddress::v4(tcp::kOurAddress)),
            0);
  EXPECT_EQ(any_address(find_udp()), false);
  EXPECT_EQ(any_address(find_udp(kPeerPort + 1)), true) << "it is connected to another";
}

}  // namespace
}  // namespace skerry::stack
