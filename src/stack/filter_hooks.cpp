#include "stack/filter_hooks.hpp"

#include <algorithm>
#include <cstring>
#include <memory>

#include "stack/private_copy.hpp"
#include "wire/ethernet.hpp"
#include "wire/icmp.hpp"

namespace skerry::stack {

namespace {

constexpr Ipv4Address kLoopback = 0x7f000001;
// A packet that looped has a link header too, on Linux as here: without addresses.
constexpr uint8_t kLoopedHeader[EthernetHeader::kBytes] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0};

}  // namespace

void FilterHooks::changed() {
  left_ = came_tracked_ = {};
  left_mark_ = came_mark_ = 0;
  ip_ = engine_.judges(filter::realm_of(kIsV6));
  ingress_ = engine_.judges(filter::Hook::ingress, filter::Realm::link);
  egress_ = engine_.judges(filter::Hook::egress, filter::Realm::link);
  arp_ = engine_.judges(filter::Realm::arp);
  active_ = ip_ || ingress_ || egress_;
  remembers_departures_ = ip_ && (!engine_.tracks() || engine_.tracks_first());
  remembers_arrivals_ = remembers_departures_ && !ingress_;
  constexpr size_t kTagBytes = 4;  // of a VLAN, before what rules count from
  seen_bytes_ = kTagBytes + needed_bytes();
  // Of connections whose lines are read everything is looked at, also of those that older rules chose.
  const size_t most = std::max(seen_bytes_, kMostBytes);
  copy_.resize(kLinkBytes + (ingress_ || reads_lines() ? most : seen_bytes_));
  leaving_.resize(kLinkBytes + (reads_lines() ? most : seen_bytes_));
  came_.reserve(changes_packets() || reads_lines() ? copy_.size() : 0);
  sent_.reserve(changes_packets() || reads_lines() ? seen_bytes_ : 0);
}

// As much as TCP and UDP look at; the rest follows where rules have to be run.
void FilterHooks::take(const uint8_t* ethernet, ConstBytes header, ConstBytes packet, bool broadcast) {
  constexpr size_t kTransportBytes = 60;
  looped_ = ethernet == nullptr;
  to_many_ = broadcast;
  damaged_ = packet_.translated = false;
  known_ = !ip_;
  look_.reset();
  header_bytes_ = header.size();
  whole_ = packet;
  rest_waits_ = true;
  if (ingress_ && !looped_) {  // it is all here
    copied_ = std::min(copied_, packet.size());
    return;
  }
  std::memcpy(copy_.data(), looped_ ? kLoopedHeader : ethernet, kLinkBytes);
  uint8_t* const transport = copy_.data() + kLinkBytes + header.size();
  if (header.size() == Ipv4Header::kMinBytes) [[likely]]
    std::memcpy(transport - Ipv4Header::kMinBytes, header.data(), Ipv4Header::kMinBytes);
  else
    std::memcpy(transport - header.size(), header.data(), header.size());
  if (packet.size() >= header.size() + kTransportBytes) [[likely]] {
    copied_ = header.size() + kTransportBytes;
    copy_once(transport, packet.data() + header.size(), kTransportBytes);
  } else {
    copied_ = packet.size();
    copy_once(transport, packet.data() + header.size(), copied_ - header.size());
  }
}

void FilterHooks::copy_rest() {
  if (!rest_waits_) return;
  const size_t whole = whole_.size(), seen = std::min(whole, seen_bytes_);
  copy_once(copy_.data() + kLinkBytes + copied_, whole_.data() + copied_, seen - copied_);
  copied_ = seen;
  rest_waits_ = false;
  open(whole);
}

// Of a flow whose lines are read all is looked at behind the rules, and an announcement may grow, also where
// these rules change nothing: older ones may have translated the flow.
void FilterHooks::copy_all() {
  if (!changes_packets()) keep();
  copy_once(copy_.data() + kLinkBytes + copied_, whole_.data() + copied_, whole_.size() - copied_);
  copied_ = whole_.size();
  packet_.bytes = Bytes(copy_).subspan(kLinkBytes, copied_);
  packet_.room = copy_.size() - kLinkBytes - copied_;
}

// What rules change must be known as it was.
void FilterHooks::keep_as_it_came() {
  if (changes_packets()) keep();
}
void FilterHooks::keep() {
  came_.assign(copy_.begin(), copy_.begin() + static_cast<ptrdiff_t>(kLinkBytes + copied_));
}
void FilterHooks::undo() {
  std::copy(came_.begin(), came_.end(), copy_.begin());
  copied_ = came_.size() - kLinkBytes;  // what is behind may have moved
}

