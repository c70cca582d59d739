// Rules on a packet's way out: at output, where it is led elsewhere at times, and at postrouting.
#include <algorithm>
#include <cstring>

#include "filter/translation.hpp"
#include "stack/filter_hooks.hpp"
#include "stack/private_copy.hpp"

namespace skerry::stack {

// What the stack wrote, whatever is in the frame by now: so a neighbour cannot have the rules judge, or the
// connections know, a packet between others. The checksum is only for who gets it.
void FilterHooks::keep_header(const uint8_t* header, uint32_t length) {
  uint8_t checksum[2];
  std::memcpy(checksum, leaving_.data() + kChecksumOffset, sizeof checksum);
  std::memcpy(leaving_.data(), header, Ipv4Header::kMinBytes);
  std::memcpy(leaving_.data() + kChecksumOffset, checksum, sizeof checksum);
  store_be16(leaving_.data() + 2, static_cast<uint16_t>(length));
}

bool FilterHooks::passes_out(Bytes packet, const Leaving& how, TimeNs now) {
  // It lies where a neighbour can write: the rules see what is behind its header as it is now, and a fault of
  // that neighbour's is refused.
  const auto length = static_cast<uint32_t>(packet.size());
  left_ = {};
  left_mark_ = 0;
  left_length_ = length;
  goes_elsewhere_ = lacks_room_ = false;
  if (!ip_) return true;
  constexpr size_t kHeader = filter::VerdictMemory::kHeaderBytes;
  const size_t seen = std::min(packet.size(), seen_bytes_);
  copy_once(leaving_.data(), packet.data(), seen);
  if (how.header != nullptr && seen >= kHeader) keep_header(how.header, length);
  left_bytes_ = seen;
  filter::Packet leaving;
  leaving.out = how.loops ? &loopback_ : &network_;
  leaving.answers = how.answers;
  leaving.unfinished = how.unfinished;
  leaving.unsummed = how.loops && !how.summed;
  if (!leaving.read(Bytes(leaving_).first(seen), packet.size())) {
    hook_ = filter::Hook::output;
    realm_ = filter::realm_of(kIsV6);
    judgement_ = {};
    return false;
  }
  if (engine_.tracks_first()) engine_.track(filter::Hook::output, leaving, now);
  // Of the copy, which is what will have been judged: the packet may be another by now.
  const auto look = engine_.look(leaving.bytes, true, how.loops, leaving.tracked);
  if (look && engine_.recall(*look, length, now)) {
    left_ = leaving.tracked;
    return true;
  }
  engine_.record();
  if (changes_packets()) keep_as_sent();
  const Ipv4Address to = load_be32(leaving.bytes.data() + kDestinationOffset);
  const size_t header_bytes = leaving.transport;
  if (!judge(leaving, filter::Hook::output, now)) return refuse(leaving);
  // What a rule writes into the header leads nowhere, as in a chain of Linux that is not of type route.
  const filter::Flow* const flow = leaving.tracked.flow;
  const bool led = flow != nullptr && (flow->status & filter::Flow::kTranslated) != 0;
  goes_elsewhere_ = led && load_be32(leaving.bytes.data() + kDestinationOffset) != to;
  if (engine_.translates() && !routes(leaving, now)) return refuse(leaving);
  if (filter::Conntrack::is_helped(leaving)) [[unlikely]] {  // as in copy_all()
    if (!changes_packets()) keep_as_sent();
    copy_once(leaving_.data() + seen, packet.data() + seen, packet.size() - seen);
    leaving.bytes = Bytes(leaving_).first(packet.size());
    loops_ = how.loops && leaving.out == &loopback_;
    leaving.room = std::min(how.room ? how.room(loops_) : 0, leaving_.size() - packet.size());
  }
  if (!judge(leaving, filter::Hook::postrouting, now)) {
    lacks_room_ = leaving.lacks_room;
    return refuse(leaving);
  }
  left_mark_ = leaving.mark;
  // Of one that is remembered it is not known.
  if (look && (!egress_ || left_mark_ == 0)) engine_.remember(*look);
  left_ = leaving.tracked;
  left_bytes_ = leaving.bytes.size();
  if (!leaving.translated) return true;
  left_length_ = leaving.length;
  const auto header = Ipv4Header::parse(leaving.bytes);
  if (!header || header->total_bytes != left_length_ || header->header_bytes != header_bytes) {
    refuse(leaving);
    lose(leaving, Bytes(leaving_).first(seen), length, now);
    return false;
  }
  std::memcpy(packet.data(), leaving_.data(), left_bytes_);
  return true;
}

void FilterHooks::keep_as_sent() {
  sent_.assign(leaving_.begin(), leaving_.begin() + static_cast<ptrdiff_t>(left_bytes_));
}

// Whoever sent it is told in his own words.
bool FilterHooks::refuse(const filter::Packet& leaving) {
  if (!leaving.translated) return false;
  std::copy(sent_.begin(), sent_.end(), leaving_.begin());
  left_bytes_ = sent_.size();
  return false;
}

// Where it goes now, and who it would seem to come from if it were masqueraded: as what Linux sees as the
// interface's address (inet_select_addr()), which for the loopback is none of 127.0.0.0/8.
bool FilterHooks::routes(filter::Packet& leaving, TimeNs now) {
  const Ipv4Address source = load_be32(leaving.bytes.data() + kSourceOffset),
                    destination = load_be32(leaving.bytes.data() + kDestinationOffset);
  const Route route = routes_.lookup(destination, goes_elsewhere_ ? source : 0);
  if (goes_elsewhere_ && route.kind == Route::Kind::none) {
    InForce::lose(leaving, filter::Hook::output, filter::kNone, now);
    return false;
  }
  const bool loops = route.kind == Route::Kind::loopback;
  if (goes_elsewhere_) leaving.out = loops ? &loopback_ : &network_;
  store_be32(leaving.address.data(), loops ? routes_.first() : routes_.lookup(destination, 0).source);
  return true;
}

void FilterHooks::translate_back(Bytes packet, TimeNs now) const {
  if (!engine_.translates() || conntrack_ == nullptr) return;
  constexpr uint16_t kZone = 0;  // nobody remembers that of a packet that waited for its neighbour
  if (const auto sent = conntrack_->before(packet, kIsV6, kZone, now))
    filter::translate_back(packet, kIsV6, *sent);
}

}  // namespace skerry::stack
