// What it costs to look whether a checksum was left unfinished, a frame in the cache, beside what it would
// cost to verify it. Run it as `bench-unfinished`.
#include <benchmark/benchmark.h>

#include "link/packets.hpp"
#include "link/unfinished.hpp"

namespace skerry {
namespace {

std::vector<uint8_t> frame_of(size_t payload_bytes, bool unfinished) {
  Random random(1);
  std::vector<uint8_t> bytes = tcp_frame(payload_bytes, random);
  if (unfinished) {
    const auto sum =
        ipv4_pseudo_header(kTestSource, kTestDestination, 6, static_cast<uint16_t>(bytes.size() - 34));
    store_be16(bytes.data() + 34 + TcpHeader::kChecksumOffset, sum.sum());
  }
  return bytes;
}

void look(benchmark::State& state) {
  const std::vector<uint8_t> bytes = frame_of(static_cast<size_t>(state.range(0)), state.range(1) != 0);
  for (auto _ : state) {
    Frame frame = plain_frame(0, static_cast<uint32_t>(bytes.size()), 0);
    benchmark::DoNotOptimize(bytes.data());
    benchmark::DoNotOptimize(mark_unfinished_checksum(frame, bytes));
    benchmark::DoNotOptimize(frame);
  }
}

void verify(benchmark::State& state) {
  const std::vector<uint8_t> bytes = frame_of(static_cast<size_t>(state.range(0)), false);
  for (auto _ : state) {
    benchmark::DoNotOptimize(bytes.data());
    InternetChecksum sum =
        ipv4_pseudo_header(kTestSource, kTestDestination, 6, static_cast<uint16_t>(bytes.size() - 34));
    sum.add(ConstBytes(bytes).subspan(34));
    benchmark::DoNotOptimize(sum.intact());
  }
}

BENCHMARK(look)->ArgNames({"payload", "unfinished"})->ArgsProduct({{36, 1448}, {0, 1}});
BENCHMARK(verify)->ArgName("payload")->Arg(36)->Arg(1448);

}  // namespace
}  // namespace skerry

BENCHMARK_MAIN();
