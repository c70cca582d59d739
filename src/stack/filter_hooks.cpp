#include "stack/filter_hooks.hpp"

#include <algorithm>
#include <cstring>

#include "stack/private_copy.hpp"
#include "wire/ethernet.hpp"
#include "wire/icmp.hpp"

namespace skerry::stack {

namespace {

constexpr uint8_t kToUs = 0, kBroadcast = 1;  // PACKET_HOST, PACKET_BROADCAST
// A packet that looped has a link header too, on Linux as here: without addresses.
constexpr uint8_t kLoopedHeader[EthernetHeader::kBytes] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0};

}  // namespace

void FilterHooks::use(filter::Engine engine, TimeNs now, const SipKey& secret) {
  engine.take_over(engine_, now);
  engine_ = std::move(engine);
  if (engine_.tracks() && conntrack_ == nullptr) conntrack_ = std::make_unique<filter::Conntrack>(secret);
  engine_.track_with(conntrack_.get());
  events_.forget();
  active_ = !engine_.is_empty();
  copy_.resize(EthernetHeader::kBytes + engine_.needed_bytes());
  leaving_.resize(engine_.needed_bytes());
}

void FilterHooks::take(const uint8_t* ethernet, ConstBytes header, ConstBytes packet, bool broadcast) {
  std::memcpy(copy_.data(), ethernet != nullptr ? ethernet : kLoopedHeader, EthernetHeader::kBytes);
  packet_ = {};
  packet_.link = ConstBytes(copy_).first(EthernetHeader::kBytes);
  packet_.in = ethernet != nullptr ? &network_ : &loopback_;
  packet_.type = broadcast ? kBroadcast : kToUs;
  uint8_t* const beginning = copy_.data() + EthernetHeader::kBytes;
  const size_t seen = std::min(packet.size(), copy_.size() - EthernetHeader::kBytes);
  std::memcpy(beginning, header.data(), header.size());
  copy_once(beginning + header.size(), packet.data() + header.size(), seen - header.size());
  packet_.read({beginning, seen}, packet.size());
}

void FilterHooks::take_whole(ConstBytes packet) {
  uint8_t* const beginning = copy_.data() + EthernetHeader::kBytes;
  const size_t seen = std::min(packet.size(), copy_.size() - EthernetHeader::kBytes);
  std::memcpy(beginning, packet.data(), seen);
  packet_.read({beginning, seen}, packet.size());
  packet_.tracked = {};
  packet_.damaged = false;
}

bool FilterHooks::judge(filter::Packet& packet, filter::Hook hook, TimeNs now) {
  hook_ = hook;
  judgement_ = engine_.judge(hook, packet, now);
  if (!judgement_.accepted || judgement_.logs > 0) events_.note(packet, judgement_, hook, now);
  return judgement_.accepted;
}

bool FilterHooks::passes(filter::Hook hook, TimeNs now) {
  return judge(packet_, hook, now);
}

bool FilterHooks::passes_out(ConstBytes packet, bool loops, TimeNs now, bool answers) {
  // It lies where a neighbour can write: the rules see it as it is now, and a fault of that neighbour's is
  // refused.
  const size_t seen = std::min(packet.size(), leaving_.size());
  copy_once(leaving_.data(), packet.data(), seen);
  filter::Packet leaving;
  leaving.out = loops ? &loopback_ : &network_;
  if (answers) leaving.tracked = {.looked_up = true, .state = filter::CtState::related, .reply = true};
  if (!leaving.read(ConstBytes(leaving_).first(seen), packet.size())) {
    hook_ = filter::Hook::output;
    judgement_ = {};
    return false;
  }
  return judge(leaving, filter::Hook::output, now) && judge(leaving, filter::Hook::postrouting, now);
}

DropReason FilterHooks::reason() const {
  switch (hook_) {
    case filter::Hook::prerouting:
      return DropReason::filter_prerouting;
    case filter::Hook::input:
    case filter::Hook::forward:
      return DropReason::filter_input;
    case filter::Hook::output:
      return DropReason::filter_output;
    case filter::Hook::postrouting:
      return DropReason::filter_postrouting;
  }
  return DropReason::filter_input;
}

uint8_t icmp_code_of(const filter::Reject& reject) {
  if (reject.kind != filter::RejectKind::icmpx_unreachable) return reject.code;
  constexpr uint8_t kFiltered = 13;  // ICMP_PKT_FILTERED
  constexpr uint8_t kCodes[] = {kNetUnreachable, kPortUnreachable, kHostUnreachable, kFiltered};
  return reject.code < std::size(kCodes) ? kCodes[reject.code] : kFiltered;
}

}  // namespace skerry::stack
