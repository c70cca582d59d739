// The TAP driver as a process: started as the supervisor starts it, the kernel's stack on one side, and on
// the other a responder of a few lines where otherwise the switch is.
#include <arpa/inet.h>
#include <sys/socket.h>

#include <cstring>

#include "link/shm_link.hpp"
#include "namespace_side.hpp"
#include "run/stats.hpp"
#include "supervisor/spawn.hpp"
#include "wire/arp.hpp"
#include "wire/ethernet.hpp"
#include "wire/ipv4.hpp"

namespace skerry {
namespace {

constexpr Ipv4Address kHost = 0x0a630001;       // 10.99.0.1
constexpr Ipv4Address kResponder = 0x0a630002;  // 10.99.0.2
constexpr MacAddress kResponderMac{{2, 0, 0, 0, 0, 2}};
constexpr int kEchoes = 50;

// Sends datagrams of growing size and expects each back.
int ask_for_echoes() {
  const Fd socket(::socket(AF_INET, SOCK_DGRAM, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(kResponder);
  to.sin_port = htons(7);
  const timeval patience{20, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) return 1;
  for (int i = 0; i < kEchoes; ++i) {
    const std::string text(static_cast<size_t>(i * 29), static_cast<char>('a' + i % 26));
    char back[1500];
    if (::send(socket.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) return 2;
    const ssize_t got = ::recv(socket.get(), back, sizeof back, 0);
    if (got != static_cast<ssize_t>(text.size())) return 3;
    if (std::memcmp(back, text.data(), text.size()) != 0) return 4;
  }
  return 0;
}

// Turns a frame into its answer, in place: an ARP reply, or a UDP packet that goes back where it came from.
// False if there is none. Source and destination change places, so the UDP checksum stays what it is,
// finished or not.
bool answer(Bytes frame) {
  const auto ethernet = EthernetHeader::parse(frame);
  if (!ethernet) return false;
  EthernetHeader{ethernet->source, kResponderMac, ethernet->type}.emit(frame.data());
  const Bytes packet = frame.subspan(EthernetHeader::kBytes);
  if (const auto arp = ArpPacket::parse(packet); arp && ethernet->type == EtherType::kArp) {
    if (arp->operation != ArpOperation::kRequest || arp->target != kResponder) return false;
    ArpPacket{ArpOperation::kReply, kResponderMac, kResponder, arp->sender_mac, arp->sender}.emit(
        packet.data());
    return true;
  }
  auto ip = Ipv4Header::parse(packet);
  if (!ip || ethernet->type != EtherType::kIpv4 || ip->protocol != IpProtocol::kUdp ||
      ip->destination != kResponder)
    return false;
  std::swap(ip->source, ip->destination);
  ip->emit(packet.data());
  uint8_t* const udp = packet.data() + ip->header_bytes;
  std::swap_ranges(udp, udp + 2, udp + 2);
  return true;
}

void respond(ShmLink& link) {
  FrameBatch batch;
  link.receive(batch);
  for (const Frame& frame : batch.view()) {
    std::optional<Frame> reply = link.allocate(frame.length);
    ASSERT_TRUE(reply);
    const Bytes bytes = link.data(*reply);
    std::memcpy(bytes.data(), link.data(frame).data(), frame.length);
    reply->flags = frame.flags;
    reply->checksum_start = frame.checksum_start;
    reply->checksum_offset = frame.checksum_offset;
    if (answer(bytes)) {
      ASSERT_EQ(link.send({&*reply, 1}), 1u);
    } else {
      link.give_back(*reply);
    }
    link.give_back(frame);
  }
}

// The driver, started on a device, and our end of its link.
class TapProcess : public NeedsTap {
 protected:
  void TearDown() override {
    if (pid_ > 0) ::kill(pid_, SIGKILL), ::waitpid(pid_, nullptr, 0);
  }

  void start(NamespaceSide& host) {
    const Fd tap = host.take_tap(), watch = host.take_watch();
    ::signal(SIGPIPE, SIG_IGN);
    ASSERT_TRUE(tap && watch);
    Result<Region> region = Region::create("test-link", ShmLink::region_bytes());
    Result<DoorbellPipe> to_driver = DoorbellPipe::create(), to_us = DoorbellPipe::create();
    auto control = create_control_pair();
    auto memory = create_stats_memory();
    ASSERT_TRUE(region && to_driver && to_us && control && memory);
    auto reader = StatsReader::attach(*memory);
    ASSERT_TRUE(reader);
    reader_.emplace(std::move(*reader));
    supervisor::Launch launch;
    launch.executable = SKERRY_DRIVER_TAP;
    launch.name = "lan.tap";
    launch.kind = "driver-tap";
    launch.settings = {{"end", "link"}, {"side", "b"}, {"interface", "sk-test"}, {"mtu", 1500}};
    launch.grants = {{"stats", memory->get()},
                     {"control", control->second.get()},
                     {"tap", tap.get()},
                     {"watch", watch.get()},
                     {"link.region", region->fd()},
                     {"link.ring", to_us->ring.get()},
                     {"link.wake", to_driver->wake.get()}};
    auto driver = supervisor::spawn(launch);
    ASSERT_TRUE(driver) << driver.error().message;
    pid_ = driver->pid;
    control_ = std::move(control->first);
    LinkFacts facts;
    facts.max_frame = kMaxFrame;
    Result<ShmLink> link = ShmLink::create(std::move(*region), skerry::Side::kA, facts,
                                           std::move(to_driver->ring), std::move(to_us->wake));
    ASSERT_TRUE(link);
    link_.emplace(std::move(*link));
  }

  // The driver's exit status, once it has ended; nothing if it does not within twenty seconds.
  std::optional<int> status() {
    for (int tries = 0; tries < 20'000; ++tries) {
      int ended = 0;
      if (::waitpid(pid_, &ended, WNOHANG) == pid_) {
        pid_ = -1;
        return WIFEXITED(ended) ? WEXITSTATUS(ended) : 200;
      }
      ::usleep(1000);
    }
    return std::nullopt;
  }

  pid_t pid_ = -1;
  Fd control_;
  std::optional<StatsReader> reader_;
  std::optional<ShmLink> link_;
};

TEST_F(TapProcess, EchoesBetweenTheKernelAndAResponder) {
  NamespaceSide host(kHost, ask_for_echoes);
  ASSERT_NO_FATAL_FAILURE(start(host));
  std::optional<int> asked;
  for (int turn = 0; turn < 300'000 && !asked; ++turn) {
    respond(*link_);
    ::usleep(100);
    asked = host.status();
  }
  EXPECT_EQ(asked, 0);
  // What it counts is published before it sleeps.
  for (int turn = 0; turn < 20'000 && reader_->value("rx_frames").value_or(0) < kEchoes; ++turn)
    ::usleep(1000);
  EXPECT_GE(reader_->value("rx_frames").value_or(0), kEchoes);

  // The driver ends when told to; what it counted stays.
  ASSERT_EQ(::kill(pid_, SIGTERM), 0);
  EXPECT_EQ(status(), 0);
  EXPECT_GE(reader_->value("tx_frames").value_or(0), kEchoes + 1) << "the echoes and an ARP reply";
  EXPECT_EQ(reader_->value("faults"), 0u);
}

// What the host's administrator does to the interface reaches whoever is at the other end of the link.
TEST_F(TapProcess, TellsThatItsInterfaceIsDownAndUpAgain) {
  int word[2];
  ASSERT_EQ(::pipe(word), 0);
  const Fd wait(word[0]), tell(word[1]);
  NamespaceSide host(kHost, [&] {
    char state;
    while (::read(wait.get(), &state, 1) == 1)
      if (::system(state == 'u' ? "ip link set sk-test up" : "ip link set sk-test down") != 0) return 1;
    return 0;
  });
  ASSERT_NO_FATAL_FAILURE(start(host));
  uint32_t changes = 0;
  for (const char* state : {"d", "u", "d", "u"}) {
    ASSERT_EQ(::write(tell.get(), state, 1), 1);
    ++changes;
    for (int tries = 0; tries < 20'000 && link_->carrier().changes != changes; ++tries) {
      FrameBatch batch;
      link_->receive(batch);
      for (const Frame& frame : batch.view()) link_->give_back(frame);
      ::usleep(1000);
    }
    ASSERT_EQ(link_->carrier().changes, changes) << "after " << state;
  }
  EXPECT_EQ(reader_->value("link.flaps"), 2u);
}

// Without its device it would sleep for ever and seem well.
TEST_F(TapProcess, EndsOnceItsInterfaceIsDeleted) {
  int word[2];
  ASSERT_EQ(::pipe(word), 0);
  const Fd wait(word[0]), tell(word[1]);
  NamespaceSide host(kHost, [&] {
    char byte;
    if (::read(wait.get(), &byte, 1) != 1) return 1;
    return ::system("ip link delete sk-test");
  });
  ASSERT_NO_FATAL_FAILURE(start(host));
  bool slept = false;  // what the kernel sends by itself may wake it again at once
  for (int tries = 0; tries < 20'000 && !slept; ++tries) {
    slept = reader_->value("asleep") == 1;
    ::usleep(1000);
  }
  ASSERT_TRUE(slept);
  ASSERT_EQ(::write(tell.get(), "d", 1), 1);
  EXPECT_EQ(status(), 1);
  EXPECT_EQ(reader_->value("faults"), 1u);
}

}  // namespace
}  // namespace skerry
