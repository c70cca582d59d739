// The switch as a process: what it forwards, who joins and leaves, and what it says.
#include "switch_process.hpp"

namespace skerry::vswitch {
namespace {

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
