#include "vswitch/judge.hpp"

#include <gtest/gtest.h>

#include "frames.hpp"

namespace skerry::vswitch {
namespace {

// Port 1 is bound to mac 1 and address 1, port 2 to mac 2 and addresses 2 and 22, port 9 is an uplink.
class JudgeTest : public testing::Test {
 protected:
  JudgeTest() : macs_({}, 1) {
    macs_.add_static(mac_key(mac_of(1)), 1);
    macs_.add_static(mac_key(mac_of(2)), 2);
    addresses_.add(address_of(1), 1);
    addresses_.add(address_of(2), 2);
    addresses_.add(address_of(22), 2);
  }

  Drop from_bound(const Octets& frame, Frame marks = {}) { return judged(frame, marks, bound_); }
  Drop from_uplink(const Octets& frame, Frame marks = {}) { return judged(frame, marks, uplink_); }
  Drop judged(const Octets& frame, Frame marks, const Sender& sender) {
    marks.length = static_cast<uint32_t>(frame.size());
    return judge(ConstBytes(frame).first(std::min(frame.size(), kJudgedBytes)), marks, sender, macs_,
                 addresses_, 0);
  }

  MacTable macs_;
  AddressTable addresses_;
  const std::vector<Ipv4Address> own_ = {address_of(2), address_of(22)};
  const Sender bound_{2, false, mac_key(mac_of(2)), own_};
  const Sender uplink_{9, true, 0, {}};
};

TEST_F(JudgeTest, ABoundPortSendsAsItself) {
  EXPECT_EQ(from_bound(ipv4(mac_of(1), mac_of(2), address_of(2), address_of(1))), Drop::kNone);
  EXPECT_EQ(from_bound(ipv4(kBroadcast, mac_of(2), address_of(22), 0xffffffff)), Drop::kNone);
}

TEST_F(JudgeTest, ABoundPortSendsAsNobodyElse) {
  EXPECT_EQ(from_bound(ipv4(mac_of(1), mac_of(3), address_of(2), address_of(1))), Drop::kSourceMac);
  EXPECT_EQ(from_bound(ipv4(mac_of(2), mac_of(1), address_of(2), address_of(1))), Drop::kSourceMac);
  for (const Ipv4Address source : {address_of(1), address_of(3), Ipv4Address{0}, Ipv4Address{0x7f000001}})
    EXPECT_EQ(from_bound(ipv4(mac_of(1), mac_of(2), source, address_of(1))), Drop::kSourceAddress);
}

TEST_F(JudgeTest, AnUplinkSendsAsWhoeverIsNotHere) {
  EXPECT_EQ(from_uplink(ipv4(mac_of(2), mac_of(7), address_of(7), address_of(2))), Drop::kNone);
  EXPECT_EQ(from_uplink(ipv4(mac_of(2), mac_of(1), address_of(7), address_of(2))), Drop::kSourceMac);
  EXPECT_EQ(from_uplink(ipv4(mac_of(2), mac_of(7), address_of(1), address_of(2))), Drop::kSourceAddress);
  EXPECT_EQ(from_uplink(ipv4(mac_of(2), kBroadcast, address_of(7), address_of(2))), Drop::kSourceMac);
  EXPECT_EQ(from_uplink(ipv4(mac_of(2), MacAddress{}, address_of(7), address_of(2))), Drop::kSourceMac);
}

TEST_F(JudgeTest, ArpSpeaksOnlyForItsSender) {
  const ArpPacket own{ArpOperation::kReply, mac_of(2), address_of(22), mac_of(1), address_of(1)};
  EXPECT_EQ(from_bound(arp(mac_of(1), mac_of(2), own)), Drop::kNone);
  ArpPacket probe = own;
  probe.operation = ArpOperation::kRequest;
  probe.sender = 0;
  EXPECT_EQ(from_bound(arp(kBroadcast, mac_of(2), probe)), Drop::kNone);

  ArpPacket other_address = own;
  other_address.sender = address_of(1);
  EXPECT_EQ(from_bound(arp(mac_of(1), mac_of(2), other_address)), Drop::kArpSender);
  EXPECT_EQ(from_uplink(arp(mac_of(2), mac_of(7), other_address)), Drop::kArpSender);
  ArpPacket other_mac = own;
  other_mac.sender_mac = mac_of(1);
  EXPECT_EQ(from_bound(arp(mac_of(1), mac_of(2), other_mac)), Drop::kArpSender);
  EXPECT_EQ(from_uplink(arp(mac_of(2), mac_of(7), other_mac)), Drop::kArpSender);

  const ArpPacket router{ArpOperation::kReply, mac_of(7), address_of(7), mac_of(2), address_of(2)};
  EXPECT_EQ(from_uplink(arp(mac_of(2), mac_of(7), router)), Drop::kNone);
}

TEST_F(JudgeTest, WhatCannotBeJudgedDoesNotLeaveABoundPort) {
  const auto vlan = static_cast<EtherType>(0x8100);
  EXPECT_EQ(from_bound(ethernet(mac_of(1), mac_of(2), EtherType::kIpv6, 60)), Drop::kUnjudgedType);
  EXPECT_EQ(from_bound(ethernet(mac_of(1), mac_of(2), vlan, 60)), Drop::kUnjudgedType);
  EXPECT_EQ(from_bound(ethernet(mac_of(1), mac_of(2), static_cast<EtherType>(46), 46)), Drop::kUnjudgedType);
  EXPECT_EQ(from_uplink(ethernet(mac_of(1), mac_of(7), EtherType::kIpv6, 60)), Drop::kNone);
}

TEST_F(JudgeTest, RefusesWhatIsNotWellFormed) {
  const Octets good = ipv4(mac_of(1), mac_of(2), address_of(2), address_of(1));
  EXPECT_EQ(from_bound(Octets(good.begin(), good.begin() + 13)), Drop::kRunt);
  EXPECT_EQ(from_bound({}), Drop::kRunt);
  EXPECT_EQ(from_bound(Octets(good.begin(), good.begin() + 33)), Drop::kMalformed);
  EXPECT_EQ(from_bound(Octets(good.begin(), good.end() - 1)), Drop::kMalformed) << "shorter than it says";
  Octets version6 = good;
  version6[14] = 0x65;
  EXPECT_EQ(from_bound(version6), Drop::kMalformed);
  EXPECT_EQ(from_bound(ethernet(mac_of(1), mac_of(2), EtherType::kArp, 27)), Drop::kMalformed);
  Octets padded = good;
  padded.resize(good.size() + 10);
  EXPECT_EQ(from_bound(padded), Drop::kNone) << "Ethernet pads";
}

// A checksum that is finished later is two bytes that are written later: only the transport's own field may
// be named.
TEST_F(JudgeTest, MarksNameTheTransportChecksumOnly) {
  const Octets udp = ipv4(mac_of(1), mac_of(2), address_of(2), address_of(1), 32, IpProtocol::kUdp);
  const Octets tcp = ipv4(mac_of(1), mac_of(2), address_of(2), address_of(1), 3000, IpProtocol::kTcp);
  EXPECT_EQ(from_bound(udp, unfinished(6)), Drop::kNone);
  EXPECT_EQ(from_bound(tcp, unfinished(16)), Drop::kNone);
  EXPECT_EQ(from_bound(tcp, super_frame(1460)), Drop::kNone);

  EXPECT_EQ(from_bound(udp, unfinished(16)), Drop::kBadMarks);
  EXPECT_EQ(from_bound(tcp, unfinished(6)), Drop::kBadMarks);
  EXPECT_EQ(from_bound(udp, super_frame(1460)), Drop::kBadMarks);
  Frame over_source_address = unfinished(6);
  over_source_address.checksum_start = 20;
  EXPECT_EQ(from_bound(udp, over_source_address), Drop::kBadMarks);
  Frame no_checksum = super_frame(1460);
  no_checksum.flags = kSegmentTcp4;
  EXPECT_EQ(from_bound(tcp, no_checksum), Drop::kBadMarks);

  Octets fragment = tcp;
  fragment[14 + 6] = 0x20;  // more fragments
  EXPECT_EQ(from_bound(fragment, super_frame(1460)), Drop::kBadMarks);
  EXPECT_EQ(from_bound(fragment), Drop::kNone);

  const ArpPacket own{ArpOperation::kReply, mac_of(2), address_of(2), mac_of(1), address_of(1)};
  EXPECT_EQ(from_bound(arp(mac_of(1), mac_of(2), own), unfinished(6)), Drop::kBadMarks);
}

TEST_F(JudgeTest, MarksOfOtherProtocolsLieBehindTheirHeaders) {
  const Octets ipv6 = ethernet(mac_of(1), mac_of(7), EtherType::kIpv6, 100);
  Frame marks = unfinished(16);
  EXPECT_EQ(from_uplink(ipv6, marks), Drop::kBadMarks);
  marks.checksum_start = 54;
  EXPECT_EQ(from_uplink(ipv6, marks), Drop::kNone);
  EXPECT_EQ(from_uplink(ipv6, super_frame(1000)), Drop::kBadMarks);
}

TEST_F(JudgeTest, AddressesAreForgottenWithTheirPort) {
  EXPECT_FALSE(addresses_.add(address_of(1), 5));
  EXPECT_TRUE(addresses_.is_foreign(address_of(1), 2));
  EXPECT_FALSE(addresses_.is_foreign(address_of(1), 1));
  addresses_.forget_port(1);
  EXPECT_FALSE(addresses_.is_foreign(address_of(1), 2));
  EXPECT_TRUE(addresses_.is_foreign(address_of(22), 1));
  EXPECT_TRUE(addresses_.add(address_of(1), 5));
}

}  // namespace
}  // namespace skerry::vswitch
