// Frames through a ShmLink, one way, between two processes on two cores: the sender copies each frame into
// its slot, the receiver checks each descriptor and copies the frame out, slots go back. Both spin, as
// drivers under load do; nothing is left out that a program would have. The receiver checks that every frame
// arrives once, in order. Beside it, because every figure that crosses cores moves with it: the round trip of
// one cache line.
//
// The public mark for this work: DPDK's memif with copying, 48 to 58 million frames a second one way.
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "link/shm_link.hpp"

namespace skerry {
namespace {

constexpr uint32_t kFrameBytes = 64;
constexpr uint32_t kSourceFrames = 256;  // what the sender copies from and the receiver to, each 16 KiB
constexpr int kTrips = 100'000;          // of one cache line, in each round

struct Options {
  int rounds = 15;
  double seconds = 0.5;  // of one round
  int sender_core = 0, receiver_core = 1;
  std::string json;
};

// What the two processes share beside the link: the start, the end and the line that goes to and fro.
struct Rendezvous {
  alignas(kSharingBytes) std::atomic<uint32_t> ping{0};
  alignas(kSharingBytes) std::atomic<uint32_t> pong{0};
  alignas(kSharingBytes) std::atomic<bool> over{false};
};

[[noreturn]] void die(const std::string& sentence) {
  std::fprintf(stderr, "bench-link: %s\n", sentence.c_str());
  std::exit(1);
}

void pin(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  if (::sched_setaffinity(0, sizeof set, &set) != 0)
    die("core " + std::to_string(core) + " is not there for us; choose others with --cores A,B");
}

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Spread {
  double median, least, most;
};
Spread spread(std::vector<double> figures) {
  std::sort(figures.begin(), figures.end());
  return {figures[figures.size() / 2], figures.front(), figures.back()};
}

void answer_trips(Rendezvous& meet, uint32_t trips) {
  for (uint32_t trip = 1; trip <= trips; ++trip) {
    while (meet.ping.load(std::memory_order_acquire) != trip) __builtin_ia32_pause();
    meet.pong.store(trip, std::memory_order_release);
  }
}

std::vector<double> measure_trips_ns(Rendezvous& meet, int rounds) {
  std::vector<double> figures;
  uint32_t trip = 0;
  for (int round = 0; round < rounds; ++round) {
    const double started = now_s();
    for (int i = 0; i < kTrips; ++i) {
      meet.ping.store(++trip, std::memory_order_release);
      while (meet.pong.load(std::memory_order_acquire) != trip) __builtin_ia32_pause();
    }
    figures.push_back((now_s() - started) * 1e9 / kTrips);
  }
  return figures;
}

// Marked hot, here and below: of what main() calls once, the compiler thinks that it runs once.
[[gnu::hot, gnu::noinline]] void send_until_over(ShmLink& link, const Rendezvous& meet) {
  alignas(64) static std::array<uint8_t, kSourceFrames * kFrameBytes> source{};
  for (uint64_t number = 0; number < kSourceFrames; ++number)
    std::memcpy(source.data() + number * kFrameBytes, &number, sizeof number);
  uint64_t number = 0;
  FrameBatch batch;
  while (!meet.over.load(std::memory_order_relaxed) && !link.closed()) {
    while (batch.room() > 0) {
      const std::optional<Frame> frame = link.allocate(kFrameBytes);
      if (!frame) break;
      std::memcpy(link.data(*frame).data(), source.data() + number++ % kSourceFrames * kFrameBytes,
                  kFrameBytes);
      batch.push(*frame);
    }
    const size_t sent = link.send(batch.view());
    std::copy(batch.frames.begin() + static_cast<std::ptrdiff_t>(sent), batch.frames.begin() + batch.count,
              batch.frames.begin());
    batch.count -= static_cast<uint32_t>(sent);
  }
}

// Frames a second of each round; the first seconds/2 are for warming up.
[[gnu::hot, gnu::noinline]] std::vector<double> receive_rounds(ShmLink& link, const Options& options) {
  alignas(64) static std::array<uint8_t, kSourceFrames * kFrameBytes> sink{};
  std::vector<double> figures;
  uint64_t number = 0;
  uint64_t number_before = 0;
  double before = now_s();
  double round_s = options.seconds / 2;
  FrameBatch batch;
  for (int round = -1; round < options.rounds;) {
    for (int turn = 0; turn < 1000; ++turn) {
      batch.clear();
      link.receive(batch);
      for (const Frame& frame : batch.view()) {
        const Bytes data = link.data(frame);
        if (data.size() != kFrameBytes) die("a frame arrived with another length");
        uint8_t* const to = sink.data() + number % kSourceFrames * kFrameBytes;
        std::memcpy(to, data.data(), kFrameBytes);
        uint64_t found;
        std::memcpy(&found, to, sizeof found);
        if (found != number++ % kSourceFrames) die("a frame was lost, doubled or overtaken");
        link.give_back(frame);
      }
    }
    if (link.closed()) die(std::string("the link closed: ") + link.fault());
    const double now = now_s();
    if (now - before < round_s) continue;
    if (round >= 0) figures.push_back(static_cast<double>(number - number_before) / (now - before));
    number_before = number;
    before = now;
    round_s = options.seconds;
    ++round;
  }
  return figures;
}

template <class T>
T need(Result<T> result) {
  if (!result) die(result.error().message);
  return std::move(*result);
}

void write_json(const std::string& path, const std::vector<double>& runs, const Spread& rate,
                const Spread& trip_ns) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) die("cannot write " + path + ": " + std::strerror(errno));
  std::fprintf(file,
               "{\"bench\":\"link\",\"case\":\"copy64_oneway\",\"ours\":%.0f,\"kernel\":null,\"ratio\":null,"
               "\"unit\":\"frames/s\",\"cacheline_rtt_ns\":%.1f,\"ours_runs\":[",
               rate.median, trip_ns.median);
  for (size_t n = 0; n < runs.size(); ++n) std::fprintf(file, "%s%.0f", n > 0 ? "," : "", runs[n]);
  std::fprintf(file, "]}\n");
  if (std::fclose(file) != 0) die("cannot write " + path + ": " + std::strerror(errno));
}

