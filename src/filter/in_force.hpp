// Rules in force somewhere, and what a person may ask of them: what they refused of late, and where the
// packets go that he follows. Who judges by them, a stack or a switch, is derived from this.
//
// Read first: engine.hpp, events.hpp, trace.hpp. Invariant: rules change between two breaths, all of them.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "filter/engine.hpp"
#include "filter/events.hpp"
#include "filter/trace.hpp"

namespace skerry::filter {

class InForce {
 public:
  InForce() : engine_(Ruleset{}) {}
  virtual ~InForce() = default;
  InForce(const InForce&) = delete;
  InForce& operator=(const InForce&) = delete;

  // Only between breaths. What has a name goes on counting where the one before was. In the pauses the old
  // rules judge; from the last one on the new ones do. Returns the old ones, which may take long to free.
  // `secret` is for the connections: strangers must not know where in the table theirs are.
  Engine use(Engine engine, TimeNs now, const SipKey& secret = {}, const Pause& pause = {});
  // Engine::change(); also only between breaths.
  std::optional<Refusal> change(uint32_t set, Change change, std::span<const GivenElement> given,
                                TimeNs now) {
    return engine_.change(set, change, given, now);
  }
  void reset(uint32_t stateful) { engine_.reset(stateful); }
  // Rules may ask about sockets, also later ones: Engine::ask_sockets().
  void ask_sockets(SocketLookup find, const void* context) {
    find_socket_ = find;
    sockets_ = context;
    engine_.ask_sockets(find, context);
  }
  // Packets that `match` accepts are followed from now on; who was followed before is so no more. The number
  // of this follower, by which he asks. Only between breaths.
  uint64_t follow(Engine match, TimeNs now);
  // Null: nobody follows.
  Trace* trace() { return trace_.get(); }

  const Engine& engine() const { return engine_; }
  const Events& events() const { return events_; }
  Events& events() { return events_; }
  // Null: no rules have asked about connections yet.
  const Conntrack* conntrack() const { return conntrack_.get(); }

 protected:
  // The rules, or who follows packets, are others now.
  virtual void changed() = 0;
  // Of a packet at a hook: it has been at none before.
  virtual bool begins(const Packet& packet, Hook hook) const = 0;

  // What the rules say, which judgement_ keeps; noted, if they refuse or log.
  bool judge(Packet& packet, Hook hook, TimeNs now);
  // It passed, and is dropped behind the rules: `by` as in Judgement::chain. Noted, also for who follows it.
  void lose(const Packet& packet, Hook hook, uint32_t by, TimeNs now);
  // Of each packet as many bytes are looked at, by rules or by who follows packets.
  size_t needed_bytes() const;

  Engine engine_;
  std::unique_ptr<Conntrack> conntrack_;  // since rules first asked about connections
  Judgement judgement_;
  Events events_;
  std::unique_ptr<Trace> trace_;  // while somebody follows packets

 private:
  void judge_followed(Packet& packet, Hook hook, TimeNs now);

  uint64_t followers_ = 0;
  SocketLookup find_socket_ = nullptr;
  const void* sockets_ = nullptr;
};

}  // namespace skerry::filter
