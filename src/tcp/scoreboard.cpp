#include "tcp/scoreboard.hpp"

#include <algorithm>

namespace skerry::tcp {

void Scoreboard::start(const SendWindow& window) {
  size_ = window.una == window.nxt ? 0 : 1;
  runs_[0] = {.left = window.una};
  end_ = window.nxt;
  highest_ = window.una;
  wait_us_ = 0;
  newest_ = {.order = window.una};
  reordering_ = false;
}

void Scoreboard::extend(uint32_t nxt) {
  if (!before(end_, nxt)) return;
  if (size_ == 0 || runs_[size_ - 1].marks != 0) {
    if (size_ == kRuns) {
      runs_[size_ - 1] = {.left = runs_[size_ - 1].left};
      tidy();
    } else {
      runs_[size_++] = {.left = end_};
    }
  }
  end_ = nxt;
}

void Scoreboard::advance(uint32_t una, const Moment& moment) {
  uint32_t gone = 0;
  while (gone < size_ && before(runs_[gone].left, una)) {
    const uint32_t right = earlier(right_of(gone), una);
    if ((runs_[gone].marks & kSacked) == 0) arrived(runs_[gone], right, moment);
    if (before(una, right_of(gone))) {
      runs_[gone].left = una;
      break;
    }
    ++gone;
  }
  std::copy(runs_ + gone, runs_ + size_, runs_);
  size_ -= gone;
  end_ = later(end_, una);
}

uint32_t Scoreboard::sack(uint32_t left, uint32_t right, const Moment& moment) {
  split(left);
  split(right);
  uint32_t fresh = 0;
  for (uint32_t i = 0; i < size_ && before(runs_[i].left, right); ++i) {
    const uint32_t run_right = right_of(i);
    if (before(runs_[i].left, left) || before(right, run_right) || (runs_[i].marks & kSacked) != 0) continue;
    fresh += run_right - runs_[i].left;
    arrived(runs_[i], run_right, moment);
    runs_[i] = {.left = runs_[i].left, .marks = kSacked};
  }
  tidy();
  return fresh;
}

void Scoreboard::forget_sacks() {
  for (uint32_t i = 0; i < size_; ++i)
    if ((runs_[i].marks & kSacked) != 0) runs_[i] = {.left = runs_[i].left};
  tidy();
}

// RFC 8985 section 6.2 steps 2 and 3.
void Scoreboard::arrived(const Run& run, uint32_t right, const Moment& moment) {
  const bool again = (run.marks & kAgain) != 0;
  if (!again && at_or_before(right, highest_)) reordering_ = true;
  highest_ = later(highest_, right);
  // An answer sooner than any round trip is one to the original.
  const bool of_original = again && moment.now_us - run.sent_us < moment.least_rtt_us;
  const Stamp now = of_original ? Stamp{.order = right} : stamp(run, right);
  if (is_earlier(newest_, now)) newest_ = now;
}

bool Scoreboard::detect_loss(uint32_t now_us, uint32_t window_us) {
  split(newest_.order);
  bool any = false;
  wait_us_ = 0;
  for (uint32_t i = 0; i < size_; ++i) {
    Run& run = runs_[i];
    if ((run.marks & kLost) != 0) any = true;
    if ((run.marks & (kLost | kSacked)) != 0 || !is_earlier(stamp(run, right_of(i)), newest_)) continue;
    if ((run.marks & kOvertaken) == 0) {
      run.marks |= kOvertaken;
      run.overtaken_us = now_us;
    }
    const uint32_t waited_us = now_us - run.overtaken_us;
    if (waited_us >= window_us) {
      run = {.left = run.left, .marks = kLost};
      any = true;
    } else {
      const uint32_t left_us = window_us - waited_us;
      wait_us_ = wait_us_ == 0 ? left_us : std::min(wait_us_, left_us);
    }
  }
  tidy();
  return any;
}

void Scoreboard::lose_all() {
  for (uint32_t i = 0; i < size_; ++i)
    if ((runs_[i].marks & kSacked) == 0) runs_[i] = {.left = runs_[i].left, .marks = kLost};
  wait_us_ = 0;
  tidy();
}

void Scoreboard::lose_first(const SendWindow& window) {
  if (size_ == 0 || (runs_[0].marks & kAgain) != 0) return;
  split(earlier(window.una + window.mss, window.nxt));
  runs_[0] = {.left = runs_[0].left, .marks = kLost};
  tidy();
}

void Scoreboard::find_all() {
  for (uint32_t i = 0; i < size_; ++i)
    if ((runs_[i].marks & kLost) != 0) runs_[i] = {.left = runs_[i].left};
  tidy();
}

bool Scoreboard::next_lost(Interval& lost) const {
  for (uint32_t i = 0; i < size_; ++i) {
    if ((runs_[i].marks & kLost) == 0) continue;
    lost = {runs_[i].left, right_of(i)};
    return true;
  }
  return false;
}

void Scoreboard::sent_again(uint32_t left, uint32_t right, uint32_t nxt, uint32_t now_us) {
  for (const uint32_t at : {left, right})
    if (!split(at, kRuns) && join_again()) split(at, kRuns);
  for (uint32_t i = 0; i < size_; ++i)
    if (at_or_before(runs_[i].left, left) && before(left, right_of(i)) && (runs_[i].marks & kSacked) == 0)
      runs_[i] = {.left = runs_[i].left, .marks = kAgain, .order = nxt, .sent_us = now_us};
  tidy();
}

// Makes a place: two neighbours that were sent again count as sent at the later time.
bool Scoreboard::join_again() {
  for (uint32_t i = 0; i + 1 < size_; ++i) {
    if (runs_[i].marks != kAgain || runs_[i + 1].marks != kAgain) continue;
    if (is_earlier(stamp(runs_[i], right_of(i)), stamp(runs_[i + 1], right_of(i + 1)))) {
      const uint32_t left = runs_[i].left;
      runs_[i] = runs_[i + 1];
      runs_[i].left = left;
    }
    std::copy(runs_ + i + 2, runs_ + size_, runs_ + i + 1);
    --size_;
    return true;
  }
  return false;
}

uint32_t Scoreboard::runs_sacked() const {
  uint32_t count = 0;
  for (uint32_t i = 0; i < size_; ++i) count += (runs_[i].marks & kSacked) != 0;
  return count;
}

uint32_t Scoreboard::bytes(uint32_t marks) const {
  uint32_t sum = 0;
  for (uint32_t i = 0; i < size_; ++i)
    if ((runs_[i].marks & marks) != 0) sum += right_of(i) - runs_[i].left;
  return sum;
}

Scoreboard::Stamp Scoreboard::stamp(const Run& run, uint32_t right) const {
  if ((run.marks & kAgain) == 0) return {.order = right};
  return {.order = run.order, .again = true, .sent_us = run.sent_us, .left = run.left};
}

bool Scoreboard::is_earlier(const Stamp& a, const Stamp& b) {
  if (a.order != b.order) return before(a.order, b.order);
  if (!a.again || !b.again) return !a.again && b.again;
  return a.sent_us != b.sent_us ? before(a.sent_us, b.sent_us) : before(a.left, b.left);
}

bool Scoreboard::alike(const Run& a, const Run& b) {
  return a.marks == b.marks && a.order == b.order && a.sent_us == b.sent_us &&
         a.overtaken_us == b.overtaken_us;
}

// Makes a run begin at `at`, if it lies within one. False: the list is full.
bool Scoreboard::split(uint32_t at, uint32_t most) {
  for (uint32_t i = 0; i < size_; ++i) {
    if (!before(runs_[i].left, at) || !before(at, right_of(i))) continue;
    if (size_ >= most) return false;
    std::copy_backward(runs_ + i, runs_ + size_, runs_ + size_ + 1);
    runs_[i + 1].left = at;
    ++size_;
    break;
  }
  return true;
}

void Scoreboard::tidy() {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < size_; ++i)
    if (kept == 0 || !alike(runs_[kept - 1], runs_[i])) runs_[kept++] = runs_[i];
  size_ = kept;
}

}  // namespace skerry::tcp
