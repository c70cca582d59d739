#include "run/stats.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/system_error.hpp"

namespace skerry {
namespace {

constexpr uint64_t kMagic = 0x736b657272797374;  // "skerryst"
constexpr uint32_t kVersion = 1;
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW;

Result<void*> map_page(const Fd& memory, int protection) {
  struct stat status {};
  if (::fstat(memory.get(), &status) != 0) return system_error("cannot look at a stats page");
  const int seals = ::fcntl(memory.get(), F_GET_SEALS);
  if (status.st_size != static_cast<off_t>(kStatsBytes) || seals < 0 || (seals & kSeals) != kSeals)
    return Error{"a stats page must be a memfd of 64 KiB, sealed against shrinking and growing"};
  void* page = ::mmap(nullptr, kStatsBytes, protection, MAP_SHARED, memory.get(), 0);
  if (page == MAP_FAILED) return system_error("cannot map a stats page");
  return page;
}

std::string_view name_of(const StatsRow& row) {
  return {row.name, ::strnlen(row.name, kStatsNameBytes - 1)};
}

}  // namespace

Result<Fd> create_stats_memory() {
  Fd memory(::memfd_create("skerry-stats", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory) return system_error("cannot create a stats page");
  if (::ftruncate(memory.get(), kStatsBytes) != 0) return system_error("cannot size a stats page");
  if (::fcntl(memory.get(), F_ADD_SEALS, kSeals | F_SEAL_SEAL) != 0)
    return system_error("cannot seal a stats page");
  return memory;
}

Result<Stats> Stats::attach(const Fd& memory) {
  Result<void*> page = map_page(memory, PROT_READ | PROT_WRITE);
  if (!page) return page.error();
  std::memset(*page, 0, kStatsBytes);
  Stats stats(*page);
  stats.header().version = kVersion;
  std::atomic_ref(stats.header().magic).store(kMagic, std::memory_order_release);
  return stats;
}

Counter Stats::counter(std::string_view name) {
  name = name.substr(0, kStatsNameBytes - 1);
  const std::atomic_ref count(header().count);
  const uint32_t used = count.load(std::memory_order_relaxed);
  StatsRow* row = std::find_if(rows(), rows() + used, [&](const StatsRow& r) { return name_of(r) == name; });
  if (row != rows() + used) return Counter(row->value);

  row = std::find_if(rows(), rows() + used, [](const StatsRow& r) { return r.name[0] == 0; });
  const uint32_t index = static_cast<uint32_t>(row - rows());
  if (index + 1 >= kStatsRows) {
    row = rows() + kStatsRows - 1;
    name = "overflow";
  }
  std::memcpy(row->name, name.data(), name.size());
  row->name[name.size()] = 0;
  // A reader that sees the new count sees the name too.
  count.store(std::max(used, static_cast<uint32_t>(row - rows()) + 1), std::memory_order_release);
  return Counter(row->value);
}

void Stats::forget(std::string_view prefix) {
  for (StatsRow* row = rows(); row != rows() + header().count; ++row) {
    if (name_of(*row).starts_with(prefix)) std::memset(row, 0, sizeof *row);
  }
}

Stats::~Stats() {
  if (page_) ::munmap(page_, kStatsBytes);
}

Result<StatsReader> StatsReader::attach(const Fd& memory) {
  Result<void*> page = map_page(memory, PROT_READ);
  if (!page) return page.error();
  return StatsReader(*page);
}

std::vector<StatsReader::Row> StatsReader::rows() const {
  std::vector<Row> result;
  StatsHeader header;
  std::memcpy(&header, page_, sizeof header);
  std::atomic_thread_fence(std::memory_order_acquire);
  if (header.magic != kMagic || header.version != kVersion) return result;
  const uint8_t* at = static_cast<const uint8_t*>(page_) + sizeof header;
  const uint32_t count = std::min(header.count, kStatsRows);
  for (uint32_t i = 0; i < count; ++i, at += sizeof(StatsRow)) {
    StatsRow row;
    std::memcpy(&row, at, sizeof row);
    std::string name(name_of(row));
    if (name.empty()) continue;
    // Names are shown on terminals: no control characters from a process that may be hostile.
    std::replace_if(
        name.begin(), name.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
    result.push_back({std::move(name), row.value});
  }
  return result;
}

std::optional<uint64_t> StatsReader::value(std::string_view name) const {
  for (Row& row : rows()) {
    if (row.name == name) return row.value;
  }
  return std::nullopt;
}

StatsReader::~StatsReader() {
  if (page_) ::munmap(const_cast<void*>(page_), kStatsBytes);
}

}  // namespace skerry