void run(const Options& options) {
  ::signal(SIGPIPE, SIG_IGN);
  void* const page =
      ::mmap(nullptr, sizeof(Rendezvous), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) die("cannot map shared memory");
  Rendezvous& meet = *new (page) Rendezvous;
  Region region = need(Region::create("bench-link", ShmLink::region_bytes()));
  Region same = need(Region::adopt(Fd(::dup(region.fd())), ShmLink::region_bytes()));
  DoorbellPipe to_a = need(DoorbellPipe::create());
  DoorbellPipe to_b = need(DoorbellPipe::create());
  LinkFacts facts;
  facts.headroom = 64;

  const pid_t sender = ::fork();
  if (sender < 0) die("cannot fork");
  if (sender == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin(options.sender_core);
    ShmLink link =
        need(ShmLink::create(std::move(region), Side::kA, facts, std::move(to_b.ring), std::move(to_a.wake)));
    answer_trips(meet, static_cast<uint32_t>(options.rounds * kTrips));
    send_until_over(link, meet);
    std::_Exit(0);
  }
  pin(options.receiver_core);
  ShmLink link =
      need(ShmLink::create(std::move(same), Side::kB, facts, std::move(to_a.ring), std::move(to_b.wake)));
  const Spread trip_ns = spread(measure_trips_ns(meet, options.rounds));
  const std::vector<double> runs = receive_rounds(link, options);
  meet.over = true;
  ::waitpid(sender, nullptr, 0);

  const Spread rate = spread(runs);
  std::printf("case           median [min..max]              of\n");
  std::printf("copy64_oneway  %.1f M frames/s [%.1f..%.1f]  %zu runs of %.1f s\n", rate.median / 1e6,
              rate.least / 1e6, rate.most / 1e6, runs.size(), options.seconds);
  std::printf("cache line     %.0f ns to the other core and back [%.0f..%.0f]\n", trip_ns.median,
              trip_ns.least, trip_ns.most);
  std::printf(
      "\nFrames of %u bytes from core %d to core %d, copied in and out, every check on. DPDK's memif\n"
      "with copying is known for 48 to 58 M frames/s.\n",
      kFrameBytes, options.sender_core, options.receiver_core);
  if (!options.json.empty()) write_json(options.json, runs, rate, trip_ns);
}

constexpr const char* kUsage =
    "usage: bench-link [--quick] [--rounds N] [--seconds S] [--cores SENDER,RECEIVER] [--json FILE]\n"
    "example: ./bench link --json link.json\n";

Options parse(int argc, char** argv) {
  Options options;
  for (int n = 1; n < argc; ++n) {
    const std::string_view name = argv[n];
    if (name == "--help" || name == "-h") {
      std::fputs(kUsage, stdout);
      std::exit(0);
    }
    if (name == "--quick") {
      options.rounds = 5;
      options.seconds = 0.2;
      continue;
    }
    const char* const value = n + 1 < argc ? argv[++n] : "";
    bool good = *value != '\0';
    if (name == "--rounds")
      good = (options.rounds = std::atoi(value)) > 0 && options.rounds <= 10'000;
    else if (name == "--seconds")
      good = (options.seconds = std::atof(value)) > 0;
    else if (name == "--cores")
      good = std::sscanf(value, "%d,%d", &options.sender_core, &options.receiver_core) == 2;
    else if (name == "--json")
      options.json = value;
    else
      good = false;
    if (!good) {
      std::fprintf(stderr, "bench-link: cannot make sense of %s\n%s", argv[n], kUsage);
      std::exit(2);
    }
  }
  return options;
}

}  // namespace
}  // namespace skerry

int main(int argc, char** argv) {
  skerry::run(skerry::parse(argc, argv));
}
