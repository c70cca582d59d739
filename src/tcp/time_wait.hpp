// Connections in TIME-WAIT (RFC 9293 section 3.6.1): a small table of its own, so that waiting out old
// segments costs neither a control block nor an index of the pool. All wait equally long, so a queue in order
// of expiry is enough of a timer. The oldest gives way when the table is full.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/time.hpp"
#include "tcp/flow.hpp"
#include "tcp/flow_table.hpp"
#include "tcp/index_list.hpp"

namespace skerry::tcp {

struct TimeWaitEntry {
  Flow flow;
  uint32_t snd_nxt = 0;
  uint32_t rcv_nxt = 0;
  uint32_t rcv_wnd = 0;  // bytes
  uint32_t ts_recent = 0;
  uint32_t ts_offset = 0;
  uint8_t rcv_scale = 0;
  bool timestamps = false;
  bool in_use = false;
  bool reuse_address = false, reuse_port = false;  // as the connection had them
  bool syn_answered = false;  // our last ACK answered a SYN; if its sender knows nothing of that, it resets
  bool forgotten = false;     // it did: the SYN of this number opens a connection
  uint32_t syn_seq = 0;
  TimeNs since = 0;  // when the last segment that counts arrived (RFC 6191)
  TimeNs deadline = 0;
  TimeNs last_invalid_ack = 0;  // for the rate limit on answers
};

class TimeWait {
 public:
  // `entries` is zeroed memory for `capacity` entries and outlives the object.
  TimeWait(TimeWaitEntry* entries, uint32_t capacity);

  // The entry of a flow, or null. Valid until the next add or remove.
  TimeWaitEntry* find(uint32_t hash, const Flow& flow);
  // Takes over `entry`; if the table is full the oldest entry is written to `dropped` and true is returned.
  bool add(uint32_t hash, const TimeWaitEntry& entry, TimeWaitEntry& dropped, const FlowHash& hasher);
  void remove(uint32_t hash, TimeWaitEntry* entry);
  // A retransmitted FIN restarts the 2 MSL time-out.
  void restart(TimeWaitEntry* entry, TimeNs deadline);

  TimeNs deadline() const { return queue_.empty() ? kNever : entries_[queue_.head].deadline; }
  // The entry that expires first, or null.
  TimeWaitEntry* oldest() { return queue_.empty() ? nullptr : &entries_[queue_.head]; }

  template <class Visit>
  void for_each(Visit&& visit) const {
    for (uint32_t i = queue_.head; i != kNoIndex; i = links_.next(i)) visit(entries_[i]);
  }

 private:
  TimeWaitEntry* entries_;
  std::vector<uint32_t> free_;
  FlowTable table_;
  IndexLinks links_;
  IndexList queue_;
};

}  // namespace skerry::tcp
