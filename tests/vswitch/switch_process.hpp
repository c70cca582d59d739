// A switch as a process, started as the supervisor starts it, with neighbours that its tests play.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
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

inline json port_settings(const std::string& end, const std::string& name, uint8_t number) {
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
    launch.settings = {{"name", "lan"},
                       {"ports", {port_settings("port0", "one", 1), port_settings("port1", "two", 2)}}};
    rules_ = sealed(first_rules());
    launch.grants = {{"stats", memory_.get()}, {"control", control->second.get()}, {"rules", rules_.get()}};
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
  // The netlink batch that it begins with.
  virtual Octets first_rules() const { return {}; }
  static Fd sealed(const Octets& bytes) {
    Fd memory(::memfd_create("test-rules", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    CHECK(::write(memory.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    CHECK(::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) == 0);
    return memory;
  }

  Fd control_, memory_, rules_;
  std::optional<StatsReader> reader_;
  pid_t pid_ = -1;
};

}  // namespace skerry::vswitch
