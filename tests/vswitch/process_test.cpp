// The switch as a process: started as the supervisor starts it, with neighbours that this test plays.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "frames.hpp"
#include "link/shm_link.hpp"
#include "run/control.hpp"
#include "run/stats.hpp"
#include "supervisor/spawn.hpp"

namespace skerry::vswitch {
namespace {

using nlohmann::json;

// A link with its two ends: ours, and the descriptors of the switch's.
struct Station {
  Station() {
    ::signal(SIGPIPE, SIG_IGN);  // links ring pipes
    Result<Region> region = Region::create("test-link", ShmLink::region_bytes());
    Result<DoorbellPipe> to_switch = DoorbellPipe::create(), to_station = DoorbellPipe::create();
    CHECK(region && to_switch && to_station);
    region_fd.reset(::dup(region->fd()));
    ring = std::move(to_station->ring);
    wake = std::move(to_switch->wake);
    LinkFacts facts;
    facts.max_frame = kMaxFrame;
    Result<ShmLink> opened = ShmLink::create(std::move(*region), skerry::Side::kB, facts,
                                             std::move(to_switch->ring), std::move(to_station->wake));
    CHECK(opened);
    link.emplace(std::move(*opened));
  }

  void send(const Octets& bytes) {
    const std::optional<Frame> frame = link->allocate(static_cast<uint32_t>(bytes.size()));
    ASSERT_TRUE(frame);
    std::memcpy(link->data(*frame).data(), bytes.data(), bytes.size());
    ASSERT_EQ(link->send({&*frame, 1}), 1u);
  }
  // The next frame, if one comes within the time.
  std::optional<Octets> receive(int tries_of_1ms = 20'000) {
    for (; tries_of_1ms > 0; --tries_of_1ms) {
      FrameBatch batch;
      batch.count = kBatch - 1;
      link->receive(batch);
      if (batch.count == kBatch) {
        const Bytes bytes = link->data(batch.frames[kBatch - 1]);
        Octets result(bytes.begin(), bytes.end());
        link->give_back(batch.frames[kBatch - 1]);
        return result;
      }
      ::usleep(1000);
    }
    return std::nullopt;
  }

  Fd region_fd, ring, wake;
  std::optional<ShmLink> link;
};

json port_settings(const std::string& end, const std::string& name, uint8_t number) {
  char mac[18];
  std::snprintf(mac, sizeof mac, "02:00:00:00:00:%02x", number);
  return {{"end", end},
          {"side", "a"},
          {"name", name},
          {"mac", mac},
          {"addresses", {"10.0.0." + std::to_string(number)}},
          {"uplink", false},
          {"joins", {"*"}},
          {"mtu", 1500}};
}

class SwitchProcess : public testing::Test {
 protected:
  void SetUp() override {
    auto control = create_control_pair();
    auto memory = create_stats_memory();
    ASSERT_TRUE(control && memory);
    control_ = std::move(control->first);
    memory_ = std::move(*memory);
    auto reader = StatsReader::attach(memory_);
    ASSERT_TRUE(reader);
    reader_.emplace(std::move(*reader));

    supervisor::Launch launch;
    launch.executable = SKERRY_VSWITCH;
    launch.name = "lan.vswitch";
    launch.kind = "vswitch";
    launch.settings = {{"ports", {port_settings("port0", "one", 1), port_settings("port1", "two", 2)}}};
    launch.grants = {{"stats", memory_.get()}, {"control", control->second.get()}};
    for (size_t i = 0; i < 2; ++i) {
      const std::string end = "port" + std::to_string(i);
      launch.grants.push_back({end + ".region", stations_[i].region_fd.get()});
      launch.grants.push_back({end + ".ring", stations_[i].ring.get()});
      launch.grants.push_back({end + ".wake", stations_[i].wake.get()});
    }
    auto child = supervisor::spawn(launch);
    ASSERT_TRUE(child) << child.error().message;
    pid_ = child->pid;
  }
  void TearDown() override {
    if (pid_ > 0) ::kill(pid_, SIGKILL), ::waitpid(pid_, nullptr, 0);
  }

