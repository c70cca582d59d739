// The sockets of an epoll set: which are noted, which of those are ready.
#include "sockets/client_epoll_set.hpp"

namespace skerry::sockets::client {
namespace {

// What is left of an interest that EPOLLONESHOT has used up.
constexpr uint32_t kUsedUp = EPOLLONESHOT;
constexpr uint32_t kBehaviour = EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE | EPOLLWAKEUP;

uint32_t summary_words() {
  return (state.size.sockets + 4095) / 4096;
}

// Takes the stack's notes: summary first, then the words it names; the stack sets them the other way round.
// It may have noted sockets that the set has nothing to do with: see Wakeups::look_at_all().
void take_notes(const Wake& wake) {
  Waiter& waiter = state.view.waiter(wake.waiter);
  std::atomic<uint64_t>* ready = state.view.ready(wake.waiter);
  for (uint32_t i = 0; i < summary_words(); ++i) {
    if (waiter.ready_summary[i].load(std::memory_order_relaxed) == 0) continue;
    std::atomic<uint32_t>& taken = wake.set.notes_taken;
    taken.store(taken.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    uint64_t words = waiter.ready_summary[i].exchange(0, std::memory_order_seq_cst);
    std::atomic<uint64_t>& summary = wake.set.look_summary[i];
    summary.store(summary.load(std::memory_order_relaxed) | words, std::memory_order_relaxed);
    for (; words != 0; words &= words - 1) {
      const uint32_t index = i * 64 + static_cast<uint32_t>(__builtin_ctzll(words));
      if (index < state.size.sockets / 64)
        wake.set.look[index] |= ready[index].exchange(0, std::memory_order_seq_cst) & wake.set.members[index];
    }
  }
}

constexpr uint32_t kAboutInput = EPOLLIN | EPOLLRDNORM | EPOLLPRI | EPOLLRDBAND;
constexpr uint32_t kAboutOutput = EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;

// Linux wakes an edge-triggered interest for what it asks (ep_poll_callback), of a datagram socket also
// after each send (sock_def_write_space): so the stack is asked to tell, before the look.
Seen look_at_words(uint32_t socket, uint32_t events) {
  const SocketOut& out = state.out[socket];
  if ((events & kAboutOutput) && !(out.status.load(std::memory_order_relaxed) & kStream))
    state.in[socket].want_space.store(1, std::memory_order_seq_cst);
  return {.input = out.rx_written.load(std::memory_order_acquire),
          .output = out.room.load(std::memory_order_acquire),
          .news = out.news.load(std::memory_order_acquire)};
}

bool is_edge(const Seen& before, const Seen& now, uint32_t events) {
  return before.news != now.news || (before.input != now.input && (events & kAboutInput)) ||
         (before.output != now.output && (events & kAboutOutput));
}

// One interest: whether it is ready, and whether to look again without a new note (level-triggered).
bool report(uint32_t socket, uint32_t& events, uint64_t data, Seen& seen, epoll_event& event, bool& again) {
  if ((events & ~kBehaviour) == 0) return false;
  if (events & EPOLLET) {
    const Seen before = seen;
    seen = look_at_words(socket, events);
    if (!is_edge(before, seen, events)) return false;
  }
  const uint32_t ready = level(socket, events) & events & ~kBehaviour;
  if (ready == 0) return false;
  event.events = ready;
  event.data.u64 = data;
  if (events & EPOLLONESHOT)
    events = kUsedUp;
  else if (!(events & EPOLLET))
    again = true;
  return true;
}

// The same without taking it.
bool would_report(uint32_t socket, uint32_t events, const Seen& seen) {
  if ((events & ~kBehaviour) == 0) return false;
  if ((events & EPOLLET) && !is_edge(seen, look_at_words(socket, events), events)) return false;
  return (level(socket, events) & events & ~kBehaviour) != 0;
}

Seen seen_by(const Interest& interest) {
  return {.input = interest.seen_input.load(std::memory_order_relaxed),
          .output = interest.seen_output.load(std::memory_order_relaxed),
          .news = interest.seen_news.load(std::memory_order_relaxed)};
}

int report_extras(const Wake& wake, uint32_t socket, epoll_event* events, int max, bool& again) {
  int count = 0;
  for (ExtraInterest& extra : extra_table()) {
    if (extra.waiter != wake.waiter + 1 || extra.socket != socket) continue;
    if (count == max) {
      again = true;
      break;
    }
    if (report(socket, extra.events, extra.data, extra.seen, events[count], again)) ++count;
  }
  return count;
}

int report_socket(const Wake& wake, uint32_t socket, epoll_event* events, int max, bool& again) {
  Interest& interest = state.view.interest(wake.waiter, socket);
  uint32_t asked = interest.events.load(std::memory_order_relaxed);
  if (asked == 0 || is_over(interest, socket)) return 0;
  const uint32_t before = asked;
  Seen seen = asked & EPOLLET ? seen_by(interest) : Seen{};
  int count =
      report(socket, asked, interest.data.load(std::memory_order_relaxed), seen, events[0], again) ? 1 : 0;
  if (asked != before) interest.events.store(asked, std::memory_order_relaxed);
  if (before & EPOLLET) {
    interest.seen_input.store(seen.input, std::memory_order_relaxed);
    interest.seen_output.store(seen.output, std::memory_order_relaxed);
    interest.seen_news.store(seen.news, std::memory_order_relaxed);
  }
  if (wake.set.extras > 0) count += report_extras(wake, socket, events + count, max - count, again);
  return count;
}

// Looks at the noted sockets in [from, to) until `max` events are found.
int scan(const Wake& wake, uint32_t from, uint32_t to, epoll_event* events, int max) {
  EpollSet& set = wake.set;
  int count = 0;
  for (uint32_t index = from / 64; index * 64 < to && count < max; ++index) {
    const uint64_t summary = set.look_summary[index / 64].load(std::memory_order_relaxed) >> (index % 64);
    if (summary == 0) {
      index |= 63;
      continue;
    }
    index += static_cast<uint32_t>(__builtin_ctzll(summary));
    if (index * 64 >= to) break;
    uint64_t bits = set.look[index];
    if (index == from / 64) bits &= ~uint64_t{0} << (from % 64);
    if (to - index * 64 < 64) bits &= (uint64_t{1} << (to % 64)) - 1;
    set.look[index] &= ~bits;
    uint64_t keep = 0;
    for (; bits != 0 && count < max; bits &= bits - 1) {
      const auto bit = static_cast<uint32_t>(__builtin_ctzll(bits));
      const uint32_t socket = index * 64 + bit;
      bool again = false;
      const int found = report_socket(wake, socket, events + count, max - count, again);
      count += found;
      if (again) keep |= uint64_t{1} << bit;
      if (count == max) set.next = socket + 1 < state.size.sockets ? socket + 1 : 0;
    }
    set.look[index] |= keep | bits;
    if (set.look[index] == 0) {
      std::atomic<uint64_t>& word = set.look_summary[index / 64];
      word.store(word.load(std::memory_order_relaxed) & ~(uint64_t{1} << (index % 64)),
                 std::memory_order_relaxed);
    }
  }
  return count;
}

}  // namespace

bool has_notes(const Wake& wake) {
  const Waiter& waiter = state.view.waiter(wake.waiter);
  for (uint32_t i = 0; i < summary_words(); ++i)
    if ((waiter.ready_summary[i].load(std::memory_order_relaxed) |
         wake.set.look_summary[i].load(std::memory_order_relaxed)) != 0)
      return true;
  return false;
}

int take_sockets(const Wake& wake, epoll_event* events, int max) {
  if (max <= 0 || !has_notes(wake)) return 0;
  const Lock lock(wake.set.lock);
  take_notes(wake);
  const uint32_t first = wake.set.next;
  int count = scan(wake, first, state.size.sockets, events, max);
  if (count < max && first != 0) count += scan(wake, 0, first, events + count, max - count);
  return count;
}

bool is_ready(const Wake& wake) {
  const Lock lock(wake.set.lock);
  take_notes(wake);
  for (uint32_t index = 0; index < state.size.sockets / 64; ++index)
    for (uint64_t bits = wake.set.look[index]; bits != 0; bits &= bits - 1) {
      const uint32_t socket = index * 64 + static_cast<uint32_t>(__builtin_ctzll(bits));
      const Interest& interest = state.view.interest(wake.waiter, socket);
      if (is_over(interest, socket)) continue;
      if (would_report(socket, interest.events.load(std::memory_order_relaxed), seen_by(interest)))
        return true;
      if (wake.set.extras == 0) continue;
      for (const ExtraInterest& extra : extra_table())
        if (extra.waiter == wake.waiter + 1 && extra.socket == socket &&
            would_report(socket, extra.events, extra.seen))
          return true;
    }
  return false;
}

}  // namespace skerry::sockets::client
