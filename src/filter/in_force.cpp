#include "filter/in_force.hpp"

#include <algorithm>
#include <utility>

namespace skerry::filter {

Engine InForce::use(Engine engine, TimeNs now, const SipKey& secret, const Pause& pause) {
  constexpr bool kIsV6 = false;  // what stacks speak
  engine.take_over(engine_, now, pause);
  const bool resumes = conntrack_ != nullptr && !engine_.tracks(kIsV6) && engine.tracks(kIsV6);
  std::swap(engine_, engine);
  if (resumes) conntrack_->resume();
  if (engine_.tracks() && conntrack_ == nullptr) conntrack_ = std::make_unique<Conntrack>(secret);
  engine_.track_with(conntrack_.get());
  engine_.ask_sockets(find_socket_, sockets_);
  events_.forget();
  if (trace_ != nullptr) {
    trace_->forget();
    engine_.remember_none(true);
  }
  changed();
  return engine;
}

uint64_t InForce::follow(Engine match, TimeNs now) {
  match.ask_sockets(find_socket_, sockets_);
  trace_ = std::make_unique<Trace>(std::move(match), ++followers_, now);
  engine_.remember_none(true);
  changed();
  return followers_;
}

size_t InForce::needed_bytes() const {
  return std::max(engine_.needed_bytes(), trace_ != nullptr ? trace_->match().needed_bytes() : 0);
}

bool InForce::judge(Packet& packet, Hook hook, TimeNs now) {
  if (trace_ == nullptr) [[likely]]
    judgement_ = engine_.judge(hook, packet, now);
  else
    judge_followed(packet, hook, now);
  if (!judgement_.accepted || judgement_.logs > 0) events_.note(packet, judgement_, hook, now);
  return judgement_.accepted;
}

void InForce::lose(const Packet& packet, Hook hook, uint32_t by, TimeNs now) {
  judgement_ = {.accepted = false, .chain = by};
  events_.note(packet, judgement_, hook, now);
  if (trace_ != nullptr) trace_->lose(packet, by, hook, now);
}

void InForce::judge_followed(Packet& packet, Hook hook, TimeNs now) {
  const bool over = trace_->is_over(now);
  const bool followed = !over && trace_->wants(hook, packet, begins(packet, hook), now);
  if (followed) engine_.follow(&trace_->steps());
  judgement_ = engine_.judge(hook, packet, now);
  engine_.follow(nullptr);
  if (followed) trace_->note(packet, judgement_, hook, now);
  if (!over) return;
  trace_.reset();
  engine_.remember_none(false);
}

}  // namespace skerry::filter
