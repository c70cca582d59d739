// Where rules stand in a stack: prerouting and input on a packet's way in, output and postrouting on its way
// out, as in Linux for a host that forwards nothing; before and behind all of them those at the link; and
// those of ARP (filter_hooks_link.cpp). What is refused stays in a short memory, so that a person can ask
// why. Connections are tracked if rules ask about them, and known across rulesets.
//
// Read first: filter/in_force.hpp. Invariant: what is judged is a private copy, and what is remembered of it
// too; what leaves is first asked for among those that passed, by the header that the stack wrote and what
// lies behind it, as its writer tells it or read once. On the way in, whoever goes on with the packet takes
// its headers from the copy, never again from memory that a neighbour can write.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "filter/announcement.hpp"
#include "filter/in_force.hpp"
#include "stack/drop_reason.hpp"
#include "stack/routes.hpp"
#include "wire/ipv4.hpp"

namespace skerry::stack {

class FilterHooks final : public filter::InForce {
 public:
  // `routes` outlives the object.
  explicit FilterHooks(const Routes& routes) : routes_(routes) {}

  // False: none of IP or of the link has a chain, so that nothing here needs to be called but for ARP.
  bool is_active() const { return active_; }
  // Rules ask about connections: they judge packets whole, and need to know which are damaged.
  bool tracks() const { return engine_.tracks(); }
  // Connections are known whose lines are read, which may be written anew.
  bool reads_lines() const { return conntrack_ != nullptr && conntrack_->helps(); }

  // --- the way in. What came over the link is asked about by is_like_one_that_came().
  bool remembers_arrivals() const { return remembers_arrivals_; }
  // A packet over the link, of `length` bytes, its header and the beginning of what follows private copies,
  // is like another that passed both hooks: it has counted and goes as it came. False: take() it.
  // `is_undamaged()` says whether its transport is; it is only asked where connections are tracked, and of
  // one that is like another.
  template <class Ask>
  bool is_like_one_that_came(const uint8_t* header, ConstBytes transport, uint32_t length, TimeNs now,
                             Ask is_undamaged) {
    if (transport.size() < filter::TransportSeen::kBytes) return false;
    const auto seen = filter::TransportSeen::read(transport.data());
    if (!tracks()) return engine_.recall(header, seen, false, false, length, now);
    const auto alike = engine_.find_alike(header, seen, false, false, now);
    return alike && is_undamaged() && engine_.recall(*alike, transport.data(), seen, length, now);
  }
  // A packet has come: `ethernet` is its link header or null where it looped, `header` its IP header, both
  // copied before; `packet` begins with that header, all of it is there, and the rest is copied here.
  void take(const uint8_t* ethernet, ConstBytes header, ConstBytes packet, bool broadcast);
  // What was known of the next packet, which looped, when it left; it is not tracked again.
  void expect_looped(const filter::Tracked& tracked) { expected_ = tracked; }
  // The transport checksum of the packet taken last is wrong.
  void note_damage() { damaged_ = packet_.damaged = true; }
  // The last piece made it a packet: what is known of the piece holds for it.
  void take_whole(ConstBytes packet);
  // What rules say to the packet taken last. One that they refuse is again as it came.
  bool passes(filter::Hook hook, TimeNs now) {
    return known_ || (hook == filter::Hook::prerouting && rest_waits_ && is_known(now)) || asks(hook, now);
  }
  // The private copy is another than the packet that was taken, which must not be used: its beginning, and
  // its header. None: what rules wrote is not the header of such a packet, and who asks why is told so.
  bool has_changed() const { return packet_.translated; }
  ConstBytes beginning() const { return ConstBytes(copy_).subspan(kLinkBytes, copied_); }
  std::optional<Ipv4Header> header(const Ipv4Header& as_it_came, TimeNs now);
  // Rules translate, or write into packets.
  bool changes_packets() const { return engine_.translates() || engine_.writes(); }
  // The private copy of its transport header and what follows: at least 60 bytes, if there are as many.
  ConstBytes transport() const { return beginning().subspan(header_bytes_); }

  // --- the way out. One is like another that passed both hooks: it has counted and goes as it is. `header`
  // as below, `transport` is what was written behind it, where a neighbour can write, and `seen` what is
  // known of that already.
  bool is_like_one_that_left(const uint8_t* header, const uint8_t* transport, filter::TransportSeen seen,
                             uint32_t length, bool loops, TimeNs now) {
    if (!remembers_departures_) return false;
    if (tracks()) {
      const auto alike = engine_.find_alike(header, seen, true, loops, now);
      if (!alike || !engine_.recall(*alike, transport, seen, length, now)) return false;
      left_ = alike->tracked;
      return true;
    }
    if (loops) left_ = {};
    return engine_.recall(header, seen, true, loops, length, now);
  }
  // All others, at both hooks. What passes may have been changed. `unfinished`: its checksum is left
  // to the link. `answers`: the stack says why it refused another packet, which makes it part of that one's
  // connection, though rules may have kept that from beginning.
  // `summed`: it is finished, though it loops. `header`: the packet's IPv4 header but for its length and
  // checksum, where no neighbour can write; null: it is known from the packet alone. `room`: bytes behind it
  // by which it may grow where it goes, the loopback or the link; asked of packets alone whose lines are
  // read. Empty: none.
  struct Leaving {
    bool loops = false, unfinished = false, answers = false, summed = false;
    const uint8_t* header = nullptr;
    std::function<size_t(bool loops)> room{};
  };
  bool passes_out(Bytes packet, const Leaving& how, TimeNs now);
  // The last that passed is for somebody else now: the way that was found for it is not its way.
  bool goes_elsewhere() const { return goes_elsewhere_; }
  // The private copy of its beginning, as it passed, or as it was sent if it did not: where it lies a
  // neighbour may have written since. Of what passed because one like it did there is none.
  ConstBytes leaving() const { return ConstBytes(leaving_).first(left_bytes_); }
  // What did not pass is an announcement that would have passed with kMostGrowth bytes of room where it was
  // going: to the loopback, or to the link.
  bool lacks_room() const { return lacks_room_; }
  bool lacks_it_on_loopback() const { return loops_; }
  // How long it is now, from its IP header on.
  uint32_t left_length() const { return left_length_; }
  // What rules have marked it with, which those at the link see.
  uint32_t left_mark() const { return left_mark_; }
  // The beginning of a packet that left, as whoever sent it knows it.
  void translate_back(Bytes packet, TimeNs now) const;
  // What is known of the last that passed: to be kept with it if it loops.
  const filter::Tracked& left_as() const { return left_; }

