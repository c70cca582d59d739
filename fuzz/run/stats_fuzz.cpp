// The supervisor reads a page that a process wrote: whatever the page holds, the rows are bounded in count
// and length and safe to show on a terminal.
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "run/stats.hpp"

namespace {

struct Page {
  Page() {
    skerry::Result<skerry::Fd> memory = skerry::create_stats_memory();
    CHECK(memory);
    bytes = static_cast<uint8_t*>(
        ::mmap(nullptr, skerry::kStatsBytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory->get(), 0));
    CHECK(bytes != MAP_FAILED);
    skerry::Result<skerry::StatsReader> attached = skerry::StatsReader::attach(*memory);
    CHECK(attached);
    reader.emplace(std::move(*attached));
  }
  uint8_t* bytes;
  std::optional<skerry::StatsReader> reader;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Page page;
  const size_t written = std::min(size, skerry::kStatsBytes);
  std::memcpy(page.bytes, data, written);
  const auto rows = page.reader->rows();
  if (rows.size() > skerry::kStatsRows) std::abort();
  for (const auto& row : rows) {
    if (row.name.empty() || row.name.size() >= skerry::kStatsNameBytes) std::abort();
    if (std::any_of(row.name.begin(), row.name.end(), [](char c) { return c < 0x20 || c > 0x7e; }))
      std::abort();
  }
  std::memset(page.bytes, 0, written);
  return 0;
}
