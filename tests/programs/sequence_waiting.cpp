// The calls of a sequence that wait: what epoll sets are asked, and what they, poll() and select() say.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include <algorithm>
#include <iterator>

#include "sequence.hpp"

void Sequence::change_set(Random& random, int slot) {
  static constexpr uint32_t kEvents[] = {EPOLLIN,  EPOLLOUT, EPOLLIN | EPOLLOUT, EPOLLIN | EPOLLRDHUP,
                                         EPOLLPRI, 0};
  static constexpr uint32_t kModes[] = {
      0, 0, EPOLLET, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT, EPOLLEXCLUSIVE, EPOLLEXCLUSIVE | EPOLLET};
  static constexpr int kOperations[] = {EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD,
                                        EPOLL_CTL_DEL};
  const int set = random.below(kSets), operation = kOperations[random.below(std::size(kOperations))];
  epoll_event event{};
  event.events = kEvents[random.below(std::size(kEvents))] | kModes[random.below(std::size(kModes))];
  // One in the other is not shared here: once there are two processes, each has what was there at the fork.
  const bool nested = random.one_in(10) && !is_shared_;
  // The kernel tells an edge of a set in a set at times when nothing has changed.
  if (nested && (event.events & EPOLLET)) event.events &= ~EPOLLET;
  event.data.u32 = static_cast<uint32_t>(nested ? kSlots + 1 : slot);
  const int fd = nested ? sets_[1 - set] : slots_[slot].fd;
  one_shot_in_the_other_ = one_shot_in_the_other_ || (nested && (event.events & EPOLLONESHOT));
  line_.say("epoll_ctl e%d %s %c%d %x", set,
            operation == EPOLL_CTL_ADD   ? "ADD"
            : operation == EPOLL_CTL_MOD ? "MOD"
                                         : "DEL",
            nested ? 'e' : 's', nested ? 1 - set : slot, event.events);
  line_.gave(epoll_ctl(sets_[set], operation, fd, &event));
}

void Sequence::wait_on_set(Random& random, int set) {
  epoll_event events[32];
  const timespec none{};
  line_.say("epoll_wait e%d", set);
  const int count = random.one_in(4) ? epoll_pwait2(sets_[set], events, std::size(events), &none, nullptr)
                                     : epoll_wait(sets_[set], events, std::size(events), 0);
  line_.gave(count);
  std::sort(events, events + std::max(count, 0), [](const epoll_event& a, const epoll_event& b) {
    return a.data.u32 != b.data.u32 ? a.data.u32 < b.data.u32 : a.events < b.events;
  });
  for (int i = 0; i < count; ++i) line_.say(" %u:%x", events[i].data.u32, events[i].events);
}

void Sequence::poll_and_select(Random& random) {
  if (random.one_in(2)) {
    static constexpr short kEvents[] = {POLLIN, POLLOUT, POLLIN | POLLOUT, POLLRDHUP, POLLPRI, 0};
    pollfd fds[kSlots + 1];
    for (int i = 0; i < kSlots; ++i)
      fds[i] = {.fd = slots_[i].fd, .events = kEvents[random.below(std::size(kEvents))], .revents = 0};
    fds[kSlots] = {.fd = sets_[0], .events = POLLIN, .revents = 0};
    line_.say("poll");
    const timespec none{};
    line_.gave(random.one_in(4) ? ppoll(fds, kSlots + 1, &none, nullptr) : poll(fds, kSlots + 1, 0));
    for (const pollfd& fd : fds) line_.say(" %x", static_cast<unsigned>(fd.revents));
    return;
  }
  fd_set sets[3];
  for (fd_set& set : sets) {
    FD_ZERO(&set);
    for (const Slot& slot : slots_)
      if (slot.fd >= 0 && random.one_in(2)) FD_SET(slot.fd, &set);
  }
  timeval none{};
  line_.say("select");
  line_.gave(select(FD_SETSIZE, &sets[0], &sets[1], &sets[2], &none));
  for (const Slot& slot : slots_)
    if (slot.fd >= 0)
      line_.say(" %d%d%d", FD_ISSET(slot.fd, &sets[0]), FD_ISSET(slot.fd, &sets[1]),
                FD_ISSET(slot.fd, &sets[2]));
}
