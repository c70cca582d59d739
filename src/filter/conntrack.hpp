// Connection tracking: which flow a packet belongs to, in which direction, and whether it is a valid part of
// it. A flow begins with a packet that passed all rules, and is forgotten when its time is over.
//
// Read first: docs/filter.md, "Connections"; conntrack_tcp.hpp for TCP. What is which state is Linux's
// (nf_conntrack_core.c and its protocols), timeouts are its sysctls as they come.
//
// Invariants: pure; nothing is allocated after the constructor. Strangers cannot choose their bucket (in the
// table of those that were found last they can, where a flow that another displaces is looked up), and a full
// table looks at a bounded number of flows for one to drop. A flow that rules look at stays where it is
// until the next packet is tracked.
#pragma once

#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <type_traits>
#include <vector>

#include "base/siphash.hpp"
#include "base/time.hpp"
#include "filter/conntrack_tcp.hpp"
#include "filter/packet.hpp"
#include "filter/transport_seen.hpp"

namespace skerry::filter {

// What packets of one flow and direction have in common. Of ICMP the source port is the identifier, the
// destination port type and code; of other protocols without ports both are 0.
struct Tuple {
  std::array<uint8_t, 16> source, destination;  // IPv4: the first four, then zeros
  std::array<uint8_t, 2> source_port, destination_port;
  uint8_t protocol, v6;
  uint16_t zone;  // packets of two are never of one flow

  // That of the packet whose IP header `ip` begins with and whose transport header lies at `transport`, in
  // zone 0; none if it is cut off.
  static std::optional<Tuple> read(ConstBytes ip, bool v6, uint8_t protocol, size_t transport);
  // That of an answer; none if there is no answer to this.
  std::optional<Tuple> inverse() const;
  friend bool operator==(const Tuple& one, const Tuple& other) {
    uint64_t a[5], b[5];
    static_assert(sizeof one == sizeof a);
    std::memcpy(a, &one, sizeof a);
    std::memcpy(b, &other, sizeof b);
    return ((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) | (a[4] ^ b[4])) == 0;
  }
};
static_assert(std::has_unique_object_representations_v<Tuple>);

// Where a packet's transport header lies, and what it is. Of a whole packet or one that can be seen in part;
// none for a later fragment, or where headers cannot be followed. Goes on behind an authentication header,
// other than rules do (ipv6_skip_exthdr() of the kernel).
struct Transport {
  uint8_t protocol;
  size_t offset;
};
std::optional<Transport> find_transport(ConstBytes ip, bool v6);

// What each packet changes lies in two lines of the cache, which is checked below.
struct alignas(64) Flow {
  enum Status : uint32_t {  // IPS_*
    kExpected = 1,          // another one announced it
    kSeenReply = 2,
    kAssured = 4,
    kConfirmed = 8,
    kSourceNat = 16,
    kDestinationNat = 32,
    kShifted = 64,      // announcements have become longer or shorter
    kSourceDone = 128,  // it is settled whether and how the source is translated
    kDestinationDone = 256,
    kDying = 512,
    kHelped = 8192,  // what it announces is read
  };
  static constexpr uint32_t kTranslated = kSourceNat | kDestinationNat;

