// Ip: the lowest component of a stack. Ethernet, ARP, IPv4 and ICMP over one Link, and the loopback.
//
// rx sorts what arrived: segments into a queue for each transport, errors likewise, ARP and ICMP into notes.
// tx turns notes into frames, finds neighbours' MACs, and sends one batch. In between transports fill frames:
//
//   ip.find(way, to, from); if (ip.reserve(way) < n) later; out = ip.open(way, n); fill out.transport;
//   ip.settle_checksum(out, way, field); ip.send(now, way, out);
//
// Read first: RFC 1122 section 3, ARCHITECTURE.md on the breath.
// Invariants: every frame received is given back exactly once, by Ip or by the transport that took its
// segment; every decision is taken from a private copy of headers; nothing with a loopback address, or with
// our address as its source, comes in from the link or goes out to it.
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "base/check.hpp"
#include "base/random.hpp"
#include "base/time.hpp"
#include "link/link.hpp"
#include "stack/arp.hpp"
#include "stack/arrival.hpp"
#include "stack/drop_reason.hpp"
#include "stack/fate.hpp"
#include "stack/filter_hooks.hpp"
#include "stack/icmp_error.hpp"
#include "stack/icmp_replies.hpp"
#include "stack/ip_settings.hpp"
#include "stack/ipv4_input.hpp"
#include "stack/loopback.hpp"
#include "stack/outgoing.hpp"
#include "stack/path_mtus.hpp"
#include "stack/reassembly.hpp"
#include "stack/routes.hpp"
#include "stack/segment_queue.hpp"
#include "stack/tcp_reset.hpp"
#include "wire/checksum.hpp"
#include "wire/udp.hpp"

namespace skerry::stack {

template <Link L>
class Ip {
 public:
  static constexpr uint32_t kTxQueue = 256;  // frames that wait for the link
  // Longest transport segment, header included, that an IPv4 packet holds.
  static constexpr uint32_t kMaxTransportBytes = 65535 - Ipv4Header::kMinBytes;
  // With frames that the link did not take: when to offer them again. It rings nobody when it has room.
  static constexpr DurationNs kRetry = kMillisecond;
  // A link that comes and goes is answered once in so long. Linux sees changes once a second (link_watch.c).
  static constexpr DurationNs kResumeInterval = kSecond;

  // `link` and `random` outlive the object.
  Ip(L& link, const IpSettings& settings, Random& random)
      : link_(link),
        facts_(link.facts()),
        gateway_holds_(settings.gateway_holds),
        routes_(settings.addresses, settings.gateway),
        arp_(routes_, facts_.mac, settings.neighbours, random.next()),
        icmp_replies_(random),
        identification_(static_cast<uint16_t>(random.next())),
        loopback_(settings.loopback_frames),
        small_bytes_(std::min(facts_.mtu + uint32_t{EthernetHeader::kBytes}, facts_.max_frame)),
        large_bytes_(cuts_segments() ? facts_.max_frame : small_bytes_),
        small_room_(std::min(small_bytes_ + filter::kMostGrowth, large_bytes_)) {}
  Ip(const Ip&) = delete;
  Ip& operator=(const Ip&) = delete;

  // ---- Component
  uint32_t rx(TimeNs now);
  uint32_t tx(TimeNs now);
  TimeNs deadline() const {
    const TimeNs next = std::min({arp_.deadline(), reassembly_.deadline(), resume_at_});
    return tx_count_ > 0 || starved_ ? std::min(next, retry_at_) : next;
  }
  bool arm() {
    const bool nothing_left = loopback_.waiting() == 0 && in_next_ == in_.count &&
                              tcp_errors_.view().empty() && udp_errors_.view().empty();
    return link_.arm() && nothing_left;
  }
  void disarm() { link_.disarm(); }

  // Between breaths, before the link is replaced by a fresh one: gives back whatever we hold of its memory.
  // What was to be sent is lost, as on a wire that was cut. A link with frames of its own does the same in
  // forget().
  void forget_frames();

