// What must not pass: between ports that are not joined, under a name that is not the sender's, or changed
// after it was judged.
#include <gtest/gtest.h>

#include <functional>

#include "network.hpp"

namespace skerry::vswitch {
namespace {

TEST(Isolation, OnlyJoinedPortsExchangeFrames) {
  Network network;
  const PortId ports[] = {network.add(1), network.add(2), network.add(3), network.add(4, true)};
  network.vswitch.set_joined(ports[0], ports[1], true);
  network.vswitch.set_joined(ports[1], ports[3], true);
  const auto joined = [](int a, int b) {
    return (a == 0 && b == 1) || (a == 1 && b == 0) || (a == 1 && b == 3) || (a == 3 && b == 1);
  };
  for (int from = 0; from < 4; ++from) {
    for (int to = 0; to < 4; ++to) {
      if (from == to) continue;
      const auto number = [](int port) { return static_cast<uint8_t>(port + 1); };
      const MacAddress destination = mac_of(number(to));
      network.send(ports[from],
                   ipv4(destination, mac_of(number(from)), address_of(number(from)), address_of(1)));
      network.breathe();
      for (int at = 0; at < 4; ++at) {
        // The uplink's own address is not bound: until it speaks, frames for it go to the uplinks that are
        // joined.
        EXPECT_EQ(network.received_count(ports[at]), at == to && joined(from, to) ? 1u : 0u)
            << from << " to " << to << " seen at " << at;
      }
    }
  }
  EXPECT_EQ(network.dropped(ports[0], Drop::kIsolated), 1u) << "0 to 2";
  EXPECT_EQ(network.dropped(ports[0], Drop::kUnknown), 1u) << "0 to the uplink";

  network.send(ports[0], ipv4(kBroadcast, mac_of(1), address_of(1), 0xffffffff));
  network.send(ports[2], ipv4(kBroadcast, mac_of(3), address_of(3), 0xffffffff));
  network.breathe();
  EXPECT_EQ(network.received_count(ports[1]), 1u);
  EXPECT_EQ(network.received_count(ports[3]), 0u);
  EXPECT_EQ(network.dropped(ports[2], Drop::kUnknown), 2u) << "2 to the uplink, and its broadcast";
}

TEST(Isolation, JoiningEndsWhenItIsTakenBack) {
  Network network;
  const PortId a = network.add(1), b = network.add(2);
  network.vswitch.set_joined(a, b, true);
  network.vswitch.set_joined(b, a, false);
  network.send(a, ipv4(mac_of(2), mac_of(1), address_of(1), address_of(2)));
  network.breathe();
  EXPECT_EQ(network.received_count(b), 0u);
}

TEST(Isolation, SpoofedFramesAreDroppedAndCounted) {
  Network network;
  const PortId a = network.add(1), b = network.add(2), up = network.add(9, true);
  network.join_all();
  network.send(a, ipv4(mac_of(2), mac_of(9), address_of(1), address_of(2)));
  network.send(a, ipv4(mac_of(2), mac_of(1), address_of(9), address_of(2)));
  network.send(
      a, arp(kBroadcast, mac_of(1), {ArpOperation::kReply, mac_of(1), address_of(2), {}, address_of(9)}));
  network.send(a, ethernet(mac_of(2), mac_of(1), EtherType::kIpv6, 60));
  network.send(up, ipv4(mac_of(2), mac_of(9), address_of(1), address_of(2)));
  network.breathe();
  EXPECT_EQ(network.received_count(b) + network.received_count(up), 0u);
  EXPECT_EQ(network.dropped(a, Drop::kSourceMac), 1u);
  EXPECT_EQ(network.dropped(a, Drop::kSourceAddress), 1u);
  EXPECT_EQ(network.dropped(a, Drop::kArpSender), 1u);
  EXPECT_EQ(network.dropped(a, Drop::kUnjudgedType), 1u);
  EXPECT_EQ(network.dropped(up, Drop::kSourceAddress), 1u);
}

TEST(Isolation, NothingReturnsToItsPort) {
  Network network;
  const PortId a = network.add(1);
  network.add(2);
  network.join_all();
  network.send(a, ipv4(mac_of(1), mac_of(1), address_of(1), address_of(1)));
  network.breathe();
  EXPECT_EQ(network.received_count(a), 0u);
  EXPECT_EQ(network.dropped(a, Drop::kHairpin), 1u);
}

// A link whose memory changes behind the switch's back: between two looks at a frame the sender writes
// another source address into it. What arrives must be what was judged.
class ChangingLink {
 public:
  explicit ChangingLink(Octets frame) : memory_(std::move(frame)) {}

  std::optional<Frame> allocate(uint32_t bytes) {
    sent_.assign(bytes, 0);
    Frame frame;
    frame.slot = 1;
    frame.length = bytes;
    return frame;
  }
  size_t send(std::span<const Frame> frames) {
    for (size_t i = 0; i < frames.size(); ++i) received.push_back(sent_);
    return frames.size();
  }
  void receive(FrameBatch& batch) {
    if (memory_.empty() || done_) return;
    done_ = true;
    Frame frame;
    frame.length = static_cast<uint32_t>(memory_.size());
    batch.push(frame);
  }
  Bytes data(const Frame& frame) { return frame.slot == 1 ? Bytes(sent_) : Bytes(memory_); }
  void give_back(const Frame&) {}
  Carrier carrier() const { return {}; }
  void tell(Carrier) {}
  bool arm() { return true; }
  void disarm() {}
  const LinkFacts& facts() const { return facts_; }

  // The hostile neighbour's hand.
  Octets& memory() { return memory_; }
  std::vector<Octets> received;

 private:
  Octets memory_, sent_;
  bool done_ = false;
  LinkFacts facts_;
};

// The receiver whose allocate() is the moment at which the sender strikes: after judging, before copying.
class StrikingLink : public ChangingLink {
 public:
  using ChangingLink::ChangingLink;
  std::optional<Frame> allocate(uint32_t bytes) {
    if (strike) strike();
    return ChangingLink::allocate(bytes);
  }
  std::function<void()> strike;
};

TEST(Isolation, WhatWasJudgedIsWhatArrivesAtEachReceiver) {
  const Octets honest = ipv4(kBroadcast, mac_of(1), address_of(1), 0xffffffff, 400);
  StrikingLink sender(honest), first{Octets{}}, second{Octets{}};
  first.strike = second.strike = [&] {
    std::fill(sender.memory().begin(), sender.memory().begin() + kJudgedBytes, uint8_t{0xee});
  };
  Vswitch<StrikingLink> vswitch({}, 1);
  const PortId a = *vswitch.add_port({mac_of(1), {address_of(1)}, false}, sender);
  const PortId b = *vswitch.add_port({mac_of(2), {address_of(2)}, false}, first);
  const PortId c = *vswitch.add_port({mac_of(3), {address_of(3)}, false}, second);
  vswitch.set_joined(a, b, true);
  vswitch.set_joined(a, c, true);
  vswitch.rx(0);
  vswitch.tx(0);
  ASSERT_EQ(sender.memory()[6], 0xee) << "the sender did strike";
  ASSERT_EQ(first.received.size(), 1u);
  ASSERT_EQ(second.received.size(), 1u);
  EXPECT_EQ(first.received[0], honest);
  EXPECT_EQ(second.received[0], honest);
}

}  // namespace
}  // namespace skerry::vswitch
