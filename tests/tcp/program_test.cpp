// What a program asks: bind, listen, connect, options, and lies about positions (the head of tcp/tcp.hpp).
#include <gtest/gtest.h>

#include <cerrno>
#include <set>

#include "tcp/peer.hpp"

namespace skerry::tcp {
namespace {

class Program : public ::testing::Test {
 protected:
  HostSettings settings_ = [] {
    HostSettings settings;
    settings.connections = 64;
    return settings;
  }();
  Host host_{kOurAddress, settings_};
  Peer peer_{host_};
  TimeNs now_ = 10 * kSecond;

  int bind(ConnectionId id, const IpAddress& address, uint16_t port, bool reuse_address = false,
           bool reuse_port = false) {
    Endpoint local{address, port};
    return host_.tcp.bind(id, local, reuse_address, reuse_port);
  }
};

struct BindRow {
  const char* name;
  IpAddress first, second;
  bool reuse_address, reuse_port, first_listens;
  int expected;
};

class Bind : public ::testing::TestWithParam<BindRow> {};

TEST_P(Bind, AsLinux) {  // bind(2), socket(7)
  const BindRow& row = GetParam();
  Host host(kOurAddress, {});
  const ConnectionId first = host.open();
  Endpoint local{row.first, 80};
  ASSERT_EQ(host.tcp.bind(first, local, row.reuse_address, row.reuse_port), 0);
  if (row.first_listens) {
    ASSERT_EQ(host.tcp.listen(first, 5), 0);
  }
  const ConnectionId second = host.open();
  local.address = row.second;
  EXPECT_EQ(host.tcp.bind(second, local, row.reuse_address, row.reuse_port), row.expected);
}

const IpAddress kAny4 = IpAddress::v4(0);
const IpAddress kAny6 = IpAddress{};
const IpAddress kOne = IpAddress::v4(1);
const IpAddress kTwo = IpAddress::v4(2);

INSTANTIATE_TEST_SUITE_P(
    Program, Bind,
    ::testing::Values(BindRow{"same", kOne, kOne, false, false, false, EADDRINUSE},
                      BindRow{"other_address", kOne, kTwo, false, false, true, 0},
                      BindRow{"wildcard_after_one", kOne, kAny4, false, false, false, EADDRINUSE},
                      BindRow{"one_after_wildcard", kAny4, kOne, false, false, false, EADDRINUSE},
                      BindRow{"one_after_wildcard6", kAny6, kOne, false, false, false, EADDRINUSE},
                      BindRow{"wildcards", kAny6, kAny4, false, false, false, EADDRINUSE},
                      BindRow{"reuse_address", kOne, kOne, true, false, false, 0},
                      BindRow{"reuse_address_of_a_listener", kOne, kOne, true, false, true, EADDRINUSE},
                      BindRow{"reuse_port", kOne, kOne, false, true, true, 0}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_F(Program, OnlyOneOfTwoReusersListens) {
  const ConnectionId first = host_.open();
  const ConnectionId second = host_.open();
  ASSERT_EQ(bind(first, kAny4, 80, true), 0);
  ASSERT_EQ(bind(second, kAny4, 80, true), 0);
  EXPECT_EQ(host_.tcp.listen(first, 5), 0);
  EXPECT_EQ(host_.tcp.listen(second, 5), EADDRINUSE);
  EXPECT_EQ(host_.tcp.listen(first, 9), 0) << "again: a new backlog";
}

TEST_F(Program, BindOnce) {
  const ConnectionId id = host_.open();
  EXPECT_EQ(bind(id, kAny4, 80), 0);
  EXPECT_EQ(bind(id, kAny4, 81), EINVAL);
}

TEST_F(Program, PortZeroPicksAFreeOne) {  // RFC 6056
  std::set<uint16_t> ports;
  for (int i = 0; i < 40; ++i) {
    Endpoint local{kAny4, 0};
    ASSERT_EQ(host_.tcp.bind(host_.open(), local, false, false), 0);
    EXPECT_GE(local.port, 32768);
    EXPECT_LE(local.port, 60999);
    ports.insert(local.port);
  }
  EXPECT_EQ(ports.size(), 40u);
  EXPECT_GT(*ports.rbegin() - *ports.begin(), 1000) << "not one after the other";
}

TEST_F(Program, APortIsFreeAgainAfterItsConnections) {
  const ConnectionId listener = host_.listen(80);  // with SO_REUSEADDR
  const ConnectionId id = peer_.connect(now_, listener).value();
  host_.tcp.close(now_, listener, false);
  host_.take_events();
  const ConnectionId next = host_.open();
  EXPECT_EQ(bind(next, kAny4, 80), EADDRINUSE) << "without SO_REUSEADDR a connection holds the port";
  EXPECT_EQ(bind(next, kAny4, 80, true), 0);
  host_.tcp.close(now_, next, false);
  host_.tcp.close(now_, id, true);
  host_.take_events();
  EXPECT_EQ(bind(host_.open(), kAny4, 80), 0);
}

TEST_F(Program, TheMostSpecificListenerWins) {
  const ConnectionId any = host_.open();
  const ConnectionId exact = host_.open();
  ASSERT_EQ(bind(any, kAny6, 80, false, true), 0);
  ASSERT_EQ(bind(exact, host_.address, 80, false, true), 0);
  ASSERT_EQ(host_.tcp.listen(any, 5), 0);
  ASSERT_EQ(host_.tcp.listen(exact, 5), 0);
  EXPECT_TRUE(peer_.connect(now_, exact));
  EXPECT_FALSE(host_.accept(any));
}

TEST_F(Program, ReusePortSpreadsConnections) {  // socket(7) SO_REUSEPORT
  ConnectionId listeners[3];
  for (ConnectionId& id : listeners) {
    id = host_.open();
    ASSERT_EQ(bind(id, kAny4, 80, false, true), 0);
    ASSERT_EQ(host_.tcp.listen(id, 100), 0);
  }
  for (uint16_t i = 0; i < 48; ++i) {
    PeerSettings settings;
    settings.port = static_cast<uint16_t>(9000 + i);
    Peer peer(host_, settings);
    peer.our_port = 80;
    peer.syn(now_, kTcpSyn);
    peer.drain(now_);
    peer.send(now_, kTcpAck, 1, 1);
  }
  for (const ConnectionId id : listeners) {
    int count = 0;
    while (host_.accept(id)) ++count;
    EXPECT_GT(count, 4);
  }
}

TEST_F(Program, ListenWithoutBindPicksAPort) {
  const ConnectionId id = host_.open();
  EXPECT_EQ(host_.tcp.listen(id, 5), 0);
  EXPECT_GE(host_.tcp.local(id).port, 32768);
}

TEST_F(Program, ManyConnectionsToOnePlace) {
  std::set<uint16_t> ports;
  for (int i = 0; i < 60; ++i) {
    const ConnectionId id = host_.open();
    ASSERT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(kPeerAddress), 80}), 0);
    ports.insert(host_.tcp.local(id).port);
  }
  EXPECT_EQ(ports.size(), 60u);
}

TEST_F(Program, ABoundAddressIsTheSource) {
  const ConnectionId id = host_.open();
  ASSERT_EQ(bind(id, IpAddress::v4(kOurAddress + 7), 0), 0);
  ASSERT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(kPeerAddress), 80}), 0);
  SegmentOut out;
  ASSERT_TRUE(host_.tcp.next_segment(now_, 65535, out));
  EXPECT_EQ(out.source, IpAddress::v4(kOurAddress + 7));
}

