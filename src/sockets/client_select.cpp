// select(2) as a poll: which bits of poll make a descriptor ready in which set is fs/select.c's.
#include "sockets/client_poll.hpp"
#include "sockets/client_room.hpp"

namespace skerry::sockets::client {
namespace {

constexpr short kReadBits = POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR;
constexpr short kWriteBits = POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR;
constexpr short kExceptBits = POLLPRI;

// Programs make sets larger than FD_SETSIZE by allocating them so; the words are all that counts.
using Word = unsigned long;
constexpr int kWordBits = 8 * sizeof(Word);

bool has(const fd_set* set, int fd) {
  return set != nullptr && (reinterpret_cast<const Word*>(set)[fd / kWordBits] >> (fd % kWordBits) & 1);
}

void change(fd_set* set, int fd, bool on) {
  Word& bits = reinterpret_cast<Word*>(set)[fd / kWordBits];
  const Word bit = Word{1} << (fd % kWordBits);
  bits = on ? bits | bit : bits & ~bit;
}

// One set as poll found it: how many are ready in it.
int rewrite(fd_set* set, const pollfd* fds, int count, short bits) {
  if (set == nullptr) return 0;
  int ready = 0;
  for (int i = 0; i < count; ++i) {
    const bool on = has(set, fds[i].fd) && (fds[i].revents & bits) != 0;
    change(set, fds[i].fd, on);
    ready += on;
  }
  return ready;
}

}  // namespace

bool has_ours(int count, const fd_set* read, const fd_set* write, const fd_set* except) {
  for (int fd = 0; fd < count; ++fd)
    if (entry_of(fd) != 0 && (has(read, fd) || has(write, fd) || has(except, fd))) return true;
  return false;
}

int wait_select(int count, fd_set* read, fd_set* write, fd_set* except, DurationNs timeout_ns,
                const sigset_t* mask) {
  if (count < 0) return -EINVAL;
  PollFds room;
  pollfd* fds = room.take(static_cast<size_t>(count));
  if (fds == nullptr) return -ENOMEM;
  int used = 0;
  for (int fd = 0; fd < count; ++fd) {
    const int events = (has(read, fd) ? POLLIN | POLLRDNORM | POLLRDBAND : 0) |
                       (has(write, fd) ? POLLOUT | POLLWRNORM | POLLWRBAND : 0) |
                       (has(except, fd) ? POLLPRI : 0);
    if (events != 0) fds[used++] = {.fd = fd, .events = static_cast<short>(events), .revents = 0};
  }
  const int result = wait_any_number(fds, static_cast<nfds_t>(used), timeout_ns, mask);
  if (result < 0) return result;
  for (int i = 0; i < used; ++i)
    if (fds[i].revents & POLLNVAL) return -EBADF;
  return rewrite(read, fds, used, kReadBits) + rewrite(write, fds, used, kWriteBits) +
         rewrite(except, fds, used, kExceptBits);
}

}  // namespace skerry::sockets::client
