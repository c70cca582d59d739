// Room for an array: on the stack where it is small, else in pages of its own, because nothing here may call
// malloc.
#pragma once

#include <poll.h>
#include <sys/mman.h>

#include "sockets/client_cancel.hpp"
#include "sockets/client_handlers.hpp"
#include "sockets/client_system.hpp"

namespace skerry::sockets::client {

template <class T, size_t kFew>
class Room {
 public:
  // `comes_back`: see Undo.
  explicit Room(bool comes_back = true)
      : undo_([](void* room) { static_cast<Room*>(room)->give_back(); }, this, comes_back) {}
  ~Room() { give_back(); }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;

  // Once. Null: no memory.
  T* take(size_t count) {
    if (count <= kFew) return few_;
    const NoHandlers none;
    bytes_ = count * sizeof(T);
    const long mapped = system_call(SYS_mmap, 0, static_cast<long>(bytes_), PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    many_ = mapped < 0 && mapped > -4096 ? nullptr : reinterpret_cast<T*>(mapped);
    return many_;
  }

 private:
  void give_back() {
    if (many_ == nullptr) return;
    const NoHandlers none;
    system_call(SYS_munmap, word(many_), static_cast<long>(bytes_));
    many_ = nullptr;
  }

  T few_[kFew];
  T* many_ = nullptr;
  size_t bytes_ = 0;
  Undo undo_;
};

// Of poll(2).
using PollFds = Room<pollfd, 128>;

}  // namespace skerry::sockets::client
