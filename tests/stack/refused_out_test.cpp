// What we tell ourselves of packets that rules refuse on their way out: what was judged, whatever a neighbour
// makes of the memory where they lie, and as it was sent, whatever the rules made of it.
#include <gmock/gmock.h>

#include "filter/load.hpp"
#include "filter/nat_batch.hpp"
#include "stack/world.hpp"
#include "wire/tcp.hpp"

namespace skerry::stack {
namespace {

using filter::attribute;
using filter::be32;
using filter::join;
using filter::Octets;

// A neighbour that writes while rules judge: they ask about a socket, and it is then.
class RefusedOut : public World {
 protected:
  static constexpr uint32_t kPortUnreachable = 3;

  RefusedOut() { introduce_peer(); }
  // Each packet that leaves is refused, behind `before`.
  void use(uint32_t kind, const Octets& before = {}) {
    namespace nft = filter::nft;
    const Octets asks = filter::expression(
        "socket", join(attribute(nft::kSocketKey, be32(0)), attribute(nft::kSocketTo, be32(1))));
    const Octets reject = filter::expression(
        "reject", join(attribute(nft::kRejectType, be32(kind)),
                       attribute(nft::kRejectCode, Octets{static_cast<uint8_t>(kPortUnreachable)})));
    filter::Ruleset ruleset;
    const auto refused = filter::load(
        filter::batch(filter::table(), before,
                      filter::chain("out", filter::hook(static_cast<uint32_t>(filter::Hook::output))),
                      filter::rule("out", join(asks, reject))),
        ruleset);
    ASSERT_FALSE(refused) << refused->sentence;
    ip_.filter().ask_sockets(&overwrite, this);
    ip_.filter().use(filter::Engine(std::move(ruleset)), now_);
  }
  // From port 1000 to port 2000 of the peer.
  void send(IpProtocol protocol, const Packet& transport, uint32_t checksum) {
    Way way(protocol);
    ASSERT_TRUE(ip_.find(way, kPeer, 0));
    ASSERT_GE(ip_.reserve(way), transport.size());
    Outgoing out = ip_.open(way, static_cast<uint32_t>(transport.size()));
    std::copy(transport.begin(), transport.end(), out.transport);
    ip_.settle_checksum(out, way, checksum);
    packet_ = Bytes(out.transport - Ipv4Header::kMinBytes, Ipv4Header::kMinBytes + transport.size());
    EXPECT_FALSE(ip_.send(now_, way, out));
    EXPECT_TRUE(packet_.empty()) << "nobody has written";
  }
  void send_datagram(const char* text) {
    send(IpProtocol::kUdp, udp_datagram(kOurs, kPeer, 1000, 2000, bytes_of(text)),
         UdpHeader::kChecksumOffset);
  }
  void expect_error(const char* text) {
    const auto errors = ip_.udp_errors().view();
    ASSERT_EQ(errors.size(), 1U);
    EXPECT_EQ(errors[0].local, (Endpoint{IpAddress::v4(kOurs), 1000}));
    EXPECT_EQ(errors[0].remote, (Endpoint{IpAddress::v4(kPeer), 2000}));
    EXPECT_EQ(errors[0].error, ECONNREFUSED);
    EXPECT_THAT(std::vector(errors[0].quote.begin(), errors[0].quote.begin() + errors[0].quoted),
                testing::ElementsAreArray(bytes_of(text)));
  }

 private:
  // It seems to have been for another then, who is not there to be judged.
  static std::optional<filter::Socket> overwrite(const void* self, const filter::Tuple&) {
    Bytes& packet = const_cast<RefusedOut*>(static_cast<const RefusedOut*>(self))->packet_;
    store_be32(&packet[16], kOther);
    std::fill(packet.begin() + Ipv4Header::kMinBytes, packet.end(), uint8_t{0x55});
    packet = {};
    return std::nullopt;
  }

  Bytes packet_;
};

TEST_F(RefusedOut, AnErrorNamesAndQuotesWhatWasJudged) {
  use(0);
  send_datagram("judged");
  expect_error("judged");
}

TEST_F(RefusedOut, AlsoWhereRulesHadLedItElsewhere) {
  use(0, join(filter::nat_chain("dst", filter::Hook::output),
              filter::rule("dst", filter::nat(filter::kDnat, kOther))));
  send_datagram("judged");
  expect_error("judged");
}

TEST_F(RefusedOut, AResetIsOfTheConnectionThatWasJudged) {
  use(1);
  Packet syn(TcpHeader::kMinBytes);
  TcpHeader header;
  header.source_port = 1000;
  header.destination_port = 2000;
  header.seq = 7;
  header.flags = kTcpSyn;
  header.emit(syn.data());
  send(IpProtocol::kTcp, syn, TcpHeader::kChecksumOffset);
  ip_.tx(now_);
  ip_.rx(now_);
  ASSERT_EQ(ip_.tcp_segments().view().size(), 1U);
  const Segment& segment = ip_.tcp_segments().view()[0];
  const auto reset = TcpHeader::parse(segment.bytes);
  ASSERT_TRUE(reset);
  EXPECT_EQ(segment.source, kPeer);
  EXPECT_EQ(reset->source_port, 2000);
  EXPECT_EQ(reset->destination_port, 1000);
  EXPECT_EQ(reset->ack, 8U);
  ip_.give_back(segment);
  ip_.tcp_segments().clear();
}

}  // namespace
}  // namespace skerry::stack