  std::array<Tuple, 2>
      tuples;  // as it began, and the answer: where it is translated, not the other's inverse
  struct Passed {
    uint64_t packets, bytes;  // from the IP header on; those that were valid
  };
  std::array<Passed, 2> passed;  // by reply
  TimeNs expires;
  uint32_t status;
  uint32_t epoch;  // when its last TCP segment came
  TcpFlow tcp;
  uint32_t number;   // no other flow of the table has it
  TimeNs stream_at;  // of UDP: when it is more than a question
  uint32_t mark;
  std::array<uint8_t, 16> labels;
  std::array<uint32_t, 2> next, bucket;
  uint32_t next_of_source, previous_of_source, source_bucket;  // if kSourceDone
  void count(bool reply, uint32_t length) {
    ++passed[reply].packets;
    passed[reply].bytes += length;
  }
};

static_assert(offsetof(Flow, passed) >= 64 && offsetof(Flow, number) <= 192 && sizeof(Flow) == 256);

// Which of a packet's two ends is translated.
enum class NatSide : uint8_t { source, destination };
constexpr uint32_t nat_bit(NatSide side) {
  return side == NatSide::source ? Flow::kSourceNat : Flow::kDestinationNat;
}
constexpr uint32_t done_bit(NatSide side) {
  return side == NatSide::source ? Flow::kSourceDone : Flow::kDestinationDone;
}

// What a flow may be translated to (struct nf_nat_range2).
struct NatRange {
  std::array<uint8_t, 16> address_low{}, address_high{};
  uint16_t port_low = 0, port_high = 0;
  bool has_address = false, has_port = false, random = false, persistent = false;
};

class Expectations;
struct FtpLine;

class Conntrack {
 public:
  static constexpr uint32_t kMostFlows = 65'536;  // some 16 MiB, touched as used

  // `secret` keeps strangers from filling one bucket.
  explicit Conntrack(const SipKey& secret, uint32_t most_flows = kMostFlows);
  ~Conntrack();

  // Finds the packet's flow, or begins one, and notes what the packet means for it.
  void track(Packet& packet, TimeNs now);
  // --- packets alike (conntrack_again.cpp). Of one that is of IPv4 without options, whole, in zone 0, not
  // damaged and of TCP or UDP, which the caller makes sure of before the second step:
  //
  // Its flow, if that is the last that was found at its place, and nothing of it is special: it is known, was
  // answered or is by this packet, its time is not over, and it is not translated, helped or shifted. None:
  // track() the packet. `header`: of IPv4.
  Tracked find_again(const uint8_t* header, TransportSeen seen, TimeNs now);
  // That packet, `length` bytes from its IP header on, is noted. False: nothing has changed, and track() says
  // what it is: a segment with other flags than ACK and PSH or other options than timestamps, one that is not
  // valid or of which nothing is learned, one after others that were not seen (resume()), or a datagram that
  // is not as long as it says. `transport`: TransportSeen::kBytes at least, and of TCP all of its header;
  // what `seen` does not say is read once.
  bool note_again(const Tracked& found, const uint8_t* transport, TransportSeen seen, uint32_t length,
                  TimeNs now);

  // The packet has passed all rules: the flow that it began is known from now on. False: it cannot be,
  // because another one has the same answers; the packet must not leave.
  bool confirm(const Packet& packet, TimeNs now);

  // --- translation (conntrack_nat.cpp)
  // Before the first bind(); only between breaths.
  void make_room_for_nat();
  // Settles how one side of a flow is translated that is not known yet, so that no other has its answers. For
  // one that is known nothing changes: what it was when it began it stays.
  void bind(Flow& flow, NatSide side, const NatRange& range, TimeNs now);
  // Of a packet that left: its tuple before it was translated. None: it was not.
  std::optional<Tuple> before(ConstBytes left, bool v6, uint16_t zone, TimeNs now);

  // --- what flows announce (conntrack_help.cpp)
  // Before the first help(); only between breaths.
  void make_room_for_help();
  // Some flow may be helped: whole packets of those are needed behind the rules.
  bool helps() const { return expectations_ != nullptr; }
  // From now on, if it is new and of TCP.
  void help(Flow& flow);
  static bool is_helped(const Packet& packet) {
    const Flow* const flow = packet.tracked.flow;
    return flow != nullptr && (flow->status & (Flow::kHelped | Flow::kDying)) == Flow::kHelped;
  }
  // A packet of a helped flow has passed all rules. False: it must not leave, because what it announces
  // cannot be understood, or another flow has announced it.
  bool read_lines(Packet& packet, TimeNs now);

