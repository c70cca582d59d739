// How many open flows have met each `ct count` of a ruleset, or of an element of its sets. A flow counts
// once, until it ends; nobody says when that is, so those that have ended are looked for when too many are
// counted in a list, and in all lists when there is no room for one more.
//
// Lists are told by their numbers in a ruleset, but lie in memory that rulesets hand on: so one that goes on
// in the next ruleset changes its owner, however many flows are in it.
//
// Read first: nf_conncount.c, nft_connlimit.c. Invariants: flows are only looked at, and only such as their
// number says to be the same still; nothing is allocated but by make_room() and begin(); a packet looks at no
// more than kMostSwept flows, and that once in a millisecond for each list, and for all; a list is there
// while something is in it.
#pragma once

#include <memory>
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
  // What the destructor would do, in pieces; and what nobody has taken over counts no more.
  void take_apart(const Pause& pause);
  // The list of that number is there from now on, and empty.
  void begin(uint32_t list);
  // Nobody counts in it any more. What is in it is not open for anybody, and goes when its room is needed:
  // there may be much of it.
  void drop(uint32_t list);
  // Counts a flow, or with null one more that nobody tracks. True: those that are open are more than `most`.
  // `full`: there is no room to count it.
  bool exceeds(uint32_t list, const Flow* flow, uint32_t most, TimeNs now, bool& full);
  // Nothing that it has counted is open, but for `except`. Looks at no more than kMostLooked that are not,
  // and forgets those.
  bool is_idle(uint32_t list, const Flow* except, TimeNs now);

  // --- The lists of another ruleset, which goes on counting meanwhile: before anything is counted here
  void join(const ConnectionCounts& other, const Pause& pause);
  // What is in a list now is in this one too. What the other counts later in one that is empty now, or that
  // it begins anew, is not.
  void take_over(uint32_t list, const ConnectionCounts& other, uint32_t from);
  // What was taken over is the other's alone again, and nobody's if that has begun its list anew. Whoever
  // counts in it meanwhile finds it open all the time.
  void give_back(uint32_t list, ConnectionCounts& other, uint32_t to);

 private:
  static constexpr uint32_t kNobody = 0;

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
    uint32_t owner = kNobody, number = 0;  // of the owner's
    uint32_t times = 0;                    // that this place was another list's
  };
  struct Memory {
    std::vector<Counted> counted;
    std::vector<uint32_t> buckets;
    std::vector<List> lists;  // by place; of free ones `first` leads to the next
    uint32_t free_counted = kNone, free_lists = kNone;
    uint32_t hand = 0;  // where the next sweep of all begins
    TimeNs swept = kNever;
    uint32_t owners = kNobody;  // that there ever were
  };
  struct Place {
    uint32_t at = kNone, times = 0;
  };

  // Where the list is; kNone: it is empty.
  uint32_t place_of(uint32_t list) const;
  uint32_t count(uint32_t list) const;
  bool is_open(const Counted& counted, TimeNs now) const;
  uint32_t& bucket_of(uint32_t place, uint32_t number);
  uint32_t find(uint32_t place, const Flow& flow);
  bool add(uint32_t list, const Flow& flow);
  void remove(uint32_t index);
  void sweep(uint32_t list, const Flow* except, TimeNs now);
  void sweep_all(const Flow* except, TimeNs now);

  std::shared_ptr<Memory> memory_;
  std::vector<Place> places_;  // by number
  uint32_t owner_ = kNobody;
};

}  // namespace skerry::filter
