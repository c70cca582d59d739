// bind() where a connection is, or was until lately: Linux inet_bind_conflict().
#include <gtest/gtest.h>

#include <cerrno>

#include "tcp/peer.hpp"

namespace skerry::tcp {
namespace {

struct Way {
  bool address, port;  // SO_REUSEADDR, SO_REUSEPORT
};
constexpr Way kWays[] = {{false, false}, {true, false}, {false, true}, {true, true}};

class SharedPorts : public ::testing::TestWithParam<bool> {
 protected:
  // Nobody is bound to port 80 any more, but the connection is there or waits.
  void accepted(Way way) {
    const ConnectionId listener = host_->open();
    Endpoint local{IpAddress{}, 80};
    ASSERT_EQ(host_->tcp.bind(listener, local, way.address, way.port), 0);
    ASSERT_EQ(host_->tcp.listen(listener, 5), 0);
    id_ = peer_->connect(now_, listener).value();
    host_->tcp.close(now_, listener, false);
  }
  uint16_t connected(Way way) {
    id_ = host_->open();
    EXPECT_EQ(host_->tcp.connect(now_, id_, {IpAddress::v4(kPeerAddress), 8080}, way.address, way.port), 0);
    peer_->our_port = host_->tcp.local(id_).port;
    peer_->drain(now_);
    peer_->syn(now_, kTcpSyn | kTcpAck, 1);
    peer_->drain(now_);
    return peer_->our_port;
  }
  void close() {
    host_->tcp.close(now_, id_, false);
    peer_->drain(now_);
    peer_->send(now_, kTcpFin | kTcpAck, 1, 2);
    peer_->drain(now_);
    host_->take_events();
  }
  void expect(uint16_t port, Way first) {
    if (GetParam()) close();
    for (const Way& second : kWays) {
      const bool shared = (first.address && second.address) || (first.port && second.port);
      for (const IpAddress& where : {host_->address, IpAddress::v4(0), IpAddress{}})
        EXPECT_EQ(bind(where, port, second), shared ? 0 : EADDRINUSE) << first.address << first.port;
      EXPECT_EQ(bind(IpAddress::v4(kOurAddress + 1), port, second), 0) << "another address";
    }
  }
  int bind(const IpAddress& address, uint16_t port, Way way) {
    const ConnectionId id = host_->open();
    Endpoint local{address, port};
    const int error = host_->tcp.bind(id, local, way.address, way.port);
    host_->tcp.close(now_, id, false);
    host_->take_events();
    return error;
  }

  std::optional<Host> host_;
  std::optional<Peer> peer_;
  ConnectionId id_ = kNoConnection;
  TimeNs now_ = 10 * kSecond;
};
INSTANTIATE_TEST_SUITE_P(Port, SharedPorts, ::testing::Bool(),
                         [](const auto& test) { return test.param ? "time_wait" : "connected"; });

TEST_P(SharedPorts, AnAcceptedConnectionSharesItsPortAsItsListenerDid) {
  for (const Way& way : kWays) {
    host_.emplace(kOurAddress, HostSettings{});
    peer_.emplace(*host_);
    accepted(way);
    expect(80, way);
  }
}

TEST_P(SharedPorts, OneThatHasConnectedSharesItAsItIsAllowedTo) {
  for (const Way& way : kWays) {
    host_.emplace(kOurAddress, HostSettings{});
    peer_.emplace(*host_);
    expect(connected(way), way);
  }
}

TEST_P(SharedPorts, OfSeveralEachMustShareAndNoneThatIsGone) {
  host_.emplace(kOurAddress, HostSettings{});
  peer_.emplace(*host_);
  accepted({true, true});
  const ConnectionId first = id_;
  peer_.emplace(*host_, PeerSettings{.port = 8081});
  accepted({true, false});
  if (GetParam()) close();
  for (const IpAddress& where : {host_->address, IpAddress::v4(0), IpAddress{}}) {
    for (const Way& way : kWays) EXPECT_EQ(bind(where, 80, way), way.address ? 0 : EADDRINUSE);
  }
  EXPECT_EQ(bind(IpAddress::v4(kOurAddress + 1), 80, {false, false}), 0) << "another address";
  if (GetParam()) return;
  host_->tcp.close(now_, id_, true);
  EXPECT_EQ(bind(IpAddress::v4(0), 80, {false, true}), 0);
  EXPECT_EQ(bind(IpAddress::v4(0), 80, {false, false}), EADDRINUSE);
  host_->tcp.close(now_, first, true);
  EXPECT_EQ(bind(IpAddress::v4(0), 80, {false, false}), 0);
}

}  // namespace
}  // namespace skerry::tcp