  // How many frames of the link one rx() looks at; the rest waits for the next breath. A smaller bite lets
  // the two ends of a connection overlap instead of taking turns.
  void set_receive_limit(uint32_t frames) { receive_limit_ = std::clamp<uint32_t>(frames, 1, kBatch); }

  // The last rx() stopped at that limit: more may be waiting.
  bool is_behind() const { return behind_; }

  // True once after the link came back, for a transport that waits for an answer that was lost meanwhile.
  bool take_resumed() { return std::exchange(resumed_, false); }

  // ---- towards transports: what arrived in this breath, to be emptied in it
  SegmentQueue& tcp_segments() { return tcp_segments_; }
  SegmentQueue& udp_segments() { return udp_segments_; }
  ErrorQueue& tcp_errors() { return tcp_errors_; }
  ErrorQueue& udp_errors() { return udp_errors_; }

  // Ends the use of a segment's bytes.
  void give_back(const Segment& segment) { give_back(segment.frame, segment.looped); }
  void drop(const Segment& segment, DropReason reason) {
    drops_.count(reason);
    give_back(segment);
  }
  // Answers a UDP segment with "port unreachable", or drops it if none is owed; takes the segment over either
  // way.
  void refuse(TimeNs now, const Segment& segment) {
    refuse(now, segment, DropReason::udp_no_socket, kPortUnreachable);
  }

  // ---- from transports
  // Makes sure of a frame for one segment on the way. The answer is the longest segment, header included,
  // that may come; 0: nothing can be sent now, try again in a later breath. What loops needs nothing of the
  // link, and goes on when the link does not.
  uint32_t reserve(const Way& way) { return way.loops() ? reserve_loopback() : reserve_link(); }
  uint32_t reserve_link();
  uint32_t reserve_loopback();
  // Finds the way to a peer, from the address `source` or, if that is 0, one that fits. False: there is none.
  bool find(Way& way, Ipv4Address destination, Ipv4Address source, const Marks& marks = {});
  // The longest transport segment in one packet on the way, header included.
  uint32_t transport_mtu(const Way& way) const { return transport_mtu(way.loops()); }
  // The same as far as ICMP has told: the whole path.
  uint32_t path_mtu(TimeNs now, const Way& way) const { return path_mtu(now, way.destination, way.loops()); }
  // A router said so, about a packet that we did send.
  void learn_path_mtu(TimeNs now, Ipv4Address destination, uint16_t mtu) {
    path_mtus_.learn(now, destination, mtu);
  }
  // See tcp::Path::holds.
  uint32_t holds(const Way& way) const {
    return !way.loops() && way.route.next_hop == routes_.gateway() ? gateway_holds_ : 0;
  }
  // The same as transport_mtu() for segments that the link cuts (kSegmentTcp4); 0 if it does not.
  uint32_t transport_super_frame(const Way& way) const;
  // A frame for so many bytes of transport header and payload, at most what the reserve for such a way said
  // just before (CHECK).
  Outgoing open(const Way& way, uint32_t transport_bytes);
  // Sees to the transport's checksum, whose 16-bit field lies `field` bytes into its header; all else is
  // filled in. Leaves it to the link where that takes it.
  void settle_checksum(Outgoing& out, const Way& way, uint32_t field);
  // Completes the packet and queues it for tx(), or for whom it loops to. False: a rule refuses it.
  bool send(TimeNs now, Way& way, const Outgoing& out) { return send(now, way, out, false); }
  // A segment whose header is finished, given in pieces: sent as a packet that routers may cut, or cut by us
  // to at most `mtu` bytes of segment in a packet (RFC 791 section 3.2). 0; EAGAIN: not now, in a later
  // breath; EPERM: a rule refuses it; EHOSTUNREACH: a rule sends it where no way leads.
  int send_in_pieces(TimeNs now, Way& way, std::span<const ConstBytes> segment, uint32_t mtu);
  // An opened frame that is not to be sent.
  void cancel(const Outgoing& out) { give_back(*out.frame, out.looped); }

  const LinkFacts& facts() const { return facts_; }
  const Routes& routes() const { return routes_; }
  const Neighbours& neighbours() { return arp_.neighbours(); }
  DropCounters& drops() { return drops_; }
  FilterHooks& filter() { return filter_; }
  const IpCounters& counters() const { return counters_; }

