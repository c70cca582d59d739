// Scenarios with signal handlers, one line each: what went wrong, and whether a socket was left behind.
#pragma once
#include "storm.h"

#include <poll.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { kOften = 300 };
static int set;
static atomic_int wrong;

#define EXPECT(what)                              \
  do {                                            \
    if (!(what)) {                                \
      atomic_fetch_add(&wrong, 1);                \
      printf("%s: %s\n", #what, strerror(errno)); \
    }                                             \
  } while (0)

// Of sockets: a set that is shared by a fork has more of ours.
static int descriptors(void) {
  int count = 0;
  struct stat about;
  for (int fd = 0; fd < 1024; ++fd) count += fstat(fd, &about) == 0 && S_ISSOCK(about.st_mode);
  return count;
}

static int start_nothing(pid_t* child) {
  char* const words[] = {"true", NULL};
  return posix_spawn(child, "/bin/true", NULL, NULL, words, environ);
}

static void expect_success(pid_t child) {
  int status = 1;
  pid_t ended = 0;
  do ended = waitpid(child, &status, 0);
  while (ended < 0 && errno == EINTR);
  EXPECT(child > 0 && ended == child && status == 0);
}

static void* scenario_of_a_thread(void* scenario) {
  ((void (*)(void))scenario)();
  pthread_exit(NULL);
}

static void run(const char* name, void (*scenario)(void)) {
  pthread_t thread;
  make_pair(SOCK_DGRAM);
  set = epoll_create1(0);
  const int before = descriptors();
  pthread_create(&thread, NULL, scenario_of_a_thread, (void*)scenario);
  pthread_join(thread, NULL);
  printf("%s: wrong %d, descriptors %+d\n", name, wrong, descriptors() - before);
  fflush(stdout);
  close(set), close(pair_[0]), close(pair_[1]);
}
