// What is AF_XDP's alone, against the kernel's own stack over veth; what every driver does is in
// conformance.hpp.
#include "driver/afxdp/afxdp_link.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <set>

#include "wire/checksum.hpp"
#include "worlds.hpp"

namespace skerry {
namespace {

constexpr int kDatagrams = 64;

class AfxdpLinkTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const char* reason = AfxdpNative::skip_reason()) GTEST_SKIP() << reason;
  }

  // Datagrams of many flows, from the kernel behind the other end.
  static void send_datagrams() {
    shell(
        "ip address add 10.99.0.9/24 dev sk-far; ip neighbour add 10.99.0.2 lladdr 02:00:00:00:00:02 dev "
        "sk-far");
    for (uint16_t flow = 0; flow < kDatagrams; ++flow) {
      const Fd socket(::socket(AF_INET, SOCK_DGRAM, 0));
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_addr.s_addr = htonl(0x0a630002);
      to.sin_port = htons(static_cast<uint16_t>(1000 + flow));
      const std::string text(flow + 1, 'x');
      ASSERT_EQ(::sendto(socket.get(), text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&to),
                         sizeof to),
                static_cast<ssize_t>(text.size()));
    }
  }
  static bool is_udp(ConstBytes frame) {
    return frame.size() >= 42 && frame[12] == 8 && frame[13] == 0 && frame[23] == 17;
  }
};

// Each flow goes to the queue that its hash chooses: whoever hears one queue hears a half of them.
TEST_F(AfxdpLinkTest, HearsEveryQueueAndFinishesWhatVethLeavesOpen) {
  AfxdpNative world(2);
  EXPECT_EQ(receive_queues("sk-test"), 2u);
  ASSERT_NO_FATAL_FAILURE(send_datagrams());
  std::set<uint32_t> queues;
  int datagrams = 0;
  for (int looks = 0; looks < 10'000 && datagrams < kDatagrams; ++looks) {
    FrameBatch batch;
    world.device().receive(batch);
    for (Frame frame : batch.view()) {
      const Bytes bytes = world.device().data(frame);
      if (is_udp(bytes)) {
        ++datagrams;
        queues.insert(frame.slot / XdpQueue::kSlots);
        EXPECT_EQ(frame.flags, kChecksumNeeded);
        finish_checksum(frame, bytes);
        InternetChecksum sum =
            ipv4_pseudo_header(0x0a630009, 0x0a630002, 17, static_cast<uint16_t>(bytes.size() - 34));
        sum.add(bytes.subspan(34));
        EXPECT_TRUE(sum.intact());
      }
      world.device().give_back(frame);
    }
    if (batch.count == 0) ::usleep(1000);
  }
  EXPECT_EQ(datagrams, kDatagrams);
  EXPECT_EQ(queues.size(), 2u);
}

TEST_F(AfxdpLinkTest, RefusesWhatAWireCannotCarry) {
  AfxdpNative world;
  EXPECT_FALSE(world.device().facts().takes_unfinished);
  EXPECT_FALSE(world.device().facts().segments_tcp4);
  std::optional<Frame> frame = world.device().allocate(100);
  ASSERT_TRUE(frame);
  frame->flags = kChecksumNeeded;
  EXPECT_EQ(world.device().send({&*frame, 1}), 1u);
  uint64_t refused = 0;
  world.device().each_count([&](std::string_view name, uint64_t value) {
    if (name == "drop.refused") refused = value;
  });
  EXPECT_EQ(refused, 1u);
  EXPECT_EQ(world.device().counters().tx_frames, 0u);
}

TEST_F(AfxdpLinkTest, NativeModeIsTriedFirst) {
  {
    AfxdpNative world;
    EXPECT_EQ(::system("ip link show sk-test | grep -q 'xdp/id\\|xdp '"), 0);
  }
  AfxdpGeneric world;
  EXPECT_EQ(::system("ip link show sk-test | grep -q xdpgeneric"), 0);
}

TEST_F(AfxdpLinkTest, ItIsKnownWhatAnInterfaceIsAMemberOf) {
  AfxdpNative world;
  if (::system("ip link add sk-bridge type bridge 2>/dev/null") != 0)
    GTEST_SKIP() << "this kernel has no bridge";
  shell("ip link set sk-far master sk-bridge");
  EXPECT_EQ(master_of("sk-far"), "sk-bridge");
  EXPECT_EQ(master_of("sk-test"), "");
  EXPECT_EQ(master_of("sk-absent"), "");
}

TEST_F(AfxdpLinkTest, AnInterfaceIsTakenOnce) {
  AfxdpNative world;
  const Result<XdpDevice> second = take_interface("sk-test");
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("has an XDP program already"), std::string::npos)
      << second.error().message;
  EXPECT_FALSE(take_interface("sk-absent"));
  EXPECT_EQ(receive_queues("sk-absent"), 0u);
  EXPECT_EQ(receive_queues("a-name-that-is-too-long"), 0u);
}

}  // namespace
}  // namespace skerry
