// What an engine remembers of packets that passed: verdict_memory.hpp.
#include "filter/engine.hpp"

namespace skerry::filter {

std::optional<VerdictMemory::Look> Engine::look(ConstBytes packet, bool leaves, bool loops,
                                                const Tracked& tracked) const {
  if (!memory_.has_room() || packet.size() < VerdictMemory::kSeenBytes) return std::nullopt;
  if (tracks()) {
    if (!tracks_before_rules_ || tracked.state != CtState::established) return std::nullopt;
    if (tracked.flow == nullptr) return std::nullopt;  // it looped, and its flow is gone
    if ((tracked.flow->status & (Flow::kTranslated | Flow::kHelped)) != 0) return std::nullopt;
  }
  const auto transport = TransportSeen::read(packet.data() + VerdictMemory::kHeaderBytes);
  const VerdictMemory::Look look = memory_.look(packet.data(), transport, leaves, loops, tracked);
  if (!VerdictMemory::is_plain(look)) return std::nullopt;
  return look;
}

std::optional<Engine::Alike> Engine::find_alike(const uint8_t* header, TransportSeen transport, bool leaves,
                                                bool loops, TimeNs now) {
  if (!memory_.has_room() || !tracks_before_rules_ || !tracks_[false] || conntrack_ == nullptr)
    return std::nullopt;
  const Tracked tracked = conntrack_->find_again(header, transport, now);
  if (tracked.flow == nullptr) return std::nullopt;
  const VerdictMemory::Look look = memory_.look(header, transport, leaves, loops, tracked);
  const VerdictMemory::Passed* const passed = memory_.find(look, transport);
  if (passed == nullptr) return std::nullopt;
  return Alike{tracked, passed};
}

bool Engine::recall(const Alike& alike, const uint8_t* transport, TransportSeen seen, uint32_t length,
                    TimeNs now) {
  return conntrack_->note_again(alike.tracked, transport, seen, length, now) &&
         repeat(alike.passed, length, now);
}

void Engine::repeat_all(const VerdictMemory::Effects& effects, uint32_t length, TimeNs now) {
  for (uint32_t i = 0; i < effects.hits; ++i) {
    Hits& hits = hits_[effects.of[i]];
    ++hits.packets;
    hits.last = now;
  }
  for (uint32_t i = 0; i < effects.counters; ++i) {
    Tally& tally = tallies_[effects.of[VerdictMemory::Effects::kMost - 1 - i]];
    ++tally.packets;
    tally.bytes += length;
  }
}

}  // namespace skerry::filter
