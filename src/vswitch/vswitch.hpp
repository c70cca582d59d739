// The switch: frames from each port are judged, and copied to the ports that they are for. A Component over
// any Link; a process has one of it (programs/vswitch).
//
// Where trust changes there is one copy: the first kJudgedBytes of a frame go to a private buffer, are judged
// there, and are written to each receiver's memory together with the rest straight from the sender's. A
// receiver therefore gets exactly the headers that were judged, whatever the sender writes meanwhile.
//
// Where a unicast frame goes: to the port that has the address, if the two are joined; an address that nobody
// has can only be behind an uplink, so programs never see frames that are for others.
//
// Rules are asked behind that judgement and before what is learned of a frame (frame_rules.hpp). Without any
// they cost a frame one branch.
//
// An uplink whose carrier goes takes that of the programs behind it along: each is told when none of its
// uplinks is there any more, and when one is again.
//
// Invariants: rx collects, tx sends, with one send per port and breath; a receiver without memory loses its
// own frames and delays nobody; nothing is allocated but by add_port.
#pragma once

#include <bit>
#include <memory>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "link/link.hpp"
#include "vswitch/frame_rules.hpp"
#include "vswitch/judge.hpp"
#include "vswitch/mac_table.hpp"
#include "vswitch/outlet.hpp"
#include "vswitch/port.hpp"

namespace skerry::vswitch {

template <Link L>
class Vswitch {
 public:
  // `hash_key`: any secret number. Rules know the switch by its name.
  Vswitch(const MacTableLimits& limits, uint64_t hash_key, std::string_view name = {})
      : macs_(limits, hash_key), rules_(name) {}
  Vswitch(const Vswitch&) = delete;
  Vswitch& operator=(const Vswitch&) = delete;

  // Between breaths. The link must live until remove_port. A new port is joined to nobody. Errors: no port
  // free, an address that is no address or another port's.
  Result<PortId> add_port(const PortSettings& settings, L& link);
  // Between breaths. Everything that was learned behind the port is forgotten, and its number is free again.
  void remove_port(PortId id);
  // Whether frames pass between the two ports, in both directions.
  void set_joined(PortId a, PortId b, bool joined);

  const PortCounters& counters(PortId id) const { return port(id).counters; }
  uint32_t learned() const { return macs_.learned(); }
  FrameRules& rules() { return rules_; }

  uint32_t rx(TimeNs now) {
    macs_.age(now);
    uint32_t frames = 0;
    // Another port begins each time, because the first one finds most memory free at the receivers.
    first_ = (first_ + 1) % kMaxPorts;
    for (uint64_t left = std::rotr(active_, first_); left != 0; left &= left - 1)
      frames += receive_from(static_cast<PortId>((std::countr_zero(left) + first_) % kMaxPorts), now);
    for (uint64_t left = uplinks_; left != 0; left &= left - 1)
      look_at_carrier(*ports_[static_cast<size_t>(std::countr_zero(left))]);
    return frames;
  }

  uint32_t tx(TimeNs) {
    uint32_t frames = 0;
    for (; to_send_ != 0; to_send_ &= to_send_ - 1) {
      Port& to = *ports_[static_cast<size_t>(std::countr_zero(to_send_))];
      frames += to.outlet.flush(to.counters);
    }
    return frames;
  }

  TimeNs deadline() const { return kNever; }

  bool arm() {
    bool safe = true;
    for (uint64_t left = active_; left != 0; left &= left - 1)
      safe = ports_[static_cast<size_t>(std::countr_zero(left))]->outlet.link().arm() && safe;
    return safe;
  }

  void disarm() {
    for (uint64_t left = active_; left != 0; left &= left - 1)
      ports_[static_cast<size_t>(std::countr_zero(left))]->outlet.link().disarm();
  }

 private:
  struct Port {
    Port(L& link, const PortSettings& settings, PortId id)
        : outlet(link),
          interface(filter::ethernet_interface(id + 1U, settings.name)),
          addresses(settings.addresses),
          sender{id, settings.uplink, mac_key(settings.mac), addresses} {}

    Outlet<L> outlet;
    filter::Interface interface;  // as rules see it
    std::vector<Ipv4Address> addresses;
    Sender sender;
    uint64_t joined = 0;  // by port
    Carrier carrier;      // of an uplink: what it said last; of a program: what it was told
    PortCounters counters;
  };

  static constexpr uint64_t bit(PortId id) { return uint64_t{1} << id; }
  Port& port(PortId id) const {
    CHECK(id < kMaxPorts && ports_[id] != nullptr);
    return *ports_[id];
  }
  void look_at_carrier(Port& uplink) {
    const Carrier before = uplink.carrier;
    uplink.carrier = uplink.outlet.link().carrier();
    if (uplink.carrier == before) [[likely]]
      return;
    // It may have gone and come back between two looks.
    const bool flapped = before.up() && uplink.carrier.up();
    for_each_joined(uplink, [&](Port& program) {
      if (flapped && program.carrier.up()) program.carrier.changes += 2;
      tell_carrier(program);
    });
  }

  // What is known of the program's uplinks; without any it stays as it is.
  void tell_carrier(Port& program) {
    const uint64_t uplinks = program.joined & uplinks_;
    if (program.sender.uplink || uplinks == 0) return;
    bool up = false;
    for (uint64_t left = uplinks; left != 0; left &= left - 1)
      up = up || ports_[static_cast<size_t>(std::countr_zero(left))]->carrier.up();
    program.carrier.set(up);
    program.outlet.link().tell(program.carrier);
  }

  template <class Each>
  void for_each_joined(const Port& port, Each each) {
    for (uint64_t left = port.joined; left != 0; left &= left - 1)
      each(*ports_[static_cast<size_t>(std::countr_zero(left))]);
  }