  json ask(const json& request, std::span<const int> fds = {}) {
    EXPECT_TRUE(send_control(control_, request, fds));
    for (int tries = 0; tries < 20'000; ++tries) {
      Result<ControlMessage> reply = receive_control(control_);
      if (reply && reply->body.contains("event"))
        events_.push_back(std::move(reply->body));
      else if (reply)
        return reply->body;
      if (reply) continue;
      if (reply.error().system_error != EAGAIN) break;
      ::usleep(1000);
    }
    return {};
  }
  bool falls_asleep() {
    for (int tries = 0; tries < 20'000; ++tries) {
      if (reader_->value("asleep") == 1) return true;
      ::usleep(1000);
    }
    return false;
  }

  Station stations_[3];
  std::vector<json> events_;  // what it said unasked
  Fd control_, memory_;
  std::optional<StatsReader> reader_;
  pid_t pid_ = -1;
};

TEST_F(SwitchProcess, ForwardsCountsSleepsAndEnds) {
  const Octets frame = ipv4(mac_of(2), mac_of(1), address_of(1), address_of(2), 300);
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(falls_asleep()) << "and is woken by the ring of each round";
    stations_[0].send(frame);
    EXPECT_EQ(stations_[1].receive(), frame);
  }
  ASSERT_TRUE(falls_asleep());
  EXPECT_EQ(reader_->value("one.rx_frames"), 20u);
  EXPECT_EQ(reader_->value("two.tx_frames"), 20u);
  const uint64_t breaths = *reader_->value("breaths");
  ::usleep(200'000);
  EXPECT_EQ(reader_->value("breaths"), breaths) << "idle is idle";

  ASSERT_EQ(::kill(pid_, SIGTERM), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(pid_, &status, 0), pid_);
  pid_ = -1;
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(SwitchProcess, PortsJoinAndLeaveWhileItRuns) {
  Station& third = stations_[2];
  const int descriptors[] = {third.region_fd.get(), third.ring.get(), third.wake.get()};
  const json add = {{"command", "add_port"}, {"port", port_settings("", "three", 3)}};
  EXPECT_TRUE(ask(add).contains("error")) << "without descriptors";
  EXPECT_EQ(ask(add, descriptors), (json{{"ok", true}}));
  const Octets frame = ipv4(mac_of(3), mac_of(1), address_of(1), address_of(3));
  stations_[0].send(frame);
  EXPECT_EQ(third.receive(), frame);
  stations_[0].send(ipv4(mac_of(3), mac_of(1), address_of(9), address_of(3)));
  stations_[0].send(frame);
  EXPECT_EQ(third.receive(), frame) << "the one with a false address was judged before it, and did not come";

  json stats = ask({{"command", "stats"}});
  EXPECT_EQ(stats["ports"]["one"]["drop.source_address"], 1);
  EXPECT_EQ(stats["ports"]["three"]["tx_frames"], 2);
  EXPECT_EQ(ask({{"command", "remove_port"}, {"name", "three"}}), (json{{"ok", true}}));
  EXPECT_TRUE(ask({{"command", "remove_port"}, {"name", "three"}}).contains("error"));
  EXPECT_FALSE(ask({{"command", "stats"}})["ports"].contains("three"));
  EXPECT_TRUE(ask({{"command", "sing"}}).contains("error"));
}

// What passes through the port, both ways, comes out of the pipe as a pcapng file; whoever leaves the pipe
// ends it.
TEST_F(SwitchProcess, APortIsMirroredUntilTheReaderLeaves) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  Fd reader(ends[0]), writer(ends[1]);
  const int descriptor = writer.get();
  const json mirror = {{"command", "mirror"}, {"port", "one"}};
  EXPECT_TRUE(ask(mirror).contains("error")) << "without a pipe";
  EXPECT_TRUE(ask({{"command", "mirror"}, {"port", "nobody"}}, {&descriptor, 1}).contains("error"));
  ASSERT_EQ(ask(mirror, {&descriptor, 1}), (json{{"ok", true}}));
  EXPECT_TRUE(ask(mirror, {&descriptor, 1}).contains("error")) << "one at a time";

  const Octets there = ipv4(mac_of(2), mac_of(1), address_of(1), address_of(2), 300);
  const Octets back = ipv4(mac_of(1), mac_of(2), address_of(2), address_of(1), 200);
  stations_[0].send(there);
  EXPECT_EQ(stations_[1].receive(), there);
  stations_[1].send(back);
  EXPECT_EQ(stations_[0].receive(), back);
  Octets file;
  for (int tries = 0; tries < 20'000; ++tries) {
    uint8_t bytes[4096];
    const ssize_t got = ::read(reader.get(), bytes, sizeof bytes);
    if (got > 0) file.insert(file.end(), bytes, bytes + got);
    if (std::search(file.begin(), file.end(), back.begin(), back.end()) != file.end()) break;
    ::usleep(1000);
  }
  EXPECT_NE(std::search(file.begin(), file.end(), there.begin(), there.end()), file.end());
  EXPECT_NE(std::search(file.begin(), file.end(), back.begin(), back.end()), file.end());

  writer.reset();
  reader.reset();
  stations_[0].send(there);
  EXPECT_EQ(stations_[1].receive(), there) << "traffic goes on";
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  reader.reset(ends[0]);
  writer.reset(ends[1]);
  const int next = writer.get();
  EXPECT_EQ(ask(mirror, {&next, 1}), (json{{"ok", true}})) << "and the port can be mirrored again";

  // A reader that does not read costs the capture frames, and nobody anything else.
  const Octets large = ipv4(mac_of(2), mac_of(1), address_of(1), address_of(2), 30'000);
  for (int i = 0; i < 20; ++i) {
    stations_[0].send(large);
    ASSERT_EQ(stations_[1].receive(), large);
  }
  ASSERT_TRUE(falls_asleep());
  EXPECT_GT(reader_->value("one.capture_lost").value_or(0), 0u);

  // Nothing passes any more, but a block that was begun ends once there is room.
  file.clear();
  const auto whole_blocks = [&file] {
    size_t block = 0;
    for (uint32_t length = 0; block + 8 <= file.size(); block += length) {
      std::memcpy(&length, file.data() + block + 4, 4);
      if (length < 12) return false;
    }
    return block == file.size();
  };
  for (int tries = 0; tries < 20'000; ++tries) {
    uint8_t bytes[4096];
    const ssize_t got = ::read(reader.get(), bytes, sizeof bytes);
    if (got > 0) {
      file.insert(file.end(), bytes, bytes + got);
    } else if (file.size() > 65536 && whole_blocks()) {
      break;
    } else {
      ::usleep(1000);
    }
  }
  EXPECT_GE(file.size(), 65536u);
  EXPECT_TRUE(whole_blocks());
}

// A neighbour that lies loses its own link; the others do not notice.
TEST_F(SwitchProcess, AHostilePortClosesAlone) {
  Result<Region> region = Region::adopt(Fd(::dup(stations_[1].region_fd.get())), ShmLink::region_bytes());
  ASSERT_TRUE(region);
  std::memset(region->data(), 0xff, 64 * 1024);
  Station& third = stations_[2];
  const int descriptors[] = {third.region_fd.get(), third.ring.get(), third.wake.get()};
  ASSERT_EQ(ask({{"command", "add_port"}, {"port", port_settings("", "three", 3)}}, descriptors),
            (json{{"ok", true}}));
  const Octets frame = ipv4(mac_of(3), mac_of(1), address_of(1), address_of(3));
  stations_[0].send(frame);
  EXPECT_EQ(third.receive(), frame);
  const json stats = ask({{"command", "stats"}});
  EXPECT_EQ(stats["ports"]["two"]["closed"], true);
  EXPECT_EQ(stats["ports"]["one"]["closed"], false);
  // The supervisor is told, once, because only it can bring the port back.
  ASSERT_TRUE(falls_asleep());
  ask({{"command", "stats"}});
  EXPECT_EQ(events_, std::vector<json>({{{"event", "port_closed"}, {"name", "two"}}}));
}

}  // namespace
}  // namespace skerry::vswitch
