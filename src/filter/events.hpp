// A short memory of what rules refused or logged, and of names that were not resolved, so that a person can
// ask why. The latest are kept; each has a number, so that who asks again misses none without noticing.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/time.hpp"
#include "filter/engine.hpp"
#include "wire/ipv4.hpp"

namespace skerry::filter {

enum class NameEvent : uint8_t { none, not_allowed, not_public, unanswered, no_room };

struct Event {
  static constexpr size_t kMostBytes = 120;  // of a packet: two headers at their longest

  TimeNs at = 0;
  NameEvent name_event = NameEvent::none;  // not none: about a name, and only that counts
  Hook hook{};
  bool rejected = false;   // its sender is told
  uint32_t chain = kNone;  // of a refusal: who refused,
  uint32_t rule = kNone;   // kNone: the chain's policy
  uint32_t log = kNone;    // else of a log: index into Ruleset::logs
  enum class Kind : uint8_t { ipv4, arp, frame } kind{};
  uint8_t protocol = 0;                  // of IPv4
  uint16_t operation = 0;                // of ARP
  uint32_t source = 0, destination = 0;  // of IPv4; of ARP who says it and whom it is about
  uint16_t source_port = 0, destination_port = 0;
  MacAddress from, to;                      // of a frame
  uint16_t ether_type = 0;                  // and what is in it
  uint32_t length = 0;                      // of the packet, or of what is in the frame
  uint8_t kept = 0;                         // bytes of `bytes`
  std::array<uint8_t, kMostBytes> bytes{};  // that it begins with, of IPv4

  static Event about(const Packet& packet, Hook hook, TimeNs now);

 private:
  void about_ipv4(const Packet& packet, const Ipv4Header& ip);
};

class Events {
 public:
  static constexpr uint64_t kKept = 512;

  // `packet` was judged so.
  void note(const Packet& packet, const Judgement& judgement, Hook hook, TimeNs now);
  void note_name(std::string_view name, NameEvent event, TimeNs now);
  // One that came too fast to be told.
  void leave_out_name() { ++names_left_out_; }
  // How many ever.
  uint64_t names_left_out() const { return names_left_out_; }
  // Chains and rules that events speak of are no more.
  void forget() { first_ = next_; }

  // Events first() to next() - 1 are there.
  uint64_t first() const { return next_ - first_ > kKept ? next_ - kKept : first_; }
  uint64_t next() const { return next_; }
  const Event& operator[](uint64_t number) const { return events_[number % kKept]; }
  // Of an event about one.
  std::string_view name(uint64_t number) const { return names_[number % kKept].data(); }

 private:
  // Room for the whole of it: cut, one that is not listed could look like one that is. Ends with a zero byte.
  using Name = std::array<char, 256>;

  void add(const Event& event);

  std::vector<Event> events_ = std::vector<Event>(kKept);
  // Apart from the events, and not written before there is one: most stacks and all switches have none.
  std::unique_ptr<Name[]> names_ = std::make_unique_for_overwrite<Name[]>(kKept);
  uint64_t first_ = 0, next_ = 0, names_left_out_ = 0;
};

}  // namespace skerry::filter
