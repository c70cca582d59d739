// The life of an epoll set: which processes have it, and what becomes of it when one of them has it no more.
// As on Linux it lasts as long as any of them has a descriptor of it, and a socket stays in it as long as any
// process has a descriptor of that.
#include <sys/mman.h>

#include <utility>

#include "sockets/client_descriptors.hpp"
#include "sockets/client_epoll.hpp"
#include "sockets/client_epoll_set.hpp"
#include "sockets/client_processes.hpp"

namespace skerry::sockets::client {

constinit std::atomic<uint32_t> epoll_descriptors[kMaxWaiters] = {};

namespace {

std::atomic<uint64_t>& sets_word(uint32_t slot, uint32_t waiter) {
  return state.view.process(slot).sets[waiter / 64];
}
uint64_t set_bit(uint32_t waiter) {
  return uint64_t{1} << (waiter % 64);
}

// The row may hold what a killed process left. Interests are the program's own memory, so the pages can go.
void clear_interests(uint32_t waiter) {
  Interest& first = state.view.interest(waiter, 0);
  const size_t bytes = state.size.sockets * sizeof(Interest);
  const bool whole_pages = word(&first) % 4096 == 0 && bytes % 4096 == 0;
  if (whole_pages && system_call(SYS_madvise, word(&first), static_cast<long>(bytes), MADV_REMOVE) == 0)
    return;
  for (uint32_t socket = 0; socket < state.size.sockets; ++socket)
    state.view.interest(waiter, socket).events.store(0, std::memory_order_relaxed);
}

// What the set was before belongs to a process that may have been killed.
void clear(uint32_t waiter, uint32_t kernel_members) {
  clear_interests(waiter);
  EpollSet& set = set_of(waiter);
  const Lock lock(set.lock);
  set.kernel_members.store(kernel_members);
  set.sleepers.store(0);
  for (uint16_t& sleepers : set.sleepers_of) sleepers = 0;
  set.doorbell_added = set.nudge_added = false;
  set.next = set.extras = 0;
  for (auto& summary : set.look_summary) summary.store(0, std::memory_order_relaxed);
  for (uint32_t index = 0; index < state.size.sockets / 64; ++index) set.look[index] = set.members[index] = 0;
  for (ExtraInterest& extra : extra_table()) {
    uint32_t left = waiter + 1;
    extra.waiter.compare_exchange_strong(left, 0);
  }
  ++set.life;
}

// This process has no descriptor of the set any more, and whoever is the last frees it. Only of what is still
// the set that it was: the stack may have freed it with a process that died at the same time.
void let_go_of_set(uint32_t waiter) {
  forget_nested(waiter);
  EpollSet& set = set_of(waiter);
  const Lock lock(set.lock);
  std::atomic<uint32_t>& place = state.view.waiter_owners()[waiter];
  uint32_t owner = place.load();
  sets_word(state.slot, waiter).fetch_and(~set_bit(waiter));
  forget_doorbell(waiter);
  if (!(owner & kSetOwner) || is_shared(waiter)) return;
  for (uint32_t index = 0; index < state.size.sockets / 64; ++index)
    while (set.members[index] != 0)
      remove_all(set, waiter, index * 64 + static_cast<uint32_t>(__builtin_ctzll(set.members[index])));
  ++set.life;
  disarm(waiter);
  place.compare_exchange_strong(owner, 0);
}

// Threads of the older image, or of a process that was killed: nobody of this one sleeps yet.
void forget_sleepers(uint32_t waiter, uint32_t slot) {
  EpollSet& set = set_of(waiter);
  const Lock lock(set.lock);
  set.sleepers.fetch_sub(std::exchange(set.sleepers_of[slot], uint16_t{0}));
}

}  // namespace

bool is_shared(uint32_t waiter) {
  return another_process(
      [waiter](uint32_t slot) { return (sets_word(slot, waiter).load() & set_bit(waiter)) != 0; });
}

void forget_dead_sleepers(const Wake& wake) {
  const uint32_t deaths = state.view.waiter(wake.waiter).deaths.load();
  if (wake.set.deaths_seen == deaths) [[likely]]
    return;
  wake.set.deaths_seen = deaths;
  // Whether it has the set, not whether it is there: the slot may be another process's by now, or it sleeps
  // in nothing any more because it has executed another program.
  for (uint32_t slot = 0; slot < slot_limit(); ++slot)
    if (wake.set.sleepers_of[slot] != 0 && (sets_word(slot, wake.waiter).load() & set_bit(wake.waiter)) == 0)
      wake.set.sleepers.fetch_sub(std::exchange(wake.set.sleepers_of[slot], uint16_t{0}));
}

void adopt(int fd, uint32_t kernel_members) {
  const uint32_t waiter = claim_waiter();
  if (waiter == kNoWaiter) return;
  clear(waiter, kernel_members);
  sets_word(state.slot, waiter).fetch_or(set_bit(waiter));
  state.view.waiter_owners()[waiter].store(kSetOwner | set_of(waiter).life);
  install_epoll(fd, waiter);
}

void adopt_epoll(int fd) {
  if (state.attached && static_cast<uint32_t>(fd) < kMaxDescriptors) adopt(fd, 0);
}

void hold_epoll(uint32_t waiter) {
  epoll_descriptors[waiter].fetch_add(1);
}

void drop_epoll(uint32_t waiter) {
  if (epoll_descriptors[waiter].fetch_sub(1) == 1) let_go_of_set(waiter);
}

// What another process holds is still there, and the set goes on with it, until it is_over().
void forget_in_epoll(uint32_t socket) {
  const uint32_t limit = state.size.waiters < kMaxWaiters ? state.size.waiters : kMaxWaiters;
  for (uint32_t waiter = 0; waiter < limit; ++waiter) {
    if (epoll_descriptors[waiter].load(std::memory_order_relaxed) == 0) continue;
    EpollSet& set = set_of(waiter);
    const Lock lock(set.lock);
    if ((member_word(set, socket) & member_bit(socket)) == 0) continue;
    if (is_held_elsewhere(socket)) return;
    remove_all(set, waiter, socket);
  }
}

void prepare_to_share_sets() {
  const uint32_t limit = state.view.process(state.slot).fd_limit.load(std::memory_order_relaxed);
  for (uint32_t fd = 0; fd < limit && fd < kMaxDescriptors; ++fd) {
    const uint32_t entry = state.fds[fd].load(std::memory_order_relaxed);
    if (fd_kind(entry) != FdKind::epoll) continue;
    EpollSet& set = set_of(fd_index(entry));
    const Lock lock(set.lock);
    make_fit_to_share({set, fd_index(entry), static_cast<int>(fd)});
  }
}

void count_sets_from_nothing() {
  for (std::atomic<uint32_t>& count : epoll_descriptors) count.store(0, std::memory_order_relaxed);
}

void let_go_of_lost_sets() {
  for (uint32_t waiter = 0; waiter < kMaxWaiters; ++waiter) {
    if ((sets_word(state.slot, waiter).load() & set_bit(waiter)) == 0) continue;
    forget_sleepers(waiter, state.slot);
    if (epoll_descriptors[waiter].load(std::memory_order_relaxed) == 0) let_go_of_set(waiter);
  }
}

}  // namespace skerry::sockets::client
