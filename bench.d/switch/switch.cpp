// Runs frames through a switch with rules, as its process does it, and says what came of them:
//
//   bench-switch RULES FRAMES PORT…
//
// RULES is a text of family bridge; a line of FRAMES is the number of the port by which a frame comes and its
// bytes, hexadecimal. All ports are uplinks and joined, so that addresses are learned as a bridge of Linux
// learns them. Prints JSON: for each frame "kept" if the switch itself refuses it, else where it "left",
// bytes by port; and what the rules have counted. tests/programs/filter_bridge_kernel.py compares it with
// Linux.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/check.hpp"
#include "ctl/compile.hpp"
#include "ctl/filter_test.hpp"
#include "link/local_link.hpp"
#include "vswitch/vswitch.hpp"

namespace {

using namespace skerry;
using nlohmann::json;

struct Coming {
  size_t port;
  std::vector<uint8_t> bytes;
};

std::vector<Coming> read_frames(const char* file) {
  std::ifstream stream(file);
  std::vector<Coming> frames;
  size_t port;
  for (std::string digits; stream >> port >> digits;) {
    Coming frame{port, {}};
    for (size_t i = 0; i + 1 < digits.size(); i += 2)
      frame.bytes.push_back(static_cast<uint8_t>(std::stoul(digits.substr(i, 2), nullptr, 16)));
    frames.push_back(std::move(frame));
  }
  return frames;
}

std::string hex(ConstBytes bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string digits;
  for (const uint8_t byte : bytes) digits += {kDigits[byte >> 4], kDigits[byte & 15]};
  return digits;
}

class World {
 public:
  explicit World(const std::vector<std::string>& names) : switch_({}, 1, "br0") {
    constexpr uint32_t kMost = 1518;
    LinkFacts facts;
    facts.max_frame = kMost;
    for (const std::string& name : names) {
      wires_.push_back(std::make_unique<LocalWire>(facts, facts));
      const auto id = switch_.add_port({.uplink = true, .name = name}, wires_.back()->a());
      CHECK(id);
      ids_.push_back(*id);
    }
    for (size_t a = 0; a < ids_.size(); ++a)
      for (size_t b = 0; b < a; ++b) switch_.set_joined(ids_[a], ids_[b], true);
  }

  vswitch::FrameRules& rules() { return switch_.rules(); }

  json pass(const Coming& coming) {
    CHECK(coming.port < wires_.size());
    const uint64_t before = refused(coming.port);
    LocalLink& from = wires_[coming.port]->b();
    const std::optional<Frame> frame = from.allocate(static_cast<uint32_t>(coming.bytes.size()));
    CHECK(frame);
    std::memcpy(from.data(*frame).data(), coming.bytes.data(), coming.bytes.size());
    CHECK(from.send({&*frame, 1}) == 1);
    switch_.rx(0);
    switch_.tx(0);
    json left = json::object();
    for (size_t port = 0; port < wires_.size(); ++port) {
      LocalLink& to = wires_[port]->b();
      FrameBatch batch;
      to.receive(batch);
      for (const Frame& each : batch.view()) {
        left[std::to_string(port)] = hex(to.data(each));
        to.give_back(each);
      }
    }
    if (refused(coming.port) != before) return {{"kept", true}};
    return {{"left", std::move(left)}};
  }

 private:
  // By the switch, before any rule.
  uint64_t refused(size_t port) const {
    const auto& drops = switch_.counters(ids_[port]).drops;
    uint64_t sum = 0;
    for (auto reason = static_cast<size_t>(vswitch::Drop::kRunt);
         reason <= static_cast<size_t>(vswitch::Drop::kBadMarks); ++reason)
      sum += drops[reason];
    return sum;
  }

  std::vector<std::unique_ptr<LocalWire>> wires_;
  vswitch::Vswitch<LocalLink> switch_;
  std::vector<vswitch::PortId> ids_;
};

Result<void> run(char** words, const std::vector<std::string>& ports) {
  Result<ctl::CompiledRules> rules = ctl::compile_rules(words[0], "", {filter::Place::vswitch, ports});
  if (!rules) return rules.error();
  World world(ports);
  world.rules().use(filter::Engine(std::move(rules->ruleset)), 0);
  json fates = json::array();
  for (const Coming& frame : read_frames(words[1])) fates.push_back(world.pass(frame));
  json all = ctl::counted_json(world.rules().engine(), 0);
  all["frames"] = std::move(fates);
  std::printf("%s\n", all.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
  return {};
}

}  // namespace

int main(int count, char** words) {
  if (count < 5) {
    std::fputs("usage: bench-switch RULES FRAMES PORT PORT…\n", stderr);
    return 2;
  }
  const skerry::Result<void> done = run(words + 1, {words + 3, words + count});
  if (!done) std::fprintf(stderr, "bench-switch: %s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
