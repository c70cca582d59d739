// What changing rules takes, for ./bench changes, without a stack:
//
//   bench-filter-changes load BATCH      compiled rules put in force in the place of the same, in slices as
//                                        in a stack: all together, and the longest slice. Rules that track
//                                        meet datagrams of 50 000 addresses, before and in each pause
//   bench-filter-changes elements BATCH  one element put into the first set, and taken out: the middle and
//                                        the longest of a thousand, each
//
// Prints microseconds of processor time, on one line.
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "filter/engine.hpp"
#include "filter/load.hpp"
#include "run/slices.hpp"

namespace {

using namespace skerry;

// Of this process: others run on the machine too.
TimeNs now() {
  timespec time;
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<uint64_t>(time.tv_sec) * kSecond + static_cast<uint64_t>(time.tv_nsec);
}

double microseconds(DurationNs time) {
  return static_cast<double>(time) / kMicrosecond;
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

filter::Engine engine_of(const std::vector<uint8_t>& batch, const Pause& pause = {}) {
  filter::Ruleset ruleset;
  if (const auto refusal = filter::load(batch, ruleset, {}, pause)) {
    std::fprintf(stderr, "%s\n", refusal->sentence.c_str());
    std::exit(1);
  }
  return filter::Engine(std::move(ruleset), 0, {}, filter::Engine::Search::indexed, pause);
}

// Each of its own address, one after the other.
class Datagrams {
 public:
  static constexpr uint32_t kFlows = 50'000;

  void meet(filter::Engine& engine, uint32_t count) {
    if (!engine.tracks()) return;
    engine.track_with(&flows_);
    for (; count > 0; --count, next_ = (next_ + 1) % kFlows) {
      store_be32(bytes_.data() + 12, 0x0a010000 + next_);
      filter::Packet packet;
      packet.read(bytes_);
      for (const filter::Hook hook : {filter::Hook::prerouting, filter::Hook::input})
        if (!engine.judge(hook, packet, kSecond).accepted) std::exit(1);
    }
  }

 private:
  filter::Conntrack flows_{SipKey{1, 2}, 2 * kFlows};
  std::array<uint8_t, 28> bytes_{0x45, 0, 0,  28, 0, 0, 0,    0, 64, 17, 0, 0, 0, 0,
                                 0,    0, 10, 77, 0, 2, 0x10, 0, 0,  53, 0, 8, 0, 0};
  uint32_t next_ = 0;
};

int load(const std::vector<uint8_t>& batch) {
  constexpr uint32_t kInAPause = 64;
  Datagrams datagrams;
  filter::Engine engine = engine_of(batch);
  datagrams.meet(engine, Datagrams::kFlows);
  Slices slices(now);
  bool done = false;
  const Result<void> begun = slices.begin(
      [&](const Pause& pause) {
        filter::Engine next = engine_of(batch, pause);
        next.take_over(engine, 0, pause);
        std::swap(engine, next);
        next.take_apart(pause);
      },
      [&] { done = true; });
  if (!begun) return 1;
  TimeNs spent = 0;
  while (!done) {
    const TimeNs begin = now();
    slices.tx(0);
    spent += now() - begin;
    datagrams.meet(engine, kInAPause);
  }
  std::printf("%.0f %llu\n", microseconds(spent), static_cast<unsigned long long>(slices.longest_us()));
  return 0;
}

int elements(const std::vector<uint8_t>& batch) {
  constexpr uint32_t kTimes = 1000;
  filter::Engine engine = engine_of(batch);
  std::vector<filter::GivenElement> there;
  filter::for_each_element(engine.ruleset().sets.at(0), [&](const auto& given, const filter::Element&) {
    there.push_back(given);
    return true;
  });
  std::vector<DurationNs> came, went;
  for (uint32_t i = 0; i < kTimes; ++i) {
    // The ninth address behind that of an element, as ./bench filter draws them: between two.
    filter::GivenElement given = there[i * 7919 % there.size()];
    given.key[3] = static_cast<uint8_t>(given.key[3] + 9);
    if (!given.last.empty()) std::copy_n(given.key.begin(), 4, given.last.begin());
    for (const filter::Change change : {filter::Change::add, filter::Change::remove}) {
      const TimeNs begin = now();
      if (engine.change(0, change, {&given, 1}, 0)) return 1;
      (change == filter::Change::add ? came : went).push_back(now() - begin);
    }
  }
  for (std::vector<DurationNs>* times : {&came, &went}) {
    std::sort(times->begin(), times->end());
    std::printf("%.1f %.1f ", microseconds((*times)[kTimes / 2]), microseconds(times->back()));
  }
  std::printf("\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("bench-filter-changes is started by ./bench changes\n", stderr);
    return 2;
  }
  const std::vector<uint8_t> batch = content(argv[2]);
  return argv[1] == std::string_view("load") ? load(batch) : elements(batch);
}
