// What every file of libc names needs: a function that we export does its work in sockets/client* if the
// descriptor is ours, and is libc's own otherwise.
#pragma once

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

#include <atomic>

#define SKERRY_EXPORT extern "C" __attribute__((visibility("default")))

// The same function under libc's second name of it, with two underscores.
#define SKERRY_ALSO(Result, name, arguments) \
  extern "C" __attribute__((visibility("default"), alias(#name))) Result __##name arguments

struct iocb;

namespace skerry::preload {

// libc's function of the same name. Used for calls that block, because libc's are cancellation points, and
// for those of fstat()'s kind, which other preloaded libraries have too; others go to the kernel directly.
// Resolved by start(), or by the first call that comes before it.
template <class Function>
class Next {
 public:
  constexpr explicit Next(const char* name) : name_(name) {}

  void resolve() {
    if (found_.load(std::memory_order_relaxed) == nullptr)
      found_.store(reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name_)), std::memory_order_relaxed);
  }
  template <class... Arguments>
  auto operator()(Arguments... arguments) {
    return found()(arguments...);
  }
  Function* found() {
    resolve();
    return found_.load(std::memory_order_relaxed);
  }

 private:
  const char* name_;
  std::atomic<Function*> found_ = nullptr;
};

// From "result or -errno" to libc's convention.
template <class Number>
Number finish(Number result) {
  if (result >= 0) [[likely]]
    return result;
  errno = static_cast<int>(-result);
  return -1;
}

// For what is no point of cancellation (pthreads(7)) but does what is one.
class NoCancellation {
 public:
  NoCancellation() { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  ~NoCancellation() { pthread_setcancelstate(before_, nullptr); }
  NoCancellation(const NoCancellation&) = delete;
  NoCancellation& operator=(const NoCancellation&) = delete;

 private:
  int before_ = PTHREAD_CANCEL_ENABLE;
};

// io_submit(2): how many were taken, up to the first that is for a socket of ours; or -errno.
long submit(long context, long count, iocb** requests);

// fstat(2), newfstatat(2) and statx(2) for syscall(2), which asks no other library: by it one may have come.
long stat_by_number(long number, const long (&arguments)[6]);

// One a file of names, called by start().
void resolve_addrinfo();
void resolve_aio();
void resolve_exec();
void resolve_gai();
void resolve_io();
void resolve_nameinfo();
void resolve_process();
void resolve_resolv();
void resolve_shell();
void resolve_signals();
void resolve_sockets();
void resolve_stat();
void resolve_stdio();
void resolve_waiting();

}  // namespace skerry::preload
