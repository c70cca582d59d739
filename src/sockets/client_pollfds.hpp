// Room for an array of pollfds: on the stack where they are few, else in pages of its own, because nothing
// here may call malloc.
#pragma once

#include <poll.h>
#include <sys/mman.h>

#include "sockets/client_cancel.hpp"
#include "sockets/client_handlers.hpp"
#include "sockets/client_system.hpp"

namespace skerry::sockets::client {

class PollFds {
 public:
  explicit PollFds(size_t count) : undo_([](void* room) { static_cast<PollFds*>(room)->give_back(); }, this) {
    if (count <= kFew) return;
    const NoHandlers none;
    bytes_ = count * sizeof(pollfd);
    const long mapped = system_call(SYS_mmap, 0, static_cast<long>(bytes_), PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    many_ = mapped < 0 && mapped > -4096 ? nullptr : reinterpret_cast<pollfd*>(mapped);
  }
  ~PollFds() { give_back(); }
  PollFds(const PollFds&) = delete;
  PollFds& operator=(const PollFds&) = delete;

  pollfd* get() { return bytes_ == 0 ? few_ : many_; }  // null: no memory

 private:
  void give_back() {
    if (many_ == nullptr) return;
    const NoHandlers none;
    system_call(SYS_munmap, word(many_), static_cast<long>(bytes_));
    many_ = nullptr;
  }

  static constexpr size_t kFew = 128;
  pollfd few_[kFew];
  pollfd* many_ = nullptr;
  size_t bytes_ = 0;
  Undo undo_;
};

}  // namespace skerry::sockets::client
