// Lists of connections by index, without allocation: an index is in a list at most once, and joins or leaves
// it in constant time. They are rebuilt from the control blocks after a restart, so they lie outside the
// arena.
#pragma once

#include <cstdint>
#include <vector>

namespace skerry::tcp {

inline constexpr uint32_t kNoIndex = UINT32_MAX;

// The ends of one list.
struct IndexList {
  uint32_t head = kNoIndex;
  uint32_t tail = kNoIndex;

  bool empty() const { return head == kNoIndex; }
};

// The links of all indices for one kind of list; several lists (one per listener, say) can share them.
class IndexLinks {
 public:
  explicit IndexLinks(uint32_t count) : links_(count) {}

  bool is_linked(uint32_t index) const { return links_[index].linked; }
  uint32_t next(uint32_t index) const { return links_[index].next; }

  void push_back(IndexList& list, uint32_t index) {
    links_[index] = {kNoIndex, list.tail, true};
    if (list.tail != kNoIndex) {
      links_[list.tail].next = index;
    } else {
      list.head = index;
    }
    list.tail = index;
  }

  void remove(IndexList& list, uint32_t index) {
    Link& link = links_[index];
    if (link.previous != kNoIndex) {
      links_[link.previous].next = link.next;
    } else {
      list.head = link.next;
    }
    if (link.next != kNoIndex) {
      links_[link.next].previous = link.previous;
    } else {
      list.tail = link.previous;
    }
    link = {};
  }

 private:
  struct Link {
    uint32_t next = kNoIndex;
    uint32_t previous = kNoIndex;
    bool linked = false;
  };
  std::vector<Link> links_;
};

}  // namespace skerry::tcp
