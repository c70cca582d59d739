// The windows of a TCP connection as they pass a firewall: how far each side has sent and may send, and which
// segments lie where they may.
//
// Read first: conntrack_tcp.hpp; tcp_in_window() in nf_conntrack_proto_tcp.c.
#include <algorithm>

#include "filter/conntrack_tcp.hpp"

namespace skerry::filter {

namespace {

constexpr uint32_t kLeastAckWindow = 66'000;  // how far an ACK may lie back

}  // namespace

void TcpFlow::start_side(TcpSide& sender, TcpSide& receiver, const TcpSegment& segment, bool reply) {
  sender.end = sender.max_end = segment.end;
  sender.max_window = std::max<uint32_t>(segment.window, 1);
  if (!segment.options.empty())
    sender.flags = static_cast<uint8_t>((sender.flags & TcpSide::kLiberal) | segment.offers(sender.scale));
  // Both scale or nobody does (RFC 7323 section 2.2).
  if (reply && (sender.flags & receiver.flags & TcpSide::kScales) == 0) sender.scale = receiver.scale = 0;
}

// Whether a segment lies where its side may send and acknowledges what the other may have sent. What lies
// inside moves the limits of both.
TcpFlow::Place TcpFlow::place(const TcpSegment& segment, bool reply) {
  TcpSide& sender = sides_[reply];
  TcpSide& receiver = sides_[!reply];
  uint32_t seq = segment.seq, end = segment.end, ack = segment.ack - segment.ack_shift,
           window = segment.window;
  uint32_t sack =
      (receiver.flags & TcpSide::kSackPermitted) != 0 ? segment.highest_sack() - segment.ack_shift : ack;

  if (sender.max_window == 0) {
    if (segment.syn) {
      start_side(sender, receiver, segment, reply);
      if (!segment.ack_set) return Place::inside;  // simultaneous open
    } else {
      sender.end = end;
      sender.max_window = std::max<uint32_t>(window << sender.scale, 1);
      sender.max_end = end + sender.max_window;
      if (receiver.max_window == 0)
        receiver.end = receiver.max_end = sack;
      else if (sack == receiver.end + 1)
        ++receiver.end;  // the answer to a keepalive
    }
  } else if (segment.syn && is_behind(end, sender.end) &&
             (state_ == TcpState::syn_sent || state_ == TcpState::syn_received)) {
    start_side(sender, receiver, segment, reply);
    if (reply && !segment.ack_set) return Place::inside;
  }
  if (!segment.ack_set || (segment.rst && ack == 0)) ack = sack = receiver.end;
  if (segment.rst && seq == 0 && state_ == TcpState::syn_sent) seq = end = sender.end;  // answers a SYN

  const uint32_t oldest_ack = receiver.end - std::max(sender.max_window, kLeastAckWindow);
  const bool liberal = (sender.flags & TcpSide::kLiberal) != 0;
  const auto outside = [&](Place place) { return liberal ? Place::inside : place; };
  const bool reaches_window =
      receiver.max_window == 0 || is_behind(end, sender.end - receiver.max_window - 1);
  if (is_behind(seq, sender.max_end)) {
    // Some send a little more than they may. Where all else is right the answer to it must be, too.
    if (receiver.max_window != 0 && reaches_window && !is_before(sack, oldest_ack) &&
        end - sender.max_end + 1 <= receiver.max_window && !is_behind(sack, receiver.end)) {
      sender.end = end;
      sender.flags |= TcpSide::kUnacknowledged;
      return outside(Place::ignored);
    }
    return outside(Place::invalid);
  }
  if (is_behind(sack, receiver.end)) return outside(Place::invalid);  // of what was never sent
  if (!reaches_window) return outside(Place::ignored);                // sent again, and acknowledged long ago
  if (is_before(sack, oldest_ack)) return outside(Place::ignored);

  if (!segment.syn) window <<= sender.scale;
  sender.max_window = std::max(sender.max_window, window + (sack - ack));
  if (is_behind(end, sender.end)) {
    sender.end = end;
    sender.flags |= TcpSide::kUnacknowledged;
  }
  if (segment.ack_set && ((sender.flags & TcpSide::kMaxAckSet) == 0 || is_behind(ack, sender.max_ack))) {
    sender.max_ack = ack;
    sender.flags |= TcpSide::kMaxAckSet;
  }
  if (receiver.max_window != 0 && is_behind(end, sender.max_end)) receiver.max_window += end - sender.max_end;
  if (!is_before(sack + window, receiver.max_end)) receiver.max_end = sack + std::max<uint32_t>(window, 1);
  if (ack == receiver.end) receiver.flags &= static_cast<uint8_t>(~TcpSide::kUnacknowledged);

  if (segment.kind == TcpKind::ack) {
    if (last_reply_ == reply && last_seq_ == seq && last_ack_ == ack && last_end_ == end &&
        last_window_ == segment.window) {
      ++retransmissions_;
    } else {
      last_reply_ = reply;
      last_seq_ = seq;
      last_ack_ = ack;
      last_end_ = end;
      last_window_ = segment.window;
      retransmissions_ = 0;
    }
  }
  return Place::inside;
}

}  // namespace skerry::filter
