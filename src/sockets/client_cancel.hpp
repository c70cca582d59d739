// A sleep is where pthread_cancel(3) reaches a thread that waits (pthreads(7), cancellation points). It may
// end the thread at any instruction of the sleep, without a destructor, since our code knows no exceptions;
// so what must be undone then is told before.
#pragma once

#include <pthread.h>

namespace skerry::sockets::client {

// sleep() makes one system call and takes no lock. undo(argument) runs if the thread ends in it.
template <class Sleep>
long sleep_cancellably(Sleep sleep, void (*undo)(void*), void* argument) {
  long result = 0;
  int type = 0;
  pthread_cleanup_push(undo, argument);
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
  result = sleep();
  pthread_setcanceltype(type, nullptr);
  pthread_cleanup_pop(0);
  return result;
}

}  // namespace skerry::sockets::client