 private:
  uint32_t path_mtu(TimeNs now, Ipv4Address destination, bool looped) const;
  uint32_t transport_mtu(bool looped) const {
    return (looped ? Loopback::kMtu : facts_.mtu) - uint32_t{Ipv4Header::kMinBytes};
  }
  bool cuts_segments() const { return facts_.segments_tcp4 && facts_.takes_unfinished; }

  void settle(const Frame& frame, bool looped, Fate fate);
  void give_back(const Frame& frame, bool looped) {
    if (looped)
      loopback_.give_back(frame);
    else
      link_.give_back(frame);
  }

  void note_carrier(TimeNs now, Carrier carrier);
  void resume(TimeNs now);
  Fate receive_frame(TimeNs now, const Frame& frame);
  // `ethernet` is a copy of the link header. `header` is where the packet's beginning is read: in the packet,
  // or in the private copy of rules that have judged it. `own`: its frame is the loopback's.
  [[gnu::always_inline]] inline Fate receive_packet(TimeNs now, const Frame& frame, ConstBytes packet,
                                                    const uint8_t* ethernet, const uint8_t* header, bool own);
  Fate receive_arp(TimeNs now, ConstBytes packet, const uint8_t* ethernet, const uint8_t* header);
  Fate receive_looped(TimeNs now, const Loopback::Looped& looped);
  // As above; `ethernet` null: the packet looped.
  Fate receive_ipv4(TimeNs now, const Frame& frame, ConstBytes packet, const uint8_t* ethernet,
                    const uint8_t* header, bool broadcast_frame, bool own);
  [[gnu::cold, gnu::noinline]] Fate receive_judged(TimeNs now, const Frame& frame, ConstBytes packet,
                                                   const uint8_t* ethernet);
  [[gnu::cold, gnu::noinline]] Fate refused_at_link(TimeNs now, const Frame& frame, ConstBytes packet,
                                                    const uint8_t* ethernet);
  std::optional<DropReason> judge_whole(TimeNs now, const Ipv4Header& as_it_came);
  // These take copies so that their callers' stay in registers; what Arrival points to is the caller's.
  [[gnu::noinline]] Fate receive_filtered(TimeNs now, Arrival arrival, Ipv4Header ip, ConstBytes header);
  [[gnu::noinline]] Fate receive_fragment(TimeNs now, Arrival arrival, Ipv4Header ip);
  [[gnu::noinline]] Fate hand_over_other(TimeNs now, Arrival arrival, Ipv4Header ip);
  // A whole packet for us. Asks the rules at input, if there are any, and hands it over.
  Fate deliver(TimeNs now, const Arrival& arrival, const Ipv4Header& ip);
  [[gnu::always_inline]] inline Fate hand_over(TimeNs now, const Arrival& arrival, const Ipv4Header& ip);
  [[gnu::always_inline]] inline void fill(Segment& segment, const Arrival& arrival,
                                          const Ipv4Header& ip) const;
  bool receive_alike(TimeNs now, const Frame& frame, ConstBytes packet, const uint8_t* header);
  bool is_like_one_that_left(TimeNs now, const Way& way, const Outgoing& out);
  SegmentQueue& queue_of(IpProtocol of) { return of == IpProtocol::kTcp ? tcp_segments_ : udp_segments_; }
  [[gnu::cold]] Fate hand_over_changed(TimeNs now, const Arrival& arrival, const Ipv4Header& ip);
  Fate receive_icmp(TimeNs now, const Segment& segment);
  void refuse(TimeNs now, const Segment& segment, DropReason reason, IcmpUnreachableCode code);
  [[gnu::cold, gnu::noinline]] Fate refused_in(TimeNs now, const Arrival& arrival, const Ipv4Header& ip);
  Frame finish_packet(Reassembly::Packet& packet, uint32_t payload_bytes);
  void abandon(Reassembly::Packet& packet, DropReason reason);
  void expire_fragments(TimeNs now);

