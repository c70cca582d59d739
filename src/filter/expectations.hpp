// What is known of connections whose lines are read: where lines begin, and which other connection each of
// them has announced. One that is expected belongs to the one that announced it, and is expected once.
//
// Read first: conntrack.hpp; nf_conntrack_expect.c.
//
// Invariants: nothing is allocated after the constructor; memory is touched as flows are helped. A flow
// expects one connection at most, so there are never more of them than flows.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/siphash.hpp"
#include "base/time.hpp"
#include "filter/conntrack.hpp"
#include "filter/ftp_lines.hpp"
#include "filter/sequence_shift.hpp"

namespace skerry::filter {

class Expectations {
 public:
  static constexpr DurationNs kLifetime = 300 * kSecond;

  Expectations(const SipKey& secret, uint32_t most_flows);

  // A flow, by its index, is helped from now on.
  void begin(uint32_t flow);
  // Where lines of one of its directions begin.
  LineStarts& lines(uint32_t flow, bool reply) { return helped_[flow].lines[reply]; }
  SequenceShift& shift(uint32_t flow, bool reply) { return helped_[flow].shifts[reply]; }

  // How a connection was announced: where that flow is translated, by which of its sides and with which port.
  struct How {
    bool translated, reply;
    uint16_t port;
  };
  // A connection as `first` says, from any port, instead of what the flow announced before. False: another
  // flow expects it.
  bool expect(uint32_t flow, Tuple first, const How& how, TimeNs now);
  // Who expects a connection which begins with `first`, and does so no longer.
  struct Expected {
    uint32_t flow;
    How how;
  };
  std::optional<Expected> take(const Tuple& first, TimeNs now);
  // Nothing any more; it may be gone.
  void forget(uint32_t flow);
  uint32_t waiting() const { return waiting_; }

 private:
  static constexpr uint32_t kBuckets = 1024;
  struct Helped {
    std::array<LineStarts, 2> lines;
    std::array<SequenceShift, 2> shifts;
    How how;
    bool expects;
    Tuple first;  // of what is expected, without its source port
    TimeNs until;
    uint32_t bucket, next;
  };

  uint32_t bucket_of(const Tuple& first) const;
  uint32_t find(const Tuple& first) const;

  SipKey secret_;
  std::unique_ptr<Helped[]> helped_;  // by flow
  std::vector<uint32_t> buckets_;
  uint32_t waiting_ = 0;
};

}  // namespace skerry::filter
