#include "sockets/wakeups.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <type_traits>
#include <utility>

#include "sockets/notes.hpp"

namespace skerry::sockets {
namespace {

void futex_wake(std::atomic<uint32_t>& word, int how_many) {
  ::syscall(SYS_futex, &word, FUTEX_WAKE, how_many, nullptr, nullptr, 0);
}

// Only the stack writes it. Release: who sees that something happened sees what.
void count(std::atomic<uint32_t>& word) {
  word.store(word.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

}  // namespace

Wakeups::Wakeups(SessionView view)
    : view_(view),
      pipes_(view.size().waiters),
      marks_(view.size().sockets),
      times_(view.size().sockets),
      is_told_(view.size().waiters, false) {
  sockets_.reserve(view.size().sockets);
  told_.reserve(view.size().waiters);
}

void Wakeups::mark(uint32_t socket, Mark how) {
  if (marks_[socket] == 0) sockets_.push_back(socket);
  marks_[socket] |= how;
}

void Wakeups::touch(uint32_t socket, uint32_t times) {
  count(view_.out(socket).news);
  touch_input(socket, times);
}

void Wakeups::touch_input(uint32_t socket, uint32_t times) {
  mark(socket, kHappened);
  times_[socket] += times;
}

void Wakeups::closed(uint32_t socket) {
  const SocketIn& in = view_.in(socket);
  for (const std::atomic<uint16_t>& place : in.watchers) {
    // seq_cst: either we see who watches, or it sees, before it sleeps, that nobody holds the socket.
    const uint32_t waiter = (place.load() & ~uint32_t{kExclusive}) - 1;
    if (waiter < view_.size().waiters &&
        view_.waiter(waiter).armed.load(std::memory_order_relaxed) != kSignal)
      tell(waiter, socket);
  }
  if (in.watch_all.load(std::memory_order_relaxed) != 0) tell_watchers(socket, kEverybody);
}

uint32_t Wakeups::ring() {
  if (sockets_.empty() && told_.empty()) return 0;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  for (const uint32_t socket : sockets_) {
    const uint8_t marks = std::exchange(marks_[socket], uint8_t{0});
    const uint32_t times = std::exchange(times_[socket], 0u);
    if ((marks & kUrgent) != 0) [[unlikely]]
      ring_bell(view_.names(socket).urgent_bell.load(std::memory_order_relaxed));
    const bool wish = (marks & kFreed) != 0 && take_wish(socket);
    if (wish || (marks & kHappened) != 0) tell_watchers(socket, std::max(times, 1u));
  }
  sockets_.clear();
  return wake_told();
}

// As Linux does (sk_stream_is_writeable): tell when a third of the buffer is free, not at each byte. The
// words are the program's to write: a lie costs it its own wake-up. Exchange: who wished after our first look
// armed before that, and then wake() must see it.
bool Wakeups::take_wish(uint32_t socket) {
  SocketIn& in = view_.in(socket);
  if (in.want_space.load(std::memory_order_relaxed) == 0) return false;
  const SocketOut& out = view_.out(socket);
  const uint32_t queued =
      in.tx_written.load(std::memory_order_relaxed) - out.tx_acked.load(std::memory_order_relaxed);
  const uint32_t most = out.tx_limit.load(std::memory_order_relaxed);
  if (!is_writable(most, queued) || in.want_space.exchange(0) == 0) return false;
  count(view_.out(socket).room);
  return true;
}

void Wakeups::tell_watchers(uint32_t socket, uint32_t times) {
  SocketIn& in = view_.in(socket);
  bool has_exclusive = false;
  for (std::atomic<uint16_t>& place : in.watchers) {
    const uint32_t watcher = place.load(std::memory_order_relaxed);
    if ((watcher & kExclusive) != 0)
      has_exclusive = true;
    else if (watcher != 0 && watcher <= view_.size().waiters)
      tell(watcher - 1, socket);
  }
  if (has_exclusive) tell_exclusive(socket, times);
  if (in.watch_all.load(std::memory_order_relaxed) != 0) {
    for (uint32_t waiter = 0; waiter < view_.size().waiters; ++waiter) {
      // A signal that nothing asked for would be worse than one too few.
      const bool in_use = view_.waiter_owners()[waiter].load(std::memory_order_relaxed) != 0;
      if (in_use && view_.waiter(waiter).armed.load(std::memory_order_relaxed) != kSignal)
        tell(waiter, socket);
    }
  }
}

// From another place each time, so that the sleepers have their turns. Noted first, then looked whether it
// sleeps: so either we see that, or it sees the note before it sleeps, and then it is one that is awake.
void Wakeups::tell_exclusive(uint32_t socket, uint32_t times) {
  std::atomic<uint16_t>* watchers = view_.in(socket).watchers;
  constexpr uint32_t kPlaces = std::extent_v<decltype(SocketIn::watchers)>;
  const uint32_t first = turn_;
  for (uint32_t i = 0; i < kPlaces && times > 0; ++i) {
    const uint32_t place = (first + i) % kPlaces;
    const uint32_t watcher = watchers[place].load(std::memory_order_relaxed);
    const uint32_t waiter = (watcher & ~uint32_t{kExclusive}) - 1;
    if ((watcher & kExclusive) == 0 || waiter >= view_.size().waiters) continue;
    if (!tell(waiter, socket) || view_.waiter(waiter).armed.load() == kAwake) continue;
    --times;
    turn_ = (place + 1) % kPlaces;
  }
}

// True if it is the first news for this waiter since the last ring().
bool Wakeups::tell(uint32_t waiter, uint32_t socket) {
  note(view_.ready(waiter), view_.waiter(waiter).ready_summary, socket);
  if (is_told_[waiter]) return false;
  is_told_[waiter] = true;
  told_.push_back(waiter);
  return true;
}

void Wakeups::ring_bell(uint32_t bell) {
  if (bell == 0 || bell > view_.size().waiters || is_told_[bell - 1]) return;
  is_told_[bell - 1] = true;
  told_.push_back(bell - 1);
}

uint32_t Wakeups::wake_told() {
  uint32_t woken = 0;
  for (const uint32_t waiter : told_) {
    is_told_[waiter] = false;
    woken += wake(waiter) ? 1 : 0;
  }
  told_.clear();
  rings_ += woken;
  return woken;
}

// True if it slept.
bool Wakeups::wake(uint32_t waiter) {
  std::atomic<uint32_t>& armed = view_.waiter(waiter).armed;
  const uint32_t before = armed.load();
  if (before == kAwake) return false;
  const uint32_t how = before == kSignal ? before : armed.exchange(kAwake);
  if (how == kFutex) {
    futex_wake(armed, INT_MAX);
    return true;
  }
  return (how == kPipe || how == kSignal) && ring_bell_of(waiter);
}

bool Wakeups::ring_bell_of(uint32_t waiter) {
  if (!pipes_[waiter]) return false;
  // EAGAIN means that a byte is waiting already, and signals all the same; EPIPE that the sleeper is gone.
  const char byte = 1;
  const ssize_t ignored = ::write(pipes_[waiter].get(), &byte, 1);
  static_cast<void>(ignored);
  return true;
}

// It may have been killed between taking a note and telling what it found. The client knows which sockets its
// set has to do with.
void Wakeups::look_at_all(uint32_t waiter) {
  count(view_.waiter(waiter).deaths);
  for (uint32_t word = 0; word < view_.size().sockets / 64; ++word) {
    view_.ready(waiter)[word].store(~uint64_t{0});
    view_.waiter(waiter).ready_summary[word / 64].fetch_or(uint64_t{1} << (word % 64));
  }
  // Whether anybody sleeps is not asked: who was woken, and killed before it armed the others' bell again,
  // left it as if nobody did.
  std::atomic<uint32_t>& armed = view_.waiter(waiter).armed;
  armed.store(kAwake);
  futex_wake(armed, INT_MAX);
  ring_bell_of(waiter);
}

// The owner's word is read before the processes': who makes a set says that it has it before the word is
// kSetOwner, and the number in it is another one for the next set.
void Wakeups::program_over(uint32_t slot, std::span<const uint32_t> live) {
  for (uint32_t waiter = 0; waiter < view_.size().waiters; ++waiter) {
    std::atomic<uint32_t>& place = view_.waiter_owners()[waiter];
    uint32_t owner = place.load();
    if (owner == slot + 1) {
      wake(waiter);
      place.compare_exchange_strong(owner, 0);
    }
    if ((owner & kSetOwner) == 0 || waiter >= kMaxWaiters) continue;
    const uint64_t bit = uint64_t{1} << (waiter % 64);
    const bool had = (view_.process(slot).sets[waiter / 64].fetch_and(~bit) & bit) != 0;
    const auto has = [&](uint32_t other) {
      return other != slot && (view_.process(other).sets[waiter / 64].load() & bit) != 0;
    };
    if (std::none_of(live.begin(), live.end(), has))
      place.compare_exchange_strong(owner, 0);
    else if (had)
      look_at_all(waiter);
  }
  for (std::atomic<uint64_t>& word : view_.process(slot).sets) word.store(0);
}

void Wakeups::finish(Call& call) {
  call.state.store(kCallDone);
  futex_wake(call.state, 1);
}

void Wakeups::set_pipe(uint32_t waiter, Fd write_end) {
  pipes_[waiter] = std::move(write_end);
}

}  // namespace skerry::sockets
