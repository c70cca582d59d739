// PasstLink against the other end of its socket, where this test speaks as passt does.
#include "driver/user/passt_link.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "base/random.hpp"
#include "wire/arp.hpp"
#include "wire/checksum.hpp"
#include "wire/ethernet.hpp"
#include "wire/ipv4.hpp"
#include "wire/tcp.hpp"

namespace skerry {
namespace {

using Octets = std::vector<uint8_t>;

constexpr PasstLink::Guest kGuest{{{2, 0, 0, 0, 0, 2}}, 0x0a4d0002, 0x0a4d0001};
constexpr uint32_t kLengthBytes = FrameStream::kLengthBytes;

class PasstLinkTest : public testing::Test {
 protected:
  PasstLinkTest() {
    int ends[2];
    CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    passt_.reset(ends[0]);
    Result<PasstLink> link = PasstLink::create(Fd(ends[1]), kGuest, 1500);
    CHECK(link);
    link_.emplace(std::move(*link));
    introduction_ = *passt_receives();
  }

  static Octets framed(const Octets& frame) {
    Octets bytes(kLengthBytes + frame.size());
    store_be32(bytes.data(), static_cast<uint32_t>(frame.size()));
    std::copy(frame.begin(), frame.end(), bytes.begin() + kLengthBytes);
    return bytes;
  }
  void passt_writes(const Octets& bytes) {
    ASSERT_EQ(::write(passt_.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  // The next frame that the link sent; nothing if it is not there as a whole.
  std::optional<Octets> passt_receives() {
    Octets bytes(1 << 20);
    const ssize_t got = ::read(passt_.get(), bytes.data(), bytes.size());
    if (got > 0) unread_.insert(unread_.end(), bytes.begin(), bytes.begin() + got);
    if (unread_.size() < kLengthBytes) return std::nullopt;
    const uint32_t length = load_be32(unread_.data());
    if (unread_.size() < kLengthBytes + length) return std::nullopt;
    const auto begin = unread_.begin() + kLengthBytes;
    Octets frame(begin, begin + length);
    unread_.erase(unread_.begin(), begin + length);
    return frame;
  }

  void send(const Octets& bytes, uint8_t flags = 0, uint16_t gso_size = 0) {
    std::optional<Frame> frame = link_->allocate(static_cast<uint32_t>(bytes.size()));
    ASSERT_TRUE(frame);
    std::copy(bytes.begin(), bytes.end(), link_->data(*frame).begin());
    frame->flags = flags;
    frame->gso_size = gso_size;
    frame->checksum_start = 34;
    frame->checksum_offset = TcpHeader::kChecksumOffset;
    ASSERT_EQ(link_->send({&*frame, 1}), 1u);
  }
  std::vector<Octets> receive() {
    FrameBatch batch;
    link_->receive(batch);
    std::vector<Octets> frames;
    for (const Frame& frame : batch.view()) {
      const Bytes bytes = link_->data(frame);
      frames.emplace_back(bytes.begin(), bytes.end());
      link_->give_back(frame);
    }
    return frames;
  }
  uint64_t count(std::string_view wanted) const {
    uint64_t found = UINT64_MAX;
    link_->each_count([&](std::string_view name, uint64_t value) {
      if (name == wanted) found = value;
    });
    return found;
  }
  bool awake() const {
    pollfd entry{link_->wake_fds().front(), POLLIN, 0};
    return ::poll(&entry, 1, 0) == 1;
  }

  Fd passt_;
  std::optional<PasstLink> link_;
  Octets introduction_;
  Octets unread_;
};

// A frame that says its own number in every byte.
Octets numbered(uint32_t number, size_t bytes) {
  return Octets(bytes, static_cast<uint8_t>(number * 31 + 1));
}

Octets arp_request(Ipv4Address target) {
  Octets frame(EthernetHeader::kBytes + ArpPacket::kBytes);
  EthernetHeader{{}, kGuest.mac, EtherType::kArp}.emit(frame.data());
  ArpPacket{ArpOperation::kRequest, kGuest.mac, kGuest.address, {}, target}.emit(frame.data() +
                                                                                 EthernetHeader::kBytes);
  return frame;
}

// A TCP segment whose checksum holds the sum of the pseudo-header alone.
Octets unfinished_segment(size_t payload_bytes, uint32_t tcp_header_bytes = TcpHeader::kMinBytes) {
  const size_t tcp_bytes = tcp_header_bytes + payload_bytes;
  Octets frame(EthernetHeader::kBytes + Ipv4Header::kMinBytes + tcp_bytes);
  for (size_t i = 0; i < payload_bytes; ++i) frame[frame.size() - 1 - i] = static_cast<uint8_t>(i * 13);
  EthernetHeader{{{2, 0, 0, 0, 0, 1}}, kGuest.mac, EtherType::kIpv4}.emit(frame.data());
  Ipv4Header ip;
  ip.protocol = IpProtocol::kTcp;
  ip.source = kGuest.address;
  ip.destination = kGuest.gateway;
  ip.total_bytes = static_cast<uint16_t>(Ipv4Header::kMinBytes + tcp_bytes);
  ip.header_bytes = Ipv4Header::kMinBytes;
  ip.emit(frame.data() + EthernetHeader::kBytes);
  uint8_t* const tcp = frame.data() + 34;
  std::memset(tcp, 0, TcpHeader::kMinBytes);
  std::memset(tcp + TcpHeader::kMinBytes, 1, tcp_header_bytes - TcpHeader::kMinBytes);  // options: NOP
  store_be32(tcp + 4, 1000);
  tcp[12] = static_cast<uint8_t>(tcp_header_bytes / 4 << 4);
  tcp[13] = 0x10;
  InternetChecksum sum = ipv4_pseudo_header(ip.source, ip.destination, 6, static_cast<uint16_t>(tcp_bytes));
  store_be16(tcp + TcpHeader::kChecksumOffset, static_cast<uint16_t>(~sum.finish()));
  return frame;
}

bool tcp_checksum_is_right(const Octets& frame) {
  const size_t tcp_bytes = frame.size() - 34;
  InternetChecksum sum =
      ipv4_pseudo_header(kGuest.address, kGuest.gateway, 6, static_cast<uint16_t>(tcp_bytes));
  sum.add({frame.data() + 34, tcp_bytes});
  return sum.finish() == 0;
}

// passt learns the guest's MAC address from what it sends, and a server sends nothing before it is asked.
TEST_F(PasstLinkTest, TheGuestIsIntroducedBeforeAnythingElse) {
  EXPECT_EQ(EthernetHeader::parse(introduction_)->source, kGuest.mac);
  const auto arp = ArpPacket::parse(ConstBytes(introduction_).subspan(EthernetHeader::kBytes));
  ASSERT_TRUE(arp);
  EXPECT_EQ(arp->sender, kGuest.address);
  EXPECT_EQ(arp->target, kGuest.gateway);
}

// It would answer for the addresses of other programs.
TEST_F(PasstLinkTest, PasstIsAskedForTheGatewayAlone) {
  send(arp_request(0x0a4d0003));
  EXPECT_FALSE(passt_receives());
  EXPECT_EQ(count("kept_from_passt"), 1u);
  send(arp_request(kGuest.gateway));
  EXPECT_EQ(passt_receives(), arp_request(kGuest.gateway));
}

TEST_F(PasstLinkTest, FramesArriveHoweverTheStreamIsCut) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    Octets stream;
    std::vector<Octets> sent, got;
    for (uint32_t n = 0; n < 200; ++n) {
      sent.push_back(numbered(n, FrameStream::kMinFrame + random.below(n % 50 == 0 ? 65'522 : 1500)));
      const Octets bytes = framed(sent.back());
      stream.insert(stream.end(), bytes.begin(), bytes.end());
    }
    for (size_t at = 0; at < stream.size();) {
      const size_t piece = std::min<size_t>(stream.size() - at, 1 + random.below(1 << random.below(17)));
      const ssize_t taken = ::write(passt_.get(), stream.data() + at, piece);
      if (taken > 0) at += static_cast<size_t>(taken);
      for (Octets& frame : receive()) got.push_back(std::move(frame));
    }
    for (int rest = 0; rest < 10; ++rest) {
      for (Octets& frame : receive()) got.push_back(std::move(frame));
    }
    ASSERT_EQ(got.size(), sent.size());
    EXPECT_EQ(got, sent);
  }
}

TEST_F(PasstLinkTest, WhatTheSocketDoesNotTakeWaitsInOrder) {
  uint32_t made = 0;
  while (const std::optional<Frame> frame = link_->allocate(60'000)) {
    std::memset(link_->data(*frame).data(), static_cast<int>(made * 31 + 1) & 0xff, frame->length);
    ASSERT_EQ(link_->send({&*frame, 1}), 1u);
    ASSERT_LT(++made, 10'000u);
  }
  EXPECT_GT(made, link_->counters().tx_frames) << "some are still waiting";
  EXPECT_EQ(link_->counters().tx_no_memory, 1u);
  for (uint32_t n = 0; n < made; ++n) {
    std::optional<Octets> frame = passt_receives();
    for (int tries = 0; tries < 10 && !frame; ++tries) {
      link_->arm();
      frame = passt_receives();
    }
    ASSERT_TRUE(frame) << n;
    ASSERT_EQ(*frame, numbered(n, 60'000)) << n;
  }
  EXPECT_EQ(link_->counters().tx_frames, made + 1) << "and the introduction";
  EXPECT_TRUE(link_->allocate(60'000));
}

TEST_F(PasstLinkTest, RoomToSendWakesOnlyWhoWaitsForIt) {
  EXPECT_TRUE(link_->arm());
  EXPECT_FALSE(awake());
  while (const std::optional<Frame> frame = link_->allocate(60'000)) ASSERT_EQ(link_->send({&*frame, 1}), 1u);
  EXPECT_TRUE(link_->arm());
  EXPECT_FALSE(awake());
  while (passt_receives()) {
  }
  EXPECT_TRUE(awake());
  while (link_->counters().tx_frames < 128) {
    link_->arm();
    while (passt_receives()) {
    }
  }
  EXPECT_TRUE(link_->arm());
  EXPECT_FALSE(awake());
}

TEST_F(PasstLinkTest, ASuperFrameLeavesWholeAndFinished) {
  const Octets segment = unfinished_segment(60'000);
  send(segment, kChecksumNeeded | kSegmentTcp4, 1460);
  const std::optional<Octets> got = passt_receives();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->size(), segment.size());
  EXPECT_TRUE(tcp_checksum_is_right(*got));
  EXPECT_FALSE(passt_receives());
}

// An IPv4 packet of 65535 bytes is 14 bytes more as a frame, and passt takes 65535.
TEST_F(PasstLinkTest, TheLongestSuperFramesLeaveInHalves) {
  const Octets segment = unfinished_segment(65'535 - 20 - 60, 60);
  ASSERT_EQ(segment.size(), kMaxFrame);
  send(segment, kChecksumNeeded | kSegmentTcp4, 1460);
  Octets payload;
  for (int half = 0; half < 2; ++half) {
    const std::optional<Octets> got = passt_receives();
    ASSERT_TRUE(got);
    EXPECT_LE(got->size(), FrameStream::kMaxFrame);
    EXPECT_TRUE(tcp_checksum_is_right(*got));
    payload.insert(payload.end(), got->begin() + 34 + 60, got->end());
  }
  EXPECT_EQ(payload, Octets(segment.begin() + 34 + 60, segment.end()));
  EXPECT_EQ(count("drop.refused"), 0u);
}

TEST_F(PasstLinkTest, AFrameThatCannotBeCutIsRefusedAndCounted) {
  send(Octets(kMaxFrame, 0xab));
  EXPECT_FALSE(passt_receives());
  EXPECT_EQ(count("drop.refused"), 1u);
  for (int round = 0; round < 1000; ++round) send(Octets(kMaxFrame, 0xab));
}

TEST_F(PasstLinkTest, ALengthThatNoFrameHasIsAFault) {
  for (const uint32_t length : {0u, 13u, 65'536u, 0xffff'ffffu}) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    passt_.reset(ends[0]);
    Result<PasstLink> fresh = PasstLink::create(Fd(ends[1]), kGuest, 1500);
    ASSERT_TRUE(fresh);
    link_.emplace(std::move(*fresh));
    Octets stream = framed(numbered(1, 60)), bad(kLengthBytes);
    store_be32(bad.data(), length);
    stream.insert(stream.end(), bad.begin(), bad.end());
    passt_writes(stream);
    EXPECT_EQ(receive().size(), 1u) << "what came before is whole";
    receive();
    EXPECT_TRUE(link_->gone());
    EXPECT_EQ(link_->counters().faults, 1u);
    EXPECT_TRUE(link_->arm());
    passt_writes(framed(numbered(2, 60)));
    EXPECT_TRUE(receive().empty()) << "nobody knows where a frame begins now";
  }
}

TEST_F(PasstLinkTest, LentFramesAreNotOverwritten) {
  FrameBatch held;
  uint32_t made = 0;
  for (int round = 0; round < 100 && held.count < 20; ++round) {
    const Octets bytes = framed(numbered(made, 30'000));
    if (::write(passt_.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size())) ++made;
    link_->receive(held);
  }
  EXPECT_LT(held.count, 20u) << "the memory is full";
  for (uint32_t n = 0; n < held.count; ++n) {
    const Bytes bytes = link_->data(held.frames[n]);
    EXPECT_EQ(Octets(bytes.begin(), bytes.end()), numbered(n, 30'000)) << n;
    link_->give_back(held.frames[n]);
  }
  EXPECT_FALSE(receive().empty()) << "and goes on";
}

// As Debian 12's passt sends it, a client would have to ignore it.
TEST_F(PasstLinkTest, AResetThatAcknowledgesSaysSo) {
  Octets reset = unfinished_segment(0);
  uint8_t* const tcp = reset.data() + 34;
  store_be32(tcp + 8, 1001);
  for (const uint32_t sequence : {0u, 0x1234u, 0xfff0u, 0xffffu, 0xffff'ffffu}) {
    store_be32(tcp + 4, sequence);
    tcp[13] = kTcpRst;
    store_be16(tcp + TcpHeader::kChecksumOffset, 0);
    InternetChecksum sum = ipv4_pseudo_header(kGuest.address, kGuest.gateway, 6, 20);
    sum.add({tcp, 20});
    store_be16(tcp + TcpHeader::kChecksumOffset, sum.finish());
    passt_writes(framed(reset));
    const std::vector<Octets> got = receive();
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0][34 + 13], kTcpRst | kTcpAck);
    EXPECT_TRUE(tcp_checksum_is_right(got[0])) << sequence;
  }
  store_be32(tcp + 8, 0);
  passt_writes(framed(reset));
  EXPECT_EQ(receive(), std::vector<Octets>{reset}) << "it acknowledges nothing";
  tcp[13] = kTcpAck;
  store_be32(tcp + 8, 1001);
  passt_writes(framed(reset));
  EXPECT_EQ(receive(), std::vector<Octets>{reset}) << "and this resets nothing";
}

TEST_F(PasstLinkTest, TheEndOfPasstIsNoticed) {
  passt_writes(framed(numbered(1, 60)));
  passt_.reset();
  EXPECT_FALSE(link_->arm());
  EXPECT_EQ(receive(), std::vector<Octets>{numbered(1, 60)});
  receive();
  EXPECT_TRUE(link_->gone());
  EXPECT_TRUE(link_->arm());
  EXPECT_EQ(link_->counters().faults, 0u);
  send(numbered(2, 60));
  EXPECT_EQ(count("drop.refused"), 1u);
}

TEST_F(PasstLinkTest, RefusesWhatIsNoDescriptor) {
  EXPECT_FALSE(PasstLink::create(Fd(), kGuest, 1500));
}

}  // namespace
}  // namespace skerry
