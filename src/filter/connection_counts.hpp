// How many open flows have met each `ct count` of a ruleset, or of an element of its sets. A flow counts
// once, until it ends; nobody says when that is, so those that have ended are looked for when too many are
// counted
// in a list, and in all lists when there is no room for one more.
//
// Read first: nf_conncount.c, nft_connlimit.c. Invariants: flows are only looked at, and only such as their
// number says to be the same still; nothing is allocated but by make_room() and begin(); a packet looks at no
// more than kMostSwept flows, and that once in a millisecond for each list, and for all.
#pragma once

#include <vector>

#include "base/pause.hpp"
#include "filter/conntrack.hpp"
#include "filter/ruleset.hpp"

namespace skerry::filter {

class ConnectionCounts {
 public:
  static constexpr uint32_t kMostCounted = 65'536;  // flows, those of all lists together
  static constexpr uint32_t kMostSwept = 4096;
  static constexpr uint32_t kMostLooked = 128;

  // For all flows that may be counted, in lists with numbers below `lists`; else begin() does it, at once.
  void make_room(size_t lists, const Pause& pause);
  // What the destructor would do, in pieces.
  void take_apart(const Pause& pause);
  // The list of that number is there from now on, and empty.
  void begin(uint32_t list);
  // Counts a flow, or with null one more that nobody tracks. True: those that are open are more than `most`.
  // `full`: there is no room to count it.
  bool exceeds(uint32_t list, const Flow* flow, uint32_t most, TimeNs now, bool& full);
  // Nothing that it has counted is open, but for `except`. Looks at no more than kMostLooked that are not,
  // and forgets those.
  bool is_idle(uint32_t list, const Flow* except, TimeNs now);
  // What the list of another ruleset has counted is counted here.
  void take_over(uint32_t list, const ConnectionCounts& other, uint32_t from, TimeNs now);

 private:
  struct Counted {
    const Flow* flow;  // null: the place is free
    uint32_t number, list;
    uint32_t next_alike;  // of one bucket, or of those that are free
    uint32_t previous, next;
  };
  struct List {
    uint32_t first = kNone, count = 0;
    uint32_t hand = kNone;  // where the next sweep begins
    TimeNs swept = kNever;
  };

  static bool is_open(const Counted& counted, TimeNs now);
  uint32_t& bucket_of(uint32_t list, uint32_t number);
  uint32_t find(uint32_t list, const Flow& flow);
  bool add(uint32_t list, const Flow& flow);
  void remove(uint32_t index);
  void sweep(uint32_t list, const Flow* except, TimeNs now);
  void sweep_all(const Flow* except, TimeNs now);

  std::vector<List> lists_;
  std::vector<Counted> counted_;
  std::vector<uint32_t> buckets_;
  uint32_t free_ = kNone;
  uint32_t hand_ = 0;  // where the next sweep of all begins
  TimeNs swept_ = kNever;
};

}  // namespace skerry::filter
