// Rules at the switch, family bridge of nftables: prerouting for each frame that comes, then forward and
// postrouting for each copy of it on its way to a port, as a bridge of Linux has them. What a rule writes
// into one copy, or marks it with, is not seen in another.
//
// Read first: filter/in_force.hpp, vswitch/judge.hpp. Invariant: what rules judge is a private copy, and what
// they judged is what is sent.
#pragma once

#include <string_view>
#include <vector>

#include "filter/in_force.hpp"
#include "vswitch/judge.hpp"

namespace skerry::vswitch {

class FrameRules final : public filter::InForce {
 public:
  // `name` is the switch's, as rules know it (ibrname).
  explicit FrameRules(std::string_view name) : bridge_(filter::ethernet_interface(0, name)) { changed(); }

  // False: there is no chain, so that nothing here needs to be called.
  bool is_active() const { return active_; }

  // A frame has come by that port. `frame` then has what rules made of it, in memory that lasts until the
  // next one. False: they refuse it.
  bool comes(const filter::Interface& from, JudgedFrame& frame, TimeNs now);
  // The copy of it for that port, in the same way.
  bool leaves(const filter::Interface& to, JudgedFrame& frame, TimeNs now);

 private:
  void changed() override;
  bool begins(const filter::Packet&, filter::Hook hook) const override {
    return hook == filter::Hook::prerouting;
  }
  filter::Packet open(Bytes seen, const JudgedFrame& frame) const;
  bool passes(filter::Packet& packet, filter::Hook hook, const JudgedFrame& frame, TimeNs now);

  const filter::Interface bridge_;
  bool active_ = false;
  size_t needed_ = 0;                    // bytes of a frame that rules look at
  std::vector<uint8_t> came_, leaving_;  // the beginning of a frame, and of a copy of it
  size_t seen_ = 0;                      // bytes of both
  const filter::Interface* from_ = nullptr;
  uint32_t mark_ = 0;  // that the frame has before it is copied
};

}  // namespace skerry::vswitch
