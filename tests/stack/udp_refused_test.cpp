// Datagrams that are refused (icmp(7), ip(7) IP_RECVERR): the socket's owner decides what it wants to hear.
#include <cerrno>

#include "udp_component_world.hpp"

namespace skerry::stack {
namespace {

class RefusedTest : public UdpComponentTest {
 protected:
  // From a router, about a datagram of ours.
  void refuse(uint16_t our_port, IcmpHeader header, const Packet& payload) {
    Ipv4Header about;
    about.source = kOurs;
    about.destination = kPeer;
    about.protocol = IpProtocol::kUdp;
    const Packet packet = ipv4_packet(about, udp_datagram(kOurs, kPeer, our_port, 9, payload));
    Ipv4Header from = from_peer(IpProtocol::kIcmp);
    from.source = kFar;
    from.ttl = 61;
    peer_sends(ipv4_frame(from, icmp_message(header, packet)));
    breathe_all();
  }
};

TEST_F(RefusedTest, IsToldWithWhoWhyAndWhatOf) {
  refuse(7, {IcmpType::kTimeExceeded, 0}, bytes_of("how far?"));
  ASSERT_EQ(sink_.refusals.size(), 1u);
  const auto& [id, error] = sink_.refusals[0];
  EXPECT_EQ(id, 0u);
  EXPECT_EQ(error.error, EHOSTUNREACH);
  EXPECT_FALSE(error.hard);
  EXPECT_EQ(error.type, 11);
  EXPECT_EQ(error.offender, kFar);
  EXPECT_EQ(error.ttl, 61);
  EXPECT_EQ(error.remote, peer_endpoint_);
  EXPECT_EQ(std::string(error.quote.begin(), error.quote.begin() + error.quoted), "how far?");
  refuse(8, {IcmpType::kTimeExceeded, 0}, bytes_of("nobody's"));
  EXPECT_EQ(sink_.refusals.size(), 1u);
}

TEST_F(RefusedTest, AQuoteIsCut) {
  refuse(7, {IcmpType::kDestinationUnreachable, kPortUnreachable}, Packet(400, 'x'));
  ASSERT_EQ(sink_.refusals.size(), 1u);
  EXPECT_EQ(sink_.refusals[0].error.quoted, TransportError::kQuoteBytes);
  EXPECT_TRUE(sink_.refusals[0].error.hard);
}

TEST_F(RefusedTest, EachCodeMeansWhatLinuxMakesOfIt) {  // icmp_err_convert
  const std::pair<int, bool> expected[] = {{ENETUNREACH, false}, {EHOSTUNREACH, false}, {ENOPROTOOPT, true},
                                           {ECONNREFUSED, true}, {EMSGSIZE, true},      {EOPNOTSUPP, false},
                                           {ENETUNREACH, true},  {EHOSTDOWN, true},     {ENONET, true}};
  for (uint8_t code = 0; code < std::size(expected); ++code) {
    refuse(7, {IcmpType::kDestinationUnreachable, code}, bytes_of("x"));
    ASSERT_EQ(sink_.refusals.size(), code + 1u);
    EXPECT_EQ(sink_.refusals.back().error.error, expected[code].first) << int{code};
    EXPECT_EQ(sink_.refusals.back().error.hard, expected[code].second) << int{code};
  }
}

TEST_F(RefusedTest, ByOurselves) {
  ASSERT_EQ(udp_.connect(1, {IpAddress::v4(kLoop), 99}, IpAddress::v4(kLoop)), 0);
  ASSERT_EQ(send(1, {}, bytes_of("anybody?")), 0);
  for (int i = 0; i < 3; ++i) breathe_all();
  ASSERT_EQ(sink_.refusals.size(), 1u);
  EXPECT_EQ(sink_.refusals[0].error.error, ECONNREFUSED);
  EXPECT_EQ(sink_.refusals[0].error.offender, kLoop);
}

TEST_F(RefusedTest, WhereNeighbourDoesNotAnswer) {
  ASSERT_EQ(send(0, {IpAddress::v4(kOther), 9}, bytes_of("there?")), 0);
  for (int i = 0; i < 100 && sink_.refusals.empty(); ++i) {
    breathe_all();
    now_ += 100 * kMillisecond;
  }
  ASSERT_EQ(sink_.refusals.size(), 1u);
  const TransportError& error = sink_.refusals[0].error;
  EXPECT_EQ(error.error, EHOSTUNREACH);
  EXPECT_EQ(error.code, kHostUnreachable);
  EXPECT_EQ(error.offender, kOurs);
  EXPECT_EQ(std::string(error.quote.begin(), error.quote.begin() + error.quoted), "there?");
}

}  // namespace
}  // namespace skerry::stack