  // `answers`: as in FilterHooks::passes_out().
  bool send(TimeNs now, Way& way, const Outgoing& out, bool answers);
  [[gnu::noinline]] bool send_filtered(TimeNs now, Way& way, Outgoing out, Bytes packet, bool answers);
  uint32_t room(TimeNs now, const Way& way, const Outgoing& out, bool looped) const;
  void dispatch(TimeNs now, Way& way, const Outgoing& out);
  void send_to_neighbour(TimeNs now, Way& way, const Outgoing& out);
  [[gnu::cold, gnu::noinline]] void refused_out();
  [[gnu::cold, gnu::noinline]] void send_elsewhere(TimeNs now, const Outgoing& out);
  bool find_elsewhere();
  [[gnu::cold, gnu::noinline]] void send_resets(TimeNs now);
  void loop_reset(const TcpReset& reset);
  void send_icmp(TimeNs now);
  void tell_ourselves(const IcmpHeader& header, ConstBytes packet);
  ErrorQueue& errors_of(IpProtocol of) { return of == IpProtocol::kTcp ? tcp_errors_ : udp_errors_; }
  void send_held(TimeNs now);
  void send_arp(TimeNs now);
  [[gnu::cold, gnu::noinline]] void judge_leaving(TimeNs now);
  [[gnu::cold, gnu::noinline]] bool judge_arp_out(TimeNs now, Bytes packet);
  void queue(const Frame& frame, uint32_t mark) {
    marks_[tx_count_] = mark;
    tx_[tx_count_++] = frame;
  }
  bool has_tx_room() const { return tx_count_ < kTxQueue; }

  L& link_;
  const LinkFacts facts_;
  const uint32_t gateway_holds_;
  Routes routes_;
  Arp arp_;
  IcmpReplies icmp_replies_;
  Way icmp_way_{IpProtocol::kIcmp};
  PathMtus path_mtus_;
  uint16_t identification_;                                     // of the last packet that may be cut
  const std::unique_ptr<uint8_t[]> whole_{new uint8_t[65535]};  // that packet
  Loopback loopback_;
  Reassembly reassembly_;
  DropCounters drops_;
  IpCounters counters_;

  FrameBatch in_;  // received, looked at up to in_next_
  uint32_t in_next_ = 0;
  uint32_t receive_limit_ = kBatch;
  bool behind_ = false;
  uint32_t last_neighbour_ = Neighbours::kNone;  // whom we sent to last, likely the next to be heard of
  SegmentQueue tcp_segments_;
  SegmentQueue udp_segments_;
  ErrorQueue tcp_errors_;
  ErrorQueue udp_errors_;

  uint32_t small_bytes_;  // a frame for any packet of the MTU
  uint32_t large_bytes_;  // a frame for super-frames, if the link cuts them
  uint32_t small_room_;   // what there is in a small one, where a segment that the link cuts may grow
  std::optional<Frame> small_, large_;
  bool starved_ = false;  // a reserve said 0 in this breath
  TimeNs retry_at_ = 0;
  Carrier carrier_;  // of what is behind the link
  TimeNs resume_at_ = kNever;
  TimeNs resumed_at_ = 0;
  bool resumed_ = false;
  std::array<Frame, kTxQueue + 1> tx_;  // the last place is only passed through by what loops
  uint32_t tx_count_ = 0;
  uint32_t judged_ = 0;  // of them by rules at the link

  // Last, so that what every packet needs lies together: without rules only its beginning is looked at.
  FilterHooks filter_{routes_};
  std::array<uint32_t, kTxQueue + 1> marks_{};  // of tx_ from judged_ on, if rules stand at the link
  Way elsewhere_{IpProtocol::kTcp};             // of packets that rules sent to another than they were for
  TcpResets resets_;
  Way reset_way_{IpProtocol::kTcp};
};

}  // namespace skerry::stack

#include "stack/ip_filter.hpp"
#include "stack/ip_fragments.hpp"
#include "stack/ip_input.hpp"
#include "stack/ip_link.hpp"
#include "stack/ip_nat.hpp"
#include "stack/ip_output.hpp"
