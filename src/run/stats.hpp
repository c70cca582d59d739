// The stats page: named u64 counters in one page that a process writes and the supervisor maps read-only.
// Counting costs a load and a store, showing costs the counting process nothing.
//
// Layout, 64 KiB: a header of 64 bytes {u64 magic, u32 version, u32 count}, then rows {char name[56], u64
// value}. A row whose name begins with NUL is free. `asleep` and `breaths` (the heartbeat) are in every page.
//
// Invariant: the reader believes nothing: the count is bounded, each row is copied before it is looked at,
// and a name is at most 55 printable characters.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fd.hpp"
#include "base/result.hpp"

namespace skerry {

inline constexpr size_t kStatsBytes = 64 * 1024;
inline constexpr size_t kStatsNameBytes = 56;

struct StatsRow {
  char name[kStatsNameBytes];
  uint64_t value;
};
static_assert(sizeof(StatsRow) == 64);  // a cache line

struct StatsHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t count;  // rows that were ever used; the rest of the page is zero
  uint8_t reserved[48];
};
static_assert(sizeof(StatsHeader) == 64);

inline constexpr uint32_t kStatsRows = (kStatsBytes - sizeof(StatsHeader)) / sizeof(StatsRow);

// One counter of a page. A plain pointer to copy; valid while the page and its row are. One writer only, so
// adding is no locked operation.
class Counter {
 public:
  explicit Counter(uint64_t& cell) : cell_(&cell) {}

  void add(uint64_t amount) { set(get() + amount); }
  void set(uint64_t value) { std::atomic_ref(*cell_).store(value, std::memory_order_relaxed); }
  uint64_t get() const { return std::atomic_ref(*cell_).load(std::memory_order_relaxed); }

 private:
  uint64_t* cell_;
};

// The sealed memfd of one page, made by the supervisor (and by tests).
Result<Fd> create_stats_memory();

// The writer's side.
class Stats {
 public:
  // Maps the page and begins it anew.
  static Result<Stats> attach(const Fd& memory);

  // The counter of that name, made if it is not there yet; longer names are cut at 55 characters. When the
  // page is full, all further names share the last row, "overflow".
  Counter counter(std::string_view name);
  // Frees all rows whose names begin with the prefix. Their Counters must not be used again.
  void forget(std::string_view prefix);

  Stats(Stats&& other) noexcept : page_(std::exchange(other.page_, nullptr)) {}
  Stats& operator=(Stats&&) = delete;
  ~Stats();

 private:
  explicit Stats(void* page) : page_(page) {}
  StatsHeader& header() { return *static_cast<StatsHeader*>(page_); }
  StatsRow* rows() { return reinterpret_cast<StatsRow*>(static_cast<uint8_t*>(page_) + sizeof(StatsHeader)); }

  void* page_;
};

// The reader's side.
class StatsReader {
 public:
  struct Row {
    std::string name;
    uint64_t value;
  };

  // Fails if the memory is not a sealed page of the right size: one that shrinks would kill its reader.
  static Result<StatsReader> attach(const Fd& memory);

  // All rows in the order of the page; none if the page is not (or no longer) a stats page.
  std::vector<Row> rows() const;
  std::optional<uint64_t> value(std::string_view name) const;

  StatsReader(StatsReader&& other) noexcept : page_(std::exchange(other.page_, nullptr)) {}
  StatsReader& operator=(StatsReader&&) = delete;
  ~StatsReader();

 private:
  explicit StatsReader(const void* page) : page_(page) {}
  const void* page_;
};

}  // namespace skerry
