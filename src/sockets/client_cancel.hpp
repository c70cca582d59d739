// A sleep is where pthread_cancel(3) reaches a thread that waits (pthreads(7), cancellation points). It may
// end the thread at any instruction of the sleep, without a destructor, since our code knows no exceptions;
// so what must be undone then is told before.
#pragma once

#include <pthread.h>

// libc's older pair: unlike what pthread_cleanup_push() has become, siglongjmp() knows of it.
extern "C" void _pthread_cleanup_push(_pthread_cleanup_buffer*, void (*)(void*), void*);
extern "C" void _pthread_cleanup_pop(_pthread_cleanup_buffer*, int);

namespace skerry::sockets::client {

// sleep() makes one system call and takes no lock. undo(argument) runs if the thread ends in it, or if a
// handler leaves it by siglongjmp().
template <class Sleep>
long sleep_cancellably(Sleep sleep, void (*undo)(void*), void* argument) {
  long result = 0;
  int type = 0;
  _pthread_cleanup_buffer buffer;
  _pthread_cleanup_push(&buffer, undo, argument);
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
  result = sleep();
  pthread_setcanceltype(type, nullptr);
  _pthread_cleanup_pop(&buffer, 0);
  return result;
}

}  // namespace skerry::sockets::client
