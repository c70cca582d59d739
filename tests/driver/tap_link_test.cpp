// What is TapLink's alone, on a socket that stands for the device; what every driver does is in
// conformance.hpp.
#include "driver/tap/tap_link.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "driver/tap/virtio_header.hpp"

namespace skerry {
namespace {

using Octets = std::vector<uint8_t>;

class TapLinkTest : public testing::Test {
 protected:
  TapLinkTest() {
    int ends[2];
    CHECK(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends) == 0);
    kernel_.reset(ends[0]);
    Result<TapLink> link = TapLink::create(Fd(ends[1]), InterfaceWatch(), 1500);
    CHECK(link);
    link_.emplace(std::move(*link));
  }

  void kernel_sends(const VirtioNetHeader& header, const Octets& bytes) {
    Octets packet(sizeof header + bytes.size());
    std::memcpy(packet.data(), &header, sizeof header);
    if (!bytes.empty()) std::memcpy(packet.data() + sizeof header, bytes.data(), bytes.size());
    ASSERT_EQ(::write(kernel_.get(), packet.data(), packet.size()), static_cast<ssize_t>(packet.size()));
  }
  // Header and bytes of what the link sent; nothing if it did not.
  std::optional<std::pair<VirtioNetHeader, Octets>> kernel_receives() {
    Octets packet(100'000);
    const ssize_t got = ::read(kernel_.get(), packet.data(), packet.size());
    VirtioNetHeader header;
    if (got < static_cast<ssize_t>(sizeof header)) return std::nullopt;
    std::memcpy(&header, packet.data(), sizeof header);
    return std::pair(header, Octets(packet.begin() + sizeof header, packet.begin() + got));
  }

  uint64_t refused() {
    uint64_t found = 0;
    link_->each_count([&](std::string_view name, uint64_t value) {
      if (name == "drop.refused") found = value;
    });
    return found;
  }

  Fd kernel_;
  std::optional<TapLink> link_;
};

TEST_F(TapLinkTest, ReceivesFramesWithTheirMarks) {
  Octets big(60'000);
  for (size_t i = 0; i < big.size(); ++i) big[i] = static_cast<uint8_t>(i * 7);
  VirtioNetHeader super;
  super.flags = VirtioNetHeader::kNeedsChecksum;
  super.gso_type = VirtioNetHeader::kGsoTcp4;
  super.gso_size = 1448;
  super.csum_start = 34;
  super.csum_offset = 16;
  kernel_sends({}, Octets(60, 0xab));
  kernel_sends(super, big);
  FrameBatch batch;
  link_->receive(batch);
  ASSERT_EQ(batch.count, 2u);
  EXPECT_EQ(batch.frames[0].length, 60u);
  EXPECT_EQ(batch.frames[0].flags, 0);
  EXPECT_EQ(batch.frames[1].flags, kChecksumNeeded | kSegmentTcp4);
  const Bytes data = link_->data(batch.frames[1]);
  EXPECT_EQ(Octets(data.begin(), data.end()), big);
  for (const Frame& frame : batch.view()) link_->give_back(frame);
  EXPECT_EQ(link_->counters().rx_frames, 2u);
}

TEST_F(TapLinkTest, SendsAFrameAsOneWrite) {
  std::optional<Frame> frame = link_->allocate(100);
  ASSERT_TRUE(frame);
  std::memset(link_->data(*frame).data(), 0x5a, 100);
  frame->flags = kChecksumNeeded;
  frame->checksum_start = 34;
  frame->checksum_offset = 6;
  ASSERT_EQ(link_->send({&*frame, 1}), 1u);
  const auto got = kernel_receives();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->second, Octets(100, 0x5a));
  EXPECT_EQ(got->first.flags, VirtioNetHeader::kNeedsChecksum);
  EXPECT_EQ(got->first.csum_start, 34);
  EXPECT_EQ(got->first.csum_offset, 6);
}

TEST_F(TapLinkTest, SlotsComeBackHoweverAFrameEnds) {
  for (int round = 0; round < 1000; ++round) {
    std::optional<Frame> sent = link_->allocate(60), unsent = link_->allocate(60);
    ASSERT_TRUE(sent && unsent);
    ASSERT_EQ(link_->send({&*sent, 1}), 1u);
    link_->give_back(*unsent);
    kernel_receives();
    kernel_sends({}, round % 2 ? Octets(60) : Octets());
    FrameBatch batch;
    link_->receive(batch);
    EXPECT_EQ(batch.count, round % 2);
    for (const Frame& frame : batch.view()) link_->give_back(frame);
  }
  EXPECT_EQ(refused(), 500u) << "the empty ones";
}

TEST_F(TapLinkTest, WhatTheKernelRefusesIsLostAndCounted) {
  kernel_.reset();
  ::signal(SIGPIPE, SIG_IGN);
  const std::optional<Frame> frame = link_->allocate(60);
  EXPECT_EQ(link_->send({&*frame, 1}), 1u);
  EXPECT_EQ(refused(), 1u);
  EXPECT_EQ(link_->counters().tx_frames, 0u);
}

TEST_F(TapLinkTest, RefusesWhatIsNoDescriptor) {
  EXPECT_FALSE(TapLink::create(Fd(), InterfaceWatch(), 1500));
}

}  // namespace
}  // namespace skerry
