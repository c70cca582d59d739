// Storms of signals: each thread has timers of its own, which fire again a moment after their handler has
// ended, so most handlers find their thread inside a call.
#pragma once
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHECK(what)                               \
  do {                                            \
    if (!(what)) {                                \
      printf("%s: %s\n", #what, strerror(errno)); \
      fflush(stdout), _exit(1);                   \
    }                                             \
  } while (0)

enum { kKinds = 3 };  // a thread, and its two handlers

// A thread's timers, one a signal.
struct Storm {
  timer_t timers[2];
  int count;
  uint32_t random;
  atomic_int run;
  void (*work)(int kind);  // 1: of SIGUSR1, 2: of SIGUSR2
};
static _Thread_local struct Storm* storm;
static _Thread_local int who;

static uint32_t draw(struct Storm* of) {
  return of->random = of->random * 1664525 + 1013904223;
}

static void fire_soon(struct Storm* of, int number) {
  const struct itimerspec soon = {.it_value = {0, 5000 + draw(of) % 120000}};
  timer_settime(of->timers[number], 0, &soon, NULL);
}

static void on_signal(int signal) {
  const int error = errno, number = signal == SIGUSR2;
  struct Storm* const of = storm;
  atomic_fetch_add(&of->run, 1);
  of->work(number + 1);
  fire_soon(of, number);
  errno = error;
}

static void begin_storm(struct Storm* of, int count, void (*work)(int)) {
  *of = (struct Storm){.count = count, .random = (uint32_t)who * 77 + 1, .work = work};
  storm = of;
  for (int i = 0; i < count; ++i) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(i ? SIGUSR2 : SIGUSR1, &action, NULL);
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = i ? SIGUSR2 : SIGUSR1};
    event._sigev_un._tid = gettid();
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &of->timers[i]) == 0);
    fire_soon(of, i);
  }
}

static void end_storm(struct Storm* of) {
  for (int i = 0; i < of->count; ++i) timer_delete(of->timers[i]);
}

static int pair_[2];  // what is sent at 0 comes at 1

static void make_pair(int type) {
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof name;
  const int on = 1, listener = socket(AF_INET, type, 0);
  CHECK(bind(listener, (struct sockaddr*)&name, length) == 0);
  CHECK(getsockname(listener, (struct sockaddr*)&name, &length) == 0);
  CHECK(type == SOCK_DGRAM || listen(listener, 1) == 0);
  pair_[0] = socket(AF_INET, type, 0);
  CHECK(connect(pair_[0], (struct sockaddr*)&name, length) == 0);
  pair_[1] = type == SOCK_DGRAM ? listener : accept(listener, NULL, NULL);
  if (type == SOCK_STREAM) close(listener);
  setsockopt(pair_[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}