// What is copied becomes what rules see.
void FilterHooks::open(size_t whole) {
  std::construct_at(&packet_);  // an assignment would read a temporary that was just written in pieces
  packet_.link = ConstBytes(copy_).first(kLinkBytes);
  packet_.in = looped_ ? &loopback_ : &network_;
  packet_.type = to_many_ ? kBroadcast : kToUs;
  packet_.damaged = damaged_;
  if (!looped_) {
    packet_.mark = came_mark_;
    packet_.tracked = came_tracked_;
  }
  if (engine_.translates()) {
    const Ipv4Address ours = looped_ ? kLoopback : routes_.first();
    store_be32(packet_.address.data(), ours);
  }
  keep_as_it_came();
  if (looped_) {
    packet_.tracked = expected_;
    filter::Flow*& flow = packet_.tracked.flow;
    if (flow != nullptr && flow->number != expected_.number) flow = nullptr;  // over, and its place taken
  }
  packet_.read(Bytes(copy_).subspan(kLinkBytes, copied_), whole);
}

void FilterHooks::take_whole(ConstBytes packet) {
  header_bytes_ = Ipv4Header::kMinBytes;
  copied_ = std::min(packet.size(), seen_bytes_);
  std::memcpy(copy_.data() + kLinkBytes, packet.data(), copied_);
  rest_waits_ = false;
  whole_ = packet;
  const uint32_t mark = packet_.mark;  // that rules gave its last piece
  open(packet.size());
  if (!tracks()) packet_.mark = mark;
}

bool FilterHooks::judge(filter::Packet& packet, filter::Hook hook, TimeNs now) {
  hook_ = hook;
  realm_ = packet.realm;
  return InForce::judge(packet, hook, now);
}

// Asked of each packet once, before any rule.
bool FilterHooks::is_known(TimeNs now) {
  filter::Tracked tracked;
  if (engine_.tracks_first()) {
    copy_rest();
    engine_.track(filter::Hook::prerouting, packet_, now);
    tracked = packet_.tracked;
  }
  look_.reset();
  // Of what came over the link only to our own address: who finds one like it asks nothing else.
  const auto is_ours = [&] { return routes_.is_ours(load_be32(beginning().data() + kDestinationOffset)); };
  if (looped_ || (!to_many_ && came_mark_ == 0 && is_ours()))
    look_ = engine_.look(beginning(), false, looped_, tracked);
  known_ = look_ && engine_.recall(*look_, static_cast<uint32_t>(whole_.size()), now);
  if (!known_) engine_.record();
  return known_;
}

bool FilterHooks::asks(filter::Hook hook, TimeNs now) {
  copy_rest();
  if (hook == filter::Hook::input && filter::Conntrack::is_helped(packet_)) [[unlikely]]
    copy_all();
  if (!judge(packet_, hook, now)) {
    if (packet_.translated) undo();
    packet_.translated = false;
    packet_.length = static_cast<uint32_t>(whole_.size());  // an announcement may have grown
    return false;
  }
  if (packet_.translated) copied_ = packet_.bytes.size();
  if (hook == filter::Hook::input && look_) engine_.remember(*look_);
  return true;
}

// What rules wrote makes it no packet any more. It is told as it was before.
void FilterHooks::lose(filter::Packet& packet, Bytes as_it_was, size_t whole, TimeNs now) {
  if (packet.read(as_it_was, whole)) return InForce::lose(packet, hook_, filter::kWritten, now);
  judgement_ = {.accepted = false, .chain = filter::kWritten};
}

std::optional<Ipv4Header> FilterHooks::header(const Ipv4Header& as_it_came, TimeNs now) {
  const auto ip = Ipv4Header::parse(beginning());
  if (ip && ip->total_bytes == packet_.length && ip->header_bytes == as_it_came.header_bytes) return ip;
  if (has_changed()) lose(packet_, Bytes(came_).subspan(kLinkBytes), as_it_came.total_bytes, now);
  return std::nullopt;
}

DropReason FilterHooks::reason() const {
  if (realm_ == filter::Realm::arp) return DropReason::filter_arp;
  switch (hook_) {
    case filter::Hook::ingress:
      return DropReason::filter_ingress;
    case filter::Hook::egress:
      return DropReason::filter_egress;
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