  static void count(Port& port, Drop reason) { ++port.counters.drops[static_cast<size_t>(reason)]; }

  uint32_t receive_from(PortId id, TimeNs now) {
    Port& from = *ports_[id];
    L& link = from.outlet.link();
    batch_.clear();
    link.receive(batch_);
    for (uint32_t i = 0; i < batch_.count; ++i) {
      if (i + 2 < batch_.count) __builtin_prefetch(link.data(batch_.frames[i + 2]).data());
      forward(from, batch_.frames[i], link.data(batch_.frames[i]), now);
    }
    for (const Frame& frame : batch_.view()) link.give_back(frame);
    return batch_.count;
  }

  void forward(Port& from, const Frame& frame, ConstBytes bytes, TimeNs now) {
    ++from.counters.rx_frames;
    from.counters.rx_bytes += bytes.size();
    uint8_t private_head[kJudgedBytes];
    const ConstBytes head(private_head, std::min(bytes.size(), kJudgedBytes));
    std::memcpy(private_head, bytes.data(), head.size());

    const Drop verdict = judge(head, frame, from.sender, macs_, addresses_, now);
    if (verdict != Drop::kNone) [[unlikely]]
      return count(from, verdict);
    JudgedFrame judged{head, bytes.subspan(head.size()), frame};
    const bool ruled = rules_.is_active();
    if (ruled && !rules_.comes(from.interface, judged, now)) [[unlikely]]
      return count(from, Drop::kFilter);
    if (from.sender.uplink && !macs_.learn(load_mac_key(private_head + 6), from.sender.port, now))
      ++from.counters.not_learned;

    const auto [receivers, reason] = receivers_of(load_mac_key(private_head), from, now);
    if (receivers == 0) [[unlikely]]
      return count(from, reason);
    for (uint64_t left = receivers; left != 0; left &= left - 1) {
      Port& to = *ports_[static_cast<size_t>(std::countr_zero(left))];
      const bool passes = !ruled || rules_.leaves(to.interface, judged, now);
      const Drop failure = passes ? to.outlet.put(judged, scratch_.get()) : Drop::kFilter;
      if (failure != Drop::kNone) [[unlikely]]
        count(failure == Drop::kBadMarks ? from : to, failure);
    }
    to_send_ |= receivers;
  }

  // The ports that a frame for this address goes to, as bits; none, and why.
  std::pair<uint64_t, Drop> receivers_of(MacKey destination, const Port& from, TimeNs now) const {
    if (is_multicast(destination)) return {from.joined, Drop::kUnknown};
    if (const MacTable::Entry* const known = macs_.find(destination, now))
      return {bit(known->port) & from.joined,
              known->port == from.sender.port ? Drop::kHairpin : Drop::kIsolated};
    return {uplinks_ & from.joined, Drop::kUnknown};
  }

  MacTable macs_;
  AddressTable addresses_;
  FrameRules rules_;
  std::array<std::unique_ptr<Port>, kMaxPorts> ports_;
  uint64_t active_ = 0;   // ports that are there
  uint64_t uplinks_ = 0;  // of these, the uplinks
  uint64_t to_send_ = 0;  // ports with frames in their outlets; 0 between breaths
  int first_ = 0;
  FrameBatch batch_;
  const std::unique_ptr<uint8_t[]> scratch_ = std::make_unique_for_overwrite<uint8_t[]>(kMaxFrame);
};

template <Link L>
Result<PortId> Vswitch<L>::add_port(const PortSettings& settings, L& link) {
  if (active_ == UINT64_MAX) return Error{"a switch has at most " + std::to_string(kMaxPorts) + " ports"};
  if (settings.addresses.size() > kMaxAddressesPerPort)
    return Error{"a port has at most " + std::to_string(kMaxAddressesPerPort) + " addresses"};
  const auto id = static_cast<PortId>(std::countr_one(active_));
  const MacKey mac = mac_key(settings.mac);
  if (!settings.uplink) {
    if (mac == 0 || is_multicast(mac)) return Error{"a port that is no uplink needs a unicast MAC address"};
    if (!macs_.add_static(mac, id)) return Error{"the MAC address is another port's already"};
  }
  for (const Ipv4Address address : settings.addresses) {
    if (address != 0 && addresses_.add(address, id)) continue;
    macs_.forget_port(id);
    addresses_.forget_port(id);
    return Error{"an IPv4 address of the port is 0.0.0.0 or another port's already"};
  }
  ports_[id] = std::make_unique<Port>(link, settings, id);
  active_ |= bit(id);
  if (settings.uplink) uplinks_ |= bit(id);
  return id;
}

template <Link L>
void Vswitch<L>::remove_port(PortId id) {
  CHECK(port(id).outlet.empty());
  if (port(id).sender.uplink) {
    port(id).carrier.set(false);
    for_each_joined(port(id), [&](Port& program) { tell_carrier(program); });
  }
  macs_.forget_port(id);
  addresses_.forget_port(id);
  ports_[id].reset();
  active_ &= ~bit(id);
  uplinks_ &= ~bit(id);
  for (uint64_t left = active_; left != 0; left &= left - 1)
    ports_[static_cast<size_t>(std::countr_zero(left))]->joined &= ~bit(id);
}

template <Link L>
void Vswitch<L>::set_joined(PortId a, PortId b, bool joined) {
  CHECK(a != b);
  port(a).joined = joined ? port(a).joined | bit(b) : port(a).joined & ~bit(b);
  port(b).joined = joined ? port(b).joined | bit(a) : port(b).joined & ~bit(a);
  tell_carrier(port(a));
  tell_carrier(port(b));
}

}  // namespace skerry::vswitch