TEST_F(Program, CallsOnWhatIsNotConnected) {
  const ConnectionId id = host_.open();
  EXPECT_EQ(host_.tcp.shutdown_write(now_, id), ENOTCONN);
  EXPECT_FALSE(host_.tcp.accept(id));
  EXPECT_EQ(host_.tcp.rx_written(id), 0u);
  EXPECT_EQ(host_.tcp.tx_acked(id), 0u);
  EXPECT_TRUE(host_.tcp.read(now_, id, 0));
  host_.tcp.close(now_, id, false);
  host_.take_events();
  EXPECT_EQ(host_.ids.allocated(), 0u);
}

TEST_F(Program, LiesAboutWhatItWrote) {
  const ConnectionId id = peer_.accept(now_);
  const uint32_t ring = settings_.stream_bytes;
  EXPECT_FALSE(host_.tcp.wrote(now_, id, ring + 1, 0)) << "more than the ring holds";
  EXPECT_FALSE(host_.tcp.wrote(now_, id, UINT32_MAX, 0));
  EXPECT_TRUE(host_.tcp.wrote(now_, id, 100, 0));
  EXPECT_FALSE(host_.tcp.wrote(now_, id, 99, 0)) << "backwards";
  EXPECT_TRUE(host_.tcp.wrote(now_, id, 100, 0));
  EXPECT_TRUE(host_.tcp.wrote(now_, id, ring, 0)) << "exactly full";
  EXPECT_FALSE(host_.tcp.wrote(now_, id, ring + 1, 0));
  peer_.drain(now_);
  peer_.send(now_, kTcpAck, 1, 51);
  EXPECT_TRUE(host_.tcp.wrote(now_, id, ring + 50, 0));
  EXPECT_FALSE(host_.tcp.wrote(now_, id, ring + 51, 0));
  EXPECT_FALSE(host_.tcp.wrote(now_, id, 20, 0)) << "before what is acknowledged";
}

