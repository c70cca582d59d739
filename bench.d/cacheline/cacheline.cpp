// How long a cache line needs to core 1 and back: two threads hand a word to and fro. On a shared machine
// this moves by the hour, so every figure that crosses cores is printed beside it.
//
// usage: bench-cacheline [CORE CORE]     prints {"median_ns":…,"min_ns":…,"max_ns":…} of 11 rounds
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace {

constexpr int kRounds = 11;
constexpr uint32_t kTrips = 100'000;

alignas(64) std::atomic<uint32_t> ping{0};
alignas(64) std::atomic<uint32_t> pong{0};

bool pin(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  return pthread_setaffinity_np(pthread_self(), sizeof set, &set) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  const int near = argc == 3 ? std::atoi(argv[1]) : 0;
  const int far = argc == 3 ? std::atoi(argv[2]) : 1;
  std::atomic<int> far_ready{0};
  std::thread other([&] {
    far_ready = pin(far) ? 1 : -1;
    for (uint32_t trip = 1; far_ready == 1 && trip <= kRounds * kTrips; ++trip) {
      while (ping.load(std::memory_order_acquire) != trip) __builtin_ia32_pause();
      pong.store(trip, std::memory_order_release);
    }
  });
  while (far_ready == 0) std::this_thread::yield();
  if (far_ready < 0 || !pin(near)) {
    std::fprintf(stderr, "bench-cacheline: cores %d and %d are not both there for us\n", near, far);
    std::_Exit(1);
  }

  std::array<double, kRounds> trip_ns;
  uint32_t trip = 0;
  for (double& result : trip_ns) {
    const auto started = std::chrono::steady_clock::now();
    for (uint32_t i = 0; i < kTrips; ++i) {
      ping.store(++trip, std::memory_order_release);
      while (pong.load(std::memory_order_acquire) != trip) __builtin_ia32_pause();
    }
    const std::chrono::duration<double, std::nano> elapsed = std::chrono::steady_clock::now() - started;
    result = elapsed.count() / kTrips;
  }
  other.join();
  std::sort(trip_ns.begin(), trip_ns.end());
  std::printf("{\"median_ns\":%.1f,\"min_ns\":%.1f,\"max_ns\":%.1f}\n", trip_ns[kRounds / 2], trip_ns.front(),
              trip_ns.back());
}