  // Packets have passed that were not tracked: how far open TCP connections have come is learned anew from
  // what they send next (nf_ct_tcp_fixup()).
  void resume() { ++epoch_; }

  uint32_t flows() const { return flows_in_use_; }
  uint64_t early_drops() const { return early_drops_; }
  // Packets that would have begun a flow when there was no room, which makes them invalid.
  uint64_t refused() const { return refused_; }

 private:
  static constexpr uint32_t kNobody = UINT32_MAX, kPlaces = 1024;
  struct Found {
    Flow* flow = nullptr;
    bool reply = false;
  };

  uint32_t bucket_of(const Tuple& tuple) const;
  Found find(const Tuple& tuple, TimeNs now);
  Flow* begin(const Tuple& tuple, TimeNs now);
  bool note(Flow& flow, bool reply, const Packet& packet, ConstBytes transport, size_t bytes, TimeNs now,
            bool& reopens);
  bool note_tcp(Flow& flow, bool reply, uint32_t length, ConstBytes transport, size_t bytes, TimeNs now,
                bool& reopens);
  bool note_udp(Flow& flow, uint16_t length, size_t bytes, TimeNs now);
  static uint32_t place_of(const uint8_t* addresses, TransportSeen seen);
  void note_place(const Flow& flow);
  TcpFlow::Known known(const Flow& flow, TimeNs now) const;
  bool icmp(Packet& packet, ConstBytes transport, TimeNs now);
  void relate(Packet& packet, size_t inner_offset, TimeNs now);

  void inherit(Flow& flow, TimeNs now);
  bool read_text(Packet& packet, size_t transport, TimeNs now);
  bool announce(Packet& packet, size_t transport, size_t text, const FtpLine& line, TimeNs now);
  bool announce_translated(Packet& packet, size_t transport, size_t text, const FtpLine& line, TimeNs now);
  uint32_t shift_of_ack(const Flow& flow, bool reply, uint32_t ack) const;

  Tuple unique(const Tuple& from, NatSide side, const NatRange& range, const Flow& flow, TimeNs now);
  void find_port(Tuple& tuple, NatSide side, const NatRange& range, const Flow& flow, TimeNs now);
  bool is_taken(const Tuple& tuple, const Flow& flow, TimeNs now);
  bool is_taken_for_good(const Tuple& tuple, const Flow& flow, TimeNs now);
  std::optional<Tuple> as_before(const Tuple& from, const NatRange& range) const;
  uint32_t source_bucket_of(const Tuple& tuple) const;
  void link_source(Flow& flow);
  void unlink_source(const Flow& flow);
  uint16_t draw();

  uint32_t index_of(const Flow& flow) const { return static_cast<uint32_t>(&flow - flows_.get()); }
  void link(Flow& flow, bool reply);
  void unlink(const Flow& flow, bool reply);
  void remove(Flow& flow);
  void release(Flow& flow);
  uint32_t make_room(TimeNs now);

  SipKey secret_;
  uint32_t most_flows_;
  std::unique_ptr<Flow[]> flows_;
  std::vector<uint32_t> buckets_;               // 2 * flow + direction; a power of two
  std::array<uint32_t, kPlaces> last_at_;       // flow that was found last, by place_of(), or kNobody
  std::vector<uint32_t> sources_;               // flows by who began them, if any is translated
  std::unique_ptr<Expectations> expectations_;  // if any is helped
  uint64_t drawn_ = 0;
  uint32_t fresh_ = 0;  // flows from here on were never used
  uint32_t free_;       // list of flows by next[0]
  uint32_t pending_;    // begun by the last packet, and not confirmed yet
  uint32_t hand_ = 0;   // where make_room() goes on
  uint32_t flows_in_use_ = 0;
  uint32_t begun_ = 0;  // flows so far
  uint32_t epoch_ = 0;
  uint64_t early_drops_ = 0, refused_ = 0;
};

}  // namespace skerry::filter