// One thread writes while another shuts the direction down: no lie, but the stream has ended.
TEST_F(Program, WhatIsWrittenBehindTheFinIsNotSent) {
  const ConnectionId id = peer_.accept(now_);
  host_.write(now_, id, "first");
  host_.tcp.shutdown_write(now_, id);
  EXPECT_TRUE(host_.tcp.wrote(now_, id, 9, 0));
  const auto sent = peer_.drain(now_);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].payload, "first");
  EXPECT_EQ(sent[0].flags, kTcpFin | kTcpAck | kTcpPsh);
  peer_.send(now_, kTcpAck, 1, 7);
  EXPECT_TRUE(host_.tcp.wrote(now_, id, 13, 9));
  EXPECT_TRUE(peer_.drain(now_).empty());
  EXPECT_EQ(host_.tcp.state(id), State::fin_wait_2);
  EXPECT_FALSE(host_.tcp.wrote(now_, id, settings_.stream_bytes + 6, 9)) << "a lie all the same";
}

TEST_F(Program, ALieAboutTheBaseOnlySpoilsItsOwnBytes) {
  const ConnectionId id = peer_.accept(now_);
  EXPECT_TRUE(host_.tcp.wrote(now_, id, 1000, 0x12345678));
  const auto sent = peer_.drain(now_);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].payload.size(), 1000u);
}

TEST_F(Program, TheBaseHoldsUntilTheRingIsEmpty) {
  const ConnectionId id = peer_.accept(now_);
  host_.write(now_, id, "first");
  EXPECT_EQ(peer_.drain(now_).at(0).payload, "first");
  std::memcpy(host_.tx_ring(id) + 5, "second", 6);
  EXPECT_TRUE(host_.tcp.wrote(now_, id, 11, 0xdeadbeef));
  peer_.send(now_, kTcpAck, 1, 6);
  EXPECT_EQ(peer_.drain(now_).at(0).payload, "second");
}

TEST_F(Program, LiesAboutWhatItRead) {
  const ConnectionId id = peer_.accept(now_);
  peer_.send(now_, kTcpAck, 1, 1, "hello");
  EXPECT_FALSE(host_.tcp.read(now_, id, 6));
  EXPECT_TRUE(host_.tcp.read(now_, id, 3));
  EXPECT_FALSE(host_.tcp.read(now_, id, 2)) << "backwards";
  EXPECT_FALSE(host_.tcp.read(now_, id, UINT32_MAX));
  EXPECT_TRUE(host_.tcp.read(now_, id, 5));
}

TEST_F(Program, LateNewsAboutADeadConnectionIsNoLie) {
  const ConnectionId id = peer_.accept(now_);
  peer_.send(now_, kTcpRst, 1, 0);
  EXPECT_TRUE(host_.tcp.wrote(now_, id, 100, 0));
  EXPECT_FALSE(host_.tcp.has_output());
}

TEST_F(Program, DataWrittenBeforeTheHandshakeGoesOutAfterIt) {
  const ConnectionId id = host_.open();
  ASSERT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(kPeerAddress), 8080}), 0);
  peer_.our_port = host_.tcp.local(id).port;
  host_.write(now_, id, "early");
  EXPECT_EQ(peer_.drain(now_).size(), 1u);
  peer_.syn(now_, kTcpSyn | kTcpAck, 1);
  const auto sent = peer_.drain(now_);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].payload, "early");
}

TEST_F(Program, ASocketCanConnectAgainAfterAFailure) {
  const ConnectionId id = host_.open();
  ASSERT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(kPeerAddress), 8080}), 0);
  peer_.our_port = host_.tcp.local(id).port;
  peer_.drain(now_);
  peer_.send(now_, kTcpRst | kTcpAck, 0, 1);
  EXPECT_EQ(host_.tcp.error(id), ECONNREFUSED);
  ASSERT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(kPeerAddress), 8080}), 0);
  EXPECT_EQ(host_.tcp.error(id), 0);
  EXPECT_EQ(host_.tcp.state(id), State::syn_sent);
}