  // --- the link, where each frame is judged before all else and behind all else, and ARP
  bool judges_ingress() const { return ingress_; }
  bool judges_egress() const { return egress_; }
  bool judges_arp() const { return arp_; }
  // A frame has come: its link header, copied before, what follows, and whom it is for (PACKET_*). All that
  // is known of it from here on is in the private copy, beginning(), which rules may have changed: take()
  // copies nothing again. One that they refuse is again as it came.
  bool passes_ingress(const uint8_t* ethernet, ConstBytes packet, uint8_t type, TimeNs now);
  // Rules may change it. `unfinished` as above.
  bool passes_egress(Bytes frame, uint32_t mark, bool unfinished, TimeNs now);
  // `packet` is a private copy, which rules may change; `frame_bytes` are those behind the link header.
  bool passes_arp_in(const uint8_t* ethernet, Bytes packet, size_t frame_bytes, bool broadcast, TimeNs now);
  bool passes_arp_out(Bytes packet, TimeNs now);

  // Why the last one did not pass: at which hook, and what its sender is to be told.
  DropReason reason() const;
  const std::optional<filter::Reject>& reject() const { return judgement_.reject; }

 private:
  static constexpr bool kIsV6 = false;                 // what a stack speaks
  static constexpr size_t kLinkBytes = 14;             // of copy_, before the packet
  static constexpr size_t kMostBytes = 65535 + 64;     // of a packet, and a tag before it
  static constexpr uint8_t kToUs = 0, kBroadcast = 1;  // PACKET_HOST, PACKET_BROADCAST
  static constexpr size_t kChecksumOffset = 10, kSourceOffset = 12, kDestinationOffset = 16;

  bool judge(filter::Packet& packet, filter::Hook hook, TimeNs now);
  void changed() override;
  void copy_rest();
  void copy_all();
  void keep_as_it_came();
  void keep_header(const uint8_t* header, uint32_t length);
  void keep();
  void undo();
  void open(size_t whole);
  bool is_known(TimeNs now);
  bool asks(filter::Hook hook, TimeNs now);
  bool routes(filter::Packet& leaving, TimeNs now);
  void keep_as_sent();
  bool refuse(const filter::Packet& leaving);
  void lose(filter::Packet& packet, Bytes as_it_was, size_t whole, TimeNs now);
  bool begins(const filter::Packet& packet, filter::Hook hook) const override;

  const Routes& routes_;
  bool active_ = false;
  bool remembers_arrivals_ = false, remembers_departures_ = false;
  bool ip_ = false, ingress_ = false, egress_ = false, arp_ = false;  // where chains stand
  uint32_t came_mark_ = 0, left_mark_ = 0;                            // of the last frame and packet
  filter::Tracked came_tracked_;                                      // what rules at the link say of it
  filter::Tracked left_, expected_;                                   // of looped packets
  const filter::Interface loopback_ = filter::loopback_interface(), network_ = filter::network_interface();
  std::vector<uint8_t> copy_;             // link header and beginning of the packet taken last
  size_t seen_bytes_ = 0;                 // of each packet, unless its headers reach farther
  std::vector<uint8_t> came_;             // what is in copy_ as it came, if it may change
  std::vector<uint8_t> leaving_;          // beginning of the last one on its way out
  std::vector<uint8_t> sent_;             // the same as it was sent, if it may change
  bool goes_elsewhere_ = false;           // and it is for somebody else
  bool lacks_room_ = false;               // or did not pass for that
  bool loops_ = false;                    // of one whose lines were read: it did not go to the link
  size_t left_bytes_ = 0;                 // of it in leaving_
  uint32_t left_length_ = 0;              // all of them
  size_t copied_ = 0, header_bytes_ = 0;  // of the packet in copy_
  ConstBytes whole_;                      // the packet
  bool rest_waits_ = false;               // what is behind the part in copy_ is there alone
  bool looped_ = false, to_many_ = false, damaged_ = false;
  bool known_ = false;                               // one like it passed both hooks
  std::optional<filter::VerdictMemory::Look> look_;  // if it passes, it is remembered by this
  filter::Packet packet_;                            // once all is copied
  filter::Hook hook_{};
  filter::Realm realm_{};
};

// The ICMP code that an IPv4 sender gets (nft_reject_icmp_code()); a reset of TCP is none.
uint8_t icmp_code_of(const filter::Reject& reject);

}  // namespace skerry::stack
