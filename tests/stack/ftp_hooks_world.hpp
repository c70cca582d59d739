// An Ip whose rules have FTP connections read, and a client of such a connection here.
#pragma once

#include "filter/ftp_world.hpp"
#include "stack/filter_hooks.hpp"
#include "stack/world.hpp"

namespace skerry::stack {

inline constexpr uint32_t kLong = 0x0a0000c8;  // 10.0.0.200

// Connections to port 21 that begin at a hook are read; `more` stands behind that.
inline filter::Octets ftp_rules(filter::Hook at, const filter::Octets& more) {
  return filter::batch(filter::table(), filter::helper_object(filter::helper_words()),
                       filter::chain("c", filter::hook(static_cast<uint32_t>(at))),
                       filter::rule("c", filter::join(filter::port_is(21), filter::help())), more);
}
// Whoever leaves seems to be at the longer address.
inline filter::Octets behind_long() {
  return filter::join(filter::nat_chain("post", filter::Hook::postrouting),
                      filter::rule("post", filter::nat(filter::kSnat, kLong)));
}

class FtpHooksTest : public World {
 protected:
  explicit FtpHooksTest(LinkFacts (*facts)(const MacAddress&) = wire_facts) : World(facts) {
    introduce_peer();
  }
  void use(const filter::Octets& bytes) {
    filter::Ruleset ruleset;
    const auto refused = filter::load(bytes, ruleset);
    ASSERT_FALSE(refused) << refused->sentence;
    ip_.filter().use(filter::Engine(std::move(ruleset)), now_);
  }
  void peer_says(const filter::Octets& packet) {
    peer_sends(ethernet_frame({kOurMac, kPeerMac, EtherType::kIpv4}, packet));
    ip_.rx(now_);
  }
  // The frame that left; without bytes: none did.
  Seen we_say(const filter::Octets& packet, uint16_t gso_size = 0) {
    Way way{IpProtocol::kTcp};
    const auto bytes = static_cast<uint32_t>(packet.size() - Ipv4Header::kMinBytes);
    EXPECT_TRUE(ip_.find(way, load_be32(&packet[16]), 0));
    EXPECT_GE(ip_.reserve(way), bytes);
    Outgoing out = ip_.open(way, bytes);
    std::copy(packet.begin() + Ipv4Header::kMinBytes, packet.end(), out.transport);
    if (gso_size != 0) {
      out.frame->gso_size = gso_size;
      out.frame->flags |= kSegmentTcp4;
    }
    ip_.settle_checksum(out, way, TcpHeader::kChecksumOffset);
    ip_.send(now_, way, out);
    ip_.tx(now_);
    const auto seen = peer_receives();
    return seen.empty() ? Seen{} : seen.back();
  }
  // What the segment acknowledges that came last, and its payload.
  std::pair<uint32_t, std::string> last_heard() {
    std::pair<uint32_t, std::string> heard;
    for (const Segment& segment : ip_.tcp_segments().view()) {
      heard.first = load_be32(segment.header().data() + 8);
      heard.second.assign(segment.bytes.begin() + TcpHeader::kMinBytes, segment.bytes.end());
      ip_.give_back(segment);
    }
    ip_.tcp_segments().clear();
    return heard;
  }
  uint64_t counted(uint32_t stateful) { return ip_.filter().engine().tally(stateful).packets; }
};

// A client here, behind a longer address.
class FtpClient : public FtpHooksTest {
 protected:
  explicit FtpClient(LinkFacts (*facts)(const MacAddress&) = wire_facts) : FtpHooksTest(facts) {
    use(ftp_rules(filter::Hook::output, behind_long()));
    we_say(filter::segment(kInside, filter::kSyn, 999));
    peer_says(filter::segment(kOutside, filter::kSyn | filter::kAck, 4999, 1000));
    we_say(filter::said(kInside, 1000, 5000, "USER a\r\n"));
  }
  static constexpr filter::Ends kInside{kOurs, kPeer, 40000, 21}, kOutside{kPeer, kLong, 21, 40000};
  static constexpr const char* kBefore = "PORT 10,0,0,2,4,210\r\n";
  static constexpr const char* kBehind = "PORT 10,0,0,200,4,210\r\n";
};

class FtpClientInMemory : public FtpClient {
 protected:
  FtpClientInMemory() : FtpClient(memory_facts) {}
};

}  // namespace skerry::stack
