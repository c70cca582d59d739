// Two joined ends of each kind of link, for tests that run over all of them. A world has a(), b(), and says
// whether an end has been rung.
#pragma once

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <optional>
#include <utility>
#include <vector>

#include "base/check.hpp"
#include "link/local_link.hpp"
#include "link/lossy.hpp"
#include "link/record.hpp"
#include "link/shm_link.hpp"

namespace skerry {

inline LinkFacts test_facts(uint8_t last_byte_of_mac) {
  LinkFacts facts;
  facts.headroom = 64;
  facts.max_frame = kMaxFrame;
  facts.mac = MacAddress{{2, 0, 0, 0, 0, last_byte_of_mac}};
  facts.vouches = true;
  facts.takes_unfinished = true;
  facts.segments_tcp4 = true;
  return facts;
}

inline constexpr SlotGeometry kTestGeometry{32, 4};

inline bool readable(int fd) {
  pollfd entry{fd, POLLIN, 0};
  return ::poll(&entry, 1, 0) == 1;
}

struct LocalWorld {
  static constexpr bool kHasDoorbell = false;
  static constexpr bool kCarriesSuperFrames = true;
  LocalWire wire{test_facts(1), test_facts(2), kTestGeometry};

  LocalLink& a() { return wire.a(); }
  LocalLink& b() { return wire.b(); }
};

struct ShmWorld {
  static constexpr bool kHasDoorbell = true;
  static constexpr bool kCarriesSuperFrames = true;

  explicit ShmWorld(const SlotGeometry& geometry = kTestGeometry) {
    ::signal(SIGPIPE, SIG_IGN);
    Result<Region> region_a = Region::create("link", ShmLink::region_bytes(geometry));
    CHECK(region_a);
    Result<Region> region_b = Region::adopt(Fd(::dup(region_a->fd())), ShmLink::region_bytes(geometry));
    CHECK(region_b);
    Result<DoorbellPipe> to_a = DoorbellPipe::create();
    Result<DoorbellPipe> to_b = DoorbellPipe::create();
    CHECK(to_a && to_b);
    Result<ShmLink> link_a = ShmLink::create(std::move(*region_a), Side::kA, test_facts(1),
                                             std::move(to_b->ring), std::move(to_a->wake), geometry);
    Result<ShmLink> link_b = ShmLink::create(std::move(*region_b), Side::kB, test_facts(2),
                                             std::move(to_a->ring), std::move(to_b->wake), geometry);
    CHECK(link_a && link_b);
    end_a.emplace(std::move(*link_a));
    end_b.emplace(std::move(*link_b));
  }

  ShmLink& a() { return *end_a; }
  ShmLink& b() { return *end_b; }

  std::optional<ShmLink> end_a;
  std::optional<ShmLink> end_b;
};

inline TimeNs frozen_clock() {
  return 1'700'000'000'123'456'789;
}

// A capture in memory that can run full.
struct MemorySink : CaptureSink {
  std::vector<uint8_t> bytes;
  size_t room = SIZE_MAX;

  bool write(ConstBytes blocks) override {
    if (blocks.size() > room) return false;
    room -= blocks.size();
    bytes.insert(bytes.end(), blocks.begin(), blocks.end());
    return true;
  }
};

// End A records.
struct RecordWorld {
  static constexpr bool kHasDoorbell = true;
  static constexpr bool kCarriesSuperFrames = true;
  ShmWorld inside;
  MemorySink sink;
  Record<ShmLink, TimeNs (*)()> end_a{inside.a(), frozen_clock};

  RecordWorld() { CHECK(end_a.start(sink, "a")); }
  auto& a() { return end_a; }
  ShmLink& b() { return inside.b(); }
};

// End A has a wire that is as good as wires get.
struct LossyWorld {
  static constexpr bool kHasDoorbell = false;
  static constexpr bool kCarriesSuperFrames = false;
  LocalWorld inside;
  Lossy<LocalLink, TimeNs (*)()> end_a{inside.a(), LossyWeather{}, 1, frozen_clock, 64};

  auto& a() { return end_a; }
  LocalLink& b() { return inside.b(); }
};

}  // namespace skerry
