// The calls of a sequence about descriptors: whose number is what, and the kernel's own beside sockets.
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "sequence.hpp"

namespace {

constexpr int kUpThere = 200;  // where nothing but slots is

}  // namespace

// They stand beside sockets in every set and every poll().
void Sequence::make_kernels_own(Random& random, int slot) {
  switch (random.below(4)) {
    case 0:
      line_.say("s%d = eventfd", slot);
      return put(slot, eventfd(static_cast<unsigned>(random.below(2)), EFD_NONBLOCK), false);
    case 1: {
      const bool rings = random.one_in(2);
      line_.say("s%d = timerfd%s", slot, rings ? " that rings" : "");
      const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
      const itimerspec at_once{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_nsec = rings ? 1 : 0}};
      timerfd_settime(fd, 0, &at_once, nullptr);
      return put(slot, fd, false);
    }
    default: {
      const int other = (slot + 1 + random.below(kSlots - 1)) % kSlots;
      int ends[2] = {-1, -1};
      line_.say("s%d, s%d = pipe", slot, other);
      line_.gave(pipe2(ends, O_NONBLOCK));
      put(slot, ends[0], false);
      put(other, ends[1], false);
    }
  }
}

// dup3(), also as it may not be called.
void Sequence::duplicate_over(Random& random, int slot, int other) {
  static constexpr int kFlags[] = {0, O_CLOEXEC, O_CLOEXEC, O_NONBLOCK, O_CLOEXEC | O_APPEND};
  const int flags = kFlags[random.below(std::size(kFlags))];
  line_.say("dup3 s%d s%d %x", slot, other, static_cast<unsigned>(flags));
  if (line_.gave(dup3(slots_[slot].fd, slots_[other].fd, flags) < 0 ? -1 : 0) != 0) return;
  slots_[other].v6 = slots_[slot].v6;
  line_.say(" F_GETFD %d", fcntl(slots_[other].fd, F_GETFD));
}

void Sequence::move_up(int slot) {
  const int fd = fcntl(slots_[slot].fd, F_DUPFD, kUpThere);
  line_.gave(fd < 0 ? fd : 0);
  put(slot, fd, slots_[slot].v6);
}

// close_range(), of those up there alone.
void Sequence::close_some(Random& random, int slot, int other) {
  static constexpr unsigned kFlags[] = {0, 0, 0, CLOSE_RANGE_CLOEXEC, CLOSE_RANGE_CLOEXEC, 8};
  line_.say("move s%d", slot), move_up(slot);
  line_.say(", s%d", other), move_up(other);
  const bool all = random.one_in(3);
  const unsigned flags = kFlags[random.below(std::size(kFlags))];
  const auto number = [&](int of) { return static_cast<unsigned>(std::max(slots_[of].fd, kUpThere)); };
  const unsigned first = all ? kUpThere : number(slot), last = all ? ~0u : number(other);
  line_.say(", close_range from %s%d to %s%d %x", all ? "all " : "s", slot, all ? "all " : "s", other, flags);
  const bool closed = line_.gave(close_range(first, last, static_cast<int>(flags))) == 0 && flags == 0;
  for (Slot& each : slots_) {
    if (each.fd < kUpThere) continue;
    const auto fd = static_cast<unsigned>(each.fd);
    if (closed && fd >= first && fd <= last)
      each = {};
    else
      line_.say(" %d", fcntl(each.fd, F_GETFD));
  }
}

// To ourselves, over a Unix socket.
int Sequence::pass(int fd) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) != 0) return -1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  char byte = 0;
  iovec piece{&byte, 1};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* const rights = CMSG_FIRSTHDR(&message);
  *rights = {.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  int got = -1;
  if (sendmsg(ends[0], &message, 0) == 1 && recvmsg(ends[1], &message, 0) == 1 &&
      CMSG_FIRSTHDR(&message) != nullptr)
    memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof got);
  const int error = errno;
  close(ends[0]);
  close(ends[1]);
  errno = error;
  return got;
}

void Sequence::descriptor_calls(Random& random, int slot) {
  Slot& of = slots_[slot];
  const int other = random.below(kSlots);
  switch (random.below(11)) {
    case 0:
    case 1:
    case 2:
      line_.say("close s%d", slot);
      line_.gave(close(of.fd));
      of = {};
      return;
    case 3: {
      line_.say("s%d = dup s%d", other, slot);
      const int fd = random.one_in(2) ? dup(of.fd) : fcntl(of.fd, F_DUPFD_CLOEXEC, 20);
      line_.gave(fd < 0 ? fd : 0);
      return put(other, fd, of.v6);
    }
    case 4:
      line_.say("dup2 s%d s%d", slot, other);
      if (line_.gave(dup2(of.fd, slots_[other].fd) < 0 ? -1 : 0) == 0) slots_[other].v6 = of.v6;
      return;
    case 5: {
      line_.say("s%d = passed s%d", other, slot);
      const int fd = pass(of.fd);
      line_.gave(fd < 0 ? fd : 0);
      return put(other, fd, of.v6);
    }
    case 6:
      return duplicate_over(random, slot, other);
    case 7:
      return close_some(random, slot, other);
    case 8: {
      int bytes = -1;
      line_.say("FIONREAD s%d", slot);
      if (line_.gave(ioctl(of.fd, FIONREAD, &bytes)) == 0) line_.say(" %d", bytes);
      return;
    }
    default:
      line_.say("F_GETFL s%d", slot);
      line_.gave(fcntl(of.fd, F_GETFL));
  }
}
