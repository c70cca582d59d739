#include "filter/conntrack_tcp.hpp"

#include <algorithm>

namespace skerry::filter {

namespace {

// nf_conntrack's sysctls as they come, by state.
constexpr DurationNs kTimeouts[] = {0,
                                    120 * kSecond,
                                    60 * kSecond,
                                    5 * 86'400 * kSecond,
                                    120 * kSecond,
                                    60 * kSecond,
                                    30 * kSecond,
                                    120 * kSecond,
                                    10 * kSecond,
                                    120 * kSecond};
constexpr DurationNs kRetransmitting = 300 * kSecond, kUnansweredData = 300 * kSecond;
constexpr uint8_t kMostRetransmissions = 3;

// Where a segment leads, a row for each kind of it, a letter for each state before. '-': it is invalid, '?':
// it is let pass and says nothing. S syn_sent, R syn_received, E established, F fin_wait, W close_wait,
// L last_ack, T time_wait, C closed, 2 syn_sent2.
constexpr const char* kNext[2][6] = {
    {
        // from who began
        "SS?????SS2",  // syn
        "--R------R",  // syn_ack
        "--FFLLLTC-",  // fin
        "E-EEWWTTC-",  // ack
        "-CCCCCCCCC",  // rst
        "----------",
    },
    {
        // from who answers
        "-2-----S-2",  // syn: roles may have changed after TIME-WAIT
        "-R???????R",  // syn_ack
        "--FFLLLTC-",  // fin
        "-?REWWTTC?",  // ack
        "-CCCCCCCCC",  // rst
        "----------",
    },
};

constexpr TcpState state_of(char letter) {
  switch (letter) {
    case 'S':
      return TcpState::syn_sent;
    case 'R':
      return TcpState::syn_received;
    case 'E':
      return TcpState::established;
    case 'F':
      return TcpState::fin_wait;
    case 'W':
      return TcpState::close_wait;
    case 'L':
      return TcpState::last_ack;
    case 'T':
      return TcpState::time_wait;
    case 'C':
      return TcpState::closed;
    case '2':
      return TcpState::syn_sent2;
    default:
      return TcpState::none;
  }
}

}  // namespace

bool TcpFlow::begin(const TcpSegment& segment) {
  *this = {};
  last_kind_ = TcpKind::none;
  TcpSide& sender = sides_[0];
  sender.end = sender.max_end = segment.end;
  sender.max_window = std::max<uint32_t>(segment.window, 1);
  if (segment.kind == TcpKind::syn) {
    sender.flags = segment.offers(sender.scale);
    return true;
  }
  if (segment.kind != TcpKind::ack) return false;
  // A connection that is older than we are: its windows have a scale that nobody knows.
  sender.max_end += sender.max_window;
  sides_[0].flags = sides_[1].flags = TcpSide::kSackPermitted | TcpSide::kLiberal;
  return true;
}

// A segment that may be right or wrong is let pass, and what it would mean is kept: its answer tells. True:
// this one is that answer, and has set both states right.
bool TcpFlow::ignore(const TcpSegment& segment, bool reply, TcpState& before, TcpState& next) {
  if (segment.kind == TcpKind::syn_ack && last_kind_ == TcpKind::syn && last_reply_ != reply &&
      segment.ack == last_end_) {
    before = TcpState::syn_sent;
    next = TcpState::syn_received;
    TcpSide& began = sides_[last_reply_];
    began.end = began.max_end = last_end_;
    began.max_window = std::max<uint32_t>(last_window_, 1);
    began.scale = last_scale_;
    last_flags_ &= static_cast<uint8_t>(~kChallengeExpected);
    began.flags = last_flags_;
    sides_[reply] = {.end = 0,
                     .max_end = 0,
                     .max_window = 0,
                     .max_ack = 0,
                     .scale = 0,
                     .flags = static_cast<uint8_t>(sides_[reply].flags & TcpSide::kLiberal)};
    return true;
  }
  last_kind_ = segment.kind;
  last_reply_ = reply;
  last_seq_ = segment.seq;
  last_end_ = segment.end;
  last_window_ = segment.window;
  if (segment.kind == TcpKind::syn && !reply) {
    last_flags_ = segment.offers(last_scale_);
    // Its answer may be a challenge, which must not be taken for the last ACK.
    if (before == TcpState::last_ack) last_flags_ |= kChallengeExpected;
  }
  if (before == TcpState::syn_sent && segment.kind == TcpKind::ack && reply) last_ack_ = segment.ack;
  return false;
}

// A reset ends a connection only where it is certain that its sender knows it. `judged`: it need not lie in
// the window.
TcpFlow::Fate TcpFlow::reset(const TcpSegment& segment, bool reply, const Known& known, TcpState& next,
                             bool& judged) const {
  const TcpSide& receiver = sides_[!reply];
  if (is_closing()) {
    judged = true;
    return Fate::valid;
  }
  const bool established = state_ == TcpState::established && known.assured;
  if ((receiver.flags & TcpSide::kMaxAckSet) != 0 && last_kind_ != TcpKind::syn) {
    if (segment.seq == 0 && !established) return Fate::valid;
    if (is_before(segment.seq, receiver.max_ack)) return Fate::invalid;
    if (!established || segment.seq == receiver.max_ack) return Fate::valid;
    if (last_kind_ == TcpKind::ack && last_reply_ == reply && segment.seq == last_end_) return Fate::valid;
    next = state_;  // not exactly where it must be (RFC 5961 section 3.2)
  }
  const bool answers_syn = known.replied && last_kind_ == TcpKind::syn && last_reply_ != reply;
  const bool answers_ack = !known.assured && last_kind_ == TcpKind::ack;
  const bool answers_challenge =
      state_ == TcpState::syn_sent && last_kind_ == TcpKind::ack && last_reply_ && segment.seq == last_ack_;
  judged = ((answers_syn || answers_ack) && segment.ack == last_end_) || answers_challenge;
  return Fate::valid;
}

// A FIN or reset that lies outside, and its answer: a connection that is likely dead soon goes.
DurationNs TcpFlow::shorten_life(const TcpSegment& segment, bool reply, const Known& known) {
  if (!known.assured || (segment.kind != TcpKind::rst && segment.kind != TcpKind::fin)) return 0;
  if (last_reply_ != reply && (last_kind_ == TcpKind::fin || last_kind_ == TcpKind::rst))
    return known.left > kUnansweredData ? kUnansweredData : 0;
  last_kind_ = segment.kind;
  last_reply_ = reply;
  return 0;
}

DurationNs TcpFlow::timeout(const TcpSegment& segment) const {
  const DurationNs usual = kTimeouts[static_cast<size_t>(state_)];
  if (retransmissions_ >= kMostRetransmissions && usual > kRetransmitting) return kRetransmitting;
  if (segment.kind == TcpKind::rst) return kTimeouts[static_cast<size_t>(TcpState::closed)];
  const bool unanswered = ((sides_[0].flags | sides_[1].flags) & TcpSide::kUnacknowledged) != 0;
  if (unanswered && usual > kUnansweredData) return kUnansweredData;
  return last_window_ == 0 ? std::min(usual, kRetransmitting) : usual;
}

TcpFlow::Outcome TcpFlow::segment(const TcpSegment& segment, bool reply, const Known& known) {
  TcpState before = state_;
  const char letter = kNext[reply][static_cast<size_t>(segment.kind)][static_cast<size_t>(before)];
  if (letter == '-') return {Fate::invalid};
  TcpState next = state_of(letter);
  bool ignored = letter == '?', judged = false;
  if (next == TcpState::syn_sent && before >= TcpState::time_wait) {
    const bool closed = ((sides_[0].flags | sides_[1].flags) & TcpSide::kCloseBegun) != 0;
    if (closed || (last_reply_ == reply && last_kind_ == TcpKind::rst)) return {Fate::reopens};
    ignored = true;
  }
  if (ignored && !ignore(segment, reply, before, next)) return {Fate::ignored};
  if (next == TcpState::time_wait && before == TcpState::last_ack && segment.kind == TcpKind::ack &&
      last_reply_ != reply && last_kind_ == TcpKind::syn && (last_flags_ & kChallengeExpected) != 0) {
    last_flags_ &= static_cast<uint8_t>(~kChallengeExpected);
    return {Fate::ignored};
  }
  if (next == TcpState::syn_sent2) last_flags_ |= kSimultaneous;
  if (next == TcpState::syn_received && reply && segment.kind == TcpKind::ack &&
      (last_flags_ & kSimultaneous) != 0)
    next = TcpState::established;
  if (next == TcpState::closed && segment.kind == TcpKind::rst &&
      reset(segment, reply, known, next, judged) == Fate::invalid)
    return {Fate::invalid};
  if (!judged) {
    switch (place(segment, reply)) {
      case Place::inside:
        break;
      case Place::ignored:
        return {Fate::ignored};
      case Place::invalid:
        return {Fate::invalid, shorten_life(segment, reply, known)};
    }
  }
  last_kind_ = segment.kind;
  last_reply_ = reply;
  state_ = next;
  if (before != next && next == TcpState::fin_wait) sides_[reply].flags |= TcpSide::kCloseBegun;

  Outcome outcome{Fate::valid, timeout(segment)};
  if (!known.replied) {
    outcome.over = segment.rst;
    // Sent again, a SYN keeps nothing alive: whoever takes its port later begins anew.
    if (segment.kind == TcpKind::syn && before == TcpState::syn_sent) outcome.timeout = 0;
    if (next == TcpState::established) outcome.timeout = std::min(outcome.timeout, kUnansweredData);
  } else if (next == TcpState::established &&
             (before == TcpState::syn_received || before == TcpState::established)) {
    outcome.assured = true;
  }
  return outcome;
}

}  // namespace skerry::filter
