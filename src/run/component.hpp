// Component: what acts. A process is one Component in one Loop; Fused<A, B, ...> of Components is a
// Component.
//
// The breath: one turn is every rx from the bottom (wire side) to the top, then every tx from the top to the
// bottom. rx never sends: it leaves a note for tx. So nothing re-enters, nothing recurses, and a reply leaves
// in the breath in which the request came.
#pragma once

#include <algorithm>
#include <concepts>
#include <tuple>
#include <utility>

#include "base/time.hpp"

namespace skerry {

template <class C>
concept Component = requires(C& component, TimeNs now) {
  // Both return how many units of work (frames, events, calls) were done; 0 means idle.
  { component.rx(now) } -> std::convertible_to<uint32_t>;
  { component.tx(now) } -> std::convertible_to<uint32_t>;
  // When rx/tx must run again even if nothing arrives; kNever if only events matter.
  { component.deadline() } -> std::same_as<TimeNs>;
  // Asks every source of work for a wake-up; true if sleeping is safe. disarm() when awake again.
  { component.arm() } -> std::same_as<bool>;
  { component.disarm() } -> std::same_as<void>;
};

// Components in one process, given from the bottom (nearest to the wire) to the top (nearest to the program).
template <Component... Parts>
class Fused {
 public:
  explicit Fused(Parts&... parts) : parts_(parts...) {}

  uint32_t rx(TimeNs now) {
    uint32_t work = 0;
    std::apply([&](auto&... part) { ((work += part.rx(now)), ...); }, parts_);
    return work;
  }

  uint32_t tx(TimeNs now) {
    uint32_t work = 0;
    top_down([&](auto& part) { work += part.tx(now); }, std::index_sequence_for<Parts...>{});
    return work;
  }

  TimeNs deadline() {
    TimeNs earliest = kNever;
    std::apply([&](auto&... part) { ((earliest = std::min(earliest, part.deadline())), ...); }, parts_);
    return earliest;
  }

  // Arms all even after one refuses, so that disarm() always has the same meaning.
  bool arm() {
    bool safe = true;
    std::apply([&](auto&... part) { ((safe = part.arm() && safe), ...); }, parts_);
    return safe;
  }

  void disarm() {
    std::apply([](auto&... part) { (part.disarm(), ...); }, parts_);
  }

 private:
  template <class Each, size_t... I>
  void top_down(Each each, std::index_sequence<I...>) {
    (each(std::get<sizeof...(I) - 1 - I>(parts_)), ...);
  }

  std::tuple<Parts&...> parts_;
};

}  // namespace skerry
