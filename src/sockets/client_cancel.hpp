// Calls that never come back: pthread_cancel(3) may end a thread at any instruction of a sleep (pthreads(7),
// cancellation points), and a handler may leave any call by siglongjmp(). Neither runs a destructor, since
// our code knows no exceptions; so what must be undone then is told before.
#pragma once

#include <pthread.h>

#include <utility>

#include "sockets/client_handlers.hpp"

// libc's older pair: unlike what pthread_cleanup_push() has become, siglongjmp() knows of it.
extern "C" void _pthread_cleanup_push(_pthread_cleanup_buffer*, void (*)(void*), void*);
extern "C" void _pthread_cleanup_pop(_pthread_cleanup_buffer*, int);

namespace skerry::sockets::client {

// undo(argument) runs if the thread ends where this lives, or a handler leaves it by siglongjmp(). On the
// stack, the last made the first destroyed. `comes_back`: not in a child that shares our memory and becomes
// another program here: its parent's thread would keep what lies on that child's stack in its list.
class Undo {
 public:
  Undo(void (*undo)(void*), void* argument, bool comes_back = true)
      : undo_(undo), argument_(argument), told_(comes_back) {
    if (told_) _pthread_cleanup_push(&buffer_, run, this);
  }
  ~Undo() {
    if (told_) _pthread_cleanup_pop(&buffer_, 0);
  }
  Undo(const Undo&) = delete;
  Undo& operator=(const Undo&) = delete;

 private:
  // Whole and once, though another handler may come meanwhile and leap too: its siglongjmp() begins again
  // with the first that there is to be undone.
  static void run(void* self) {
    const NoHandlers none;
    auto& undo = *static_cast<Undo*>(self);
    if (auto* const what = std::exchange(undo.undo_, nullptr)) what(undo.argument_);
  }

  void (*undo_)(void*);
  void* argument_;
  const bool told_;
  _pthread_cleanup_buffer buffer_;
};

// sleep() makes one system call and takes no lock.
template <class Sleep>
long sleep_cancellably(Sleep sleep) {
  int type = -1;  // which pthread_setcanceltype() does not take
  const Undo undo([](void* before) { pthread_setcanceltype(*static_cast<int*>(before), nullptr); }, &type);
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
  const long result = sleep();
  pthread_setcanceltype(type, nullptr);
  return result;
}

}  // namespace skerry::sockets::client