TEST_F(Program, OptionsAreInherited) {
  const ConnectionId listener = host_.listen(80);
  Options options;
  options.no_delay = true;
  options.receive_buffer = 4096;
  host_.tcp.set_options(now_, listener, options);
  const ConnectionId id = peer_.connect(now_, listener).value();
  EXPECT_TRUE(host_.tcp.options(id).no_delay);
  EXPECT_LE(host_.tcp.info(id).receive_window, 4096u);
}

TEST_F(Program, MaxSegment) {  // TCP_MAXSEG
  const ConnectionId id = host_.open();
  Options options;
  options.max_segment = 600;
  host_.tcp.set_options(now_, id, options);
  ASSERT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(kPeerAddress), 8080}), 0);
  const auto sent = peer_.drain(now_);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].options.mss, 600);
}

// RFC 6691 section 3: what we can take is what our link carries, whatever the path does.
TEST_F(Program, TheLinksSegmentIsAnnouncedOnASmallPath) {
  host_.path.mss = 960;
  const ConnectionId id = host_.open();
  ASSERT_EQ(host_.tcp.connect(now_, id, {IpAddress::v4(kPeerAddress), 8080}), 0);
  EXPECT_EQ(peer_.drain(now_).at(0).options.mss, 1460);
  EXPECT_EQ(host_.tcp.info(id).advertised_mss, 1460u);
  peer_.our_port = host_.tcp.local(host_.listen(81)).port;
  peer_.settings.port = 8081;
  peer_.syn(now_, kTcpSyn);
  EXPECT_EQ(peer_.drain(now_).at(0).options.mss, 1460);
}

TEST_F(Program, EventsAreTakenOnce) {
  const ConnectionId id = peer_.accept(now_);
  peer_.send(now_, kTcpAck, 1, 1, "a");
  peer_.send(now_, kTcpAck, 2, 1, "b");
  Event event;
  uint32_t bits = 0;
  while (host_.tcp.next_event(event)) {
    EXPECT_EQ(event.id, id);
    EXPECT_EQ(bits & event.bits, 0u);
    bits |= event.bits;
  }
  EXPECT_EQ(bits, kEstablished | kReadable);
  EXPECT_FALSE(host_.tcp.has_events());
}

TEST_F(Program, BytesAreCountedBeyondFourGigabytes) {
  const ConnectionId id = peer_.accept(now_);
  host_.take_events();
  const std::string chunk(60000, 'x');
  uint32_t seq = 1;
  uint64_t total = 0;
  while (total < (uint64_t{1} << 32) + 1'000'000) {
    peer_.send(now_, kTcpAck, seq, 1, chunk);
    seq += 60000;
    total += 60000;
    ASSERT_TRUE(host_.tcp.read(now_, id, static_cast<uint32_t>(total)));
    SegmentOut out;
    while (host_.tcp.next_segment(now_, 65535, out)) {
    }
  }
  EXPECT_EQ(host_.tcp.info(id).bytes_received, total);
  EXPECT_EQ(host_.tcp.rx_written(id), static_cast<uint32_t>(total));
}

TEST_F(Program, PositionsWrapWhenSending) {
  const ConnectionId id = peer_.accept(now_);
  peer_.settings.window_scale = 0;
  uint64_t total = 0;
  SegmentOut out;
  while (total < (uint64_t{1} << 32) + 1'000'000) {
    const uint32_t position = static_cast<uint32_t>(total + 10000);
    ASSERT_TRUE(host_.tcp.wrote(now_, id, position, static_cast<uint32_t>(total)));
    uint32_t bytes = 0;
    while (host_.tcp.next_segment(now_, 65535, out)) bytes += out.payload_bytes();
    ASSERT_EQ(bytes, 10000u);
    total += 10000;
    peer_.send(now_, kTcpAck, 1, static_cast<uint32_t>(1 + total));
    ASSERT_EQ(host_.tcp.tx_acked(id), position);
  }
  EXPECT_EQ(host_.tcp.info(id).bytes_acked, total);
  EXPECT_EQ(host_.tcp.info(id).retransmissions, 0u);
}

}  // namespace
}  // namespace skerry::tcp
