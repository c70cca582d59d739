// What one packet costs, for ./bench filter, which draws the rulesets and prepares the kernel:
//
//   bench-filter judge BATCH COUNT RULES      our engine, from the compiled rules in BATCH: rule after rule
//                                             (COUNT packets), by its index, and, if its policies were to
//                                             accept, by what it remembers (as many packets for any rules)
//   bench-filter write DESCRIPTOR COUNT RULES the kernel: COUNT packets written to a TAP device
//   bench-filter judge-flows, write-flows     the same with flows that are answered before; ours tracks them
//
// Each prints nanoseconds a packet, one line a way. The packets are a round of 1024 TCP segments from
// addresses between those that the RULES name, so that neither a box nor a prefix tells them all from the
// rules and no branch is learned by heart; of 64 for what is remembered; or of 64 datagrams in flows from
// 10.9.0.2. Headers are read anew each time.
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "filter/engine.hpp"
#include "filter/load.hpp"

namespace {

using namespace skerry;

constexpr size_t kEthernetBytes = 14, kFrameBytes = 54, kFlows = 64, kRound = 1024;
constexpr uint64_t kMany = 200'000;  // packets
using Frame = std::array<uint8_t, kFrameBytes>;

// To 10.9.0.1, the address of the TAP device, whose MAC address is 02:…:01. `rules`: how many, each with its
// own sixteen addresses from 10.100.0.0 on, of which it does not name the tenth; 0: these are flows.
std::vector<Frame> frames(uint32_t rules, size_t count) {
  const bool flows = rules == 0;
  Random random(1);
  std::vector<Frame> round(count);
  for (size_t i = 0; i < count; ++i) {
    Frame& frame = round[i];
    const uint8_t head[] = {2,  0, 0, 0, 0, 1,  2, 0, 0, 0,  0, 2, 8, 0,  0x45, 0, 0,
                            40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 9, 0, 2, 10, 9,    0, 1};
    std::memcpy(frame.data(), head, sizeof head);
    if (!flows) store_be32(&frame[kEthernetBytes + 12], 0x0a640009 + 16 * random.below(rules));
    uint32_t sum = 0;
    for (size_t at = kEthernetBytes; at < kEthernetBytes + 20; at += 2) sum += load_be16(&frame[at]);
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    store_be16(&frame[kEthernetBytes + 10], static_cast<uint16_t>(~sum));
    store_be16(&frame[kEthernetBytes + 20], static_cast<uint16_t>(40000 + i));
    store_be16(&frame[kEthernetBytes + 22], 80);
    frame[kEthernetBytes + 32] = 5 << 4;
    frame[kEthernetBytes + 33] = 2;  // SYN
    if (!flows) continue;
    constexpr uint8_t kUdp = 17;
    frame[kEthernetBytes + 9] = kUdp;
    store_be16(&frame[kEthernetBytes + 10],
               static_cast<uint16_t>(load_be16(&frame[kEthernetBytes + 10]) - (kUdp - 6)));
    store_be16(&frame[kEthernetBytes + 22], 53);
    store_be16(&frame[kEthernetBytes + 24], 20);
    store_be16(&frame[kEthernetBytes + 26], 0);
  }
  return round;
}

uint64_t now() {
  timespec time;
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * kSecond + static_cast<uint64_t>(time.tv_nsec);
}

template <class Each>
void measure(uint64_t count, std::vector<Frame> round, Each each) {
  for (Frame& frame : round) each(frame);
  const uint64_t begin = now();
  for (uint64_t i = 0; i < count; ++i) each(round[i % round.size()]);
  std::printf("%.2f\n", static_cast<double>(now() - begin) / static_cast<double>(count));
}

std::vector<uint8_t> content(const char* path) {
  std::vector<uint8_t> bytes;
  std::FILE* file = std::fopen(path, "rb");
  if (file == nullptr) return bytes;
  uint8_t part[65536];
  for (size_t got; (got = std::fread(part, 1, sizeof part, file)) > 0;)
    bytes.insert(bytes.end(), part, part + got);
  std::fclose(file);
  return bytes;
}

int judge(const char* path, uint64_t count, uint32_t rules) {
  filter::Ruleset ruleset;
  if (const auto refusal = filter::load(content(path), ruleset)) {
    std::fprintf(stderr, "%s\n", refusal->sentence.c_str());
    return 1;
  }
  const filter::Interface eth0 = filter::network_interface();
  for (const auto search : {filter::Engine::Search::linear, filter::Engine::Search::indexed}) {
    filter::Engine engine(ruleset, 0, {}, search);
    const uint64_t packets = search == filter::Engine::Search::linear ? count : kMany;
    measure(packets, frames(rules, kRound), [&](Frame& frame) {
      filter::Packet packet;
      packet.link = ConstBytes(frame).first(kEthernetBytes);
      packet.in = &eth0;
      if (!packet.read(Bytes(frame).subspan(kEthernetBytes))) std::abort();
      if (engine.judge(filter::Hook::prerouting, packet, 0).accepted) std::abort();
    });
  }
  // As a stack does with what passes: what is alike is judged once.
  for (filter::Chain& chain : ruleset.chains) chain.policy = filter::Policy::accept;
  filter::Engine engine(ruleset);
  measure(kMany, frames(rules, kFlows), [&](Frame& frame) {
    filter::Packet packet;
    packet.link = ConstBytes(frame).first(kEthernetBytes);
    packet.in = &eth0;
    if (!packet.read(Bytes(frame).subspan(kEthernetBytes))) std::abort();
    const auto look = engine.look(packet.bytes, false, false, packet.tracked);
    if (look && engine.recall(*look, packet.length, 0)) return;
    engine.record();
    for (const filter::Hook hook : {filter::Hook::prerouting, filter::Hook::input})
      if (!engine.judge(hook, packet, 0).accepted) std::abort();
    if (look) engine.remember(*look);
  });
  return 0;
}

// The same with flows: packets are tracked first.
int judge_flows(const char* path, uint64_t count) {
  filter::Ruleset ruleset;
  if (const auto refusal = filter::load(content(path), ruleset)) {
    std::fprintf(stderr, "%s\n", refusal->sentence.c_str());
    return 1;
  }
  const filter::Interface eth0 = filter::network_interface();
  for (const bool remembers : {false, true}) {
    filter::Engine engine(ruleset);
    filter::Conntrack conntrack({1, 2});
    engine.track_with(&conntrack);
    const auto pass = [&](Frame& frame, bool answer) {
      using filter::Hook;
      const TimeNs time = 3 * kSecond;
      if (remembers) {
        const uint8_t *const header = frame.data() + kEthernetBytes, *const transport =
                                                                         header +
                                                                         filter::VerdictMemory::kHeaderBytes;
        const auto seen = filter::TransportSeen::read(transport);
        const auto alike = engine.find_alike(header, seen, answer, false, time);
        if (alike && engine.recall(*alike, transport, seen, kFrameBytes - kEthernetBytes, time)) return;
      }
      filter::Packet packet;
      packet.link = ConstBytes(frame).first(kEthernetBytes);
      (answer ? packet.out : packet.in) = &eth0;
      if (!packet.read(Bytes(frame).subspan(kEthernetBytes))) std::abort();
      std::optional<filter::VerdictMemory::Look> look;
      if (remembers) {
        engine.track(Hook::prerouting, packet, time);
        look = engine.look(packet.bytes, answer, false, packet.tracked);
        if (look && engine.recall(*look, packet.length, time)) return;
        engine.record();
      }
      for (const Hook hook :
           answer ? std::array{Hook::output, Hook::postrouting} : std::array{Hook::prerouting, Hook::input})
        if (!engine.judge(hook, packet, time).accepted) std::abort();
      if (look) engine.remember(*look);
    };
    for (Frame frame : frames(0, kFlows)) {
      pass(frame, false);
      uint8_t* const ip = frame.data() + kEthernetBytes;
      std::swap_ranges(ip + 12, ip + 16, ip + 16);
      std::swap_ranges(ip + 20, ip + 22, ip + 22);
      pass(frame, true);
    }
    measure(count, frames(0, kFlows), [&](Frame& frame) { pass(frame, false); });
  }
  return 0;
}

int write_frames(int descriptor, uint64_t count, uint32_t rules) {
  measure(count, frames(rules, rules == 0 ? kFlows : kRound), [&](const Frame& frame) {
    if (::write(descriptor, frame.data(), frame.size()) != static_cast<ssize_t>(frame.size())) std::abort();
  });
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fputs("bench-filter is started by ./bench filter\n", stderr);
    return 2;
  }
  const uint64_t count = std::strtoull(argv[3], nullptr, 10);
  const auto rules = std::max<uint32_t>(1, static_cast<uint32_t>(std::strtoul(argv[4], nullptr, 10)));
  const std::string what = argv[1];
  if (what == "judge") return judge(argv[2], count, rules);
  if (what == "judge-flows") return judge_flows(argv[2], count);
  return write_frames(std::atoi(argv[2]), count, what == "write-flows" ? 0 : rules);
}
