// Signal handlers that leave calls by siglongjmp(): one line a scenario, to be compared with plain Linux.
#include "handlers.h"

#include <fcntl.h>
#include <setjmp.h>

static sigjmp_buf start;
static volatile int jumps, armed;

static void jump(int kind) {
  if (armed == 0) return;
  armed = 0;
  ++jumps;
  fire_soon(storm, kind - 1);
  siglongjmp(start, kind);
}

static void begin_leaps(struct Storm* own) {
  jumps = armed = 0;
  begin_storm(own, 2, jump);
}

static void* send_one(void* unused) {
  char byte = 1;
  EXPECT(send(pair_[0], &byte, 1, 0) == 1);
  return unused;
}

// After all the jumps the sockets are everybody's as before.
static void leaps(void) {
  static char bytes[4000];
  struct Storm own;
  struct pollfd asked = {pair_[1], POLLIN, 0};
  begin_leaps(&own);
  sigsetjmp(start, 1);
  while (jumps < kOften) {
    armed = 1;
    EXPECT(send(pair_[0], bytes, sizeof bytes, 0) == sizeof bytes);
    EXPECT(recv(pair_[1], bytes, sizeof bytes, 0) > 0);
    if (jumps % 8 == 0)
      while (recv(pair_[1], bytes, sizeof bytes, MSG_DONTWAIT) > 0) continue;
    if (jumps % 3 == 0) recv(pair_[1], bytes, sizeof bytes, 0);
    if (jumps % 3 == 1) poll(&asked, 1, -1);
  }
  armed = 0;
  end_storm(&own);
  pthread_t other;
  pthread_create(&other, NULL, send_one, NULL);
  pthread_join(other, NULL);
  const pid_t child = fork();
  if (child == 0) send_one(NULL), _exit(0);
  expect_success(child);
  int came = 0;  // behind what is left of the leaps
  while (came < 2 && poll(&asked, 1, 10000) == 1) came += recv(pair_[1], bytes, sizeof bytes, 0) == 1;
  EXPECT(came == 2);
}

static void* open_one(void* unused) {
  EXPECT(close(socket(AF_INET, SOCK_STREAM, 0)) == 0);
  return unused;
}

// Other threads open and close as before.
static void leaps_out_of_starts(void) {
  struct Storm own;
  begin_leaps(&own);
  sigsetjmp(start, 1);
  while (jumps < kOften / 10) {
    pid_t child = 0;
    armed = 1;
    EXPECT(start_nothing(&child) == 0);
    armed = 0;
  }
  end_storm(&own);
  while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) continue;
  pthread_t other;
  pthread_create(&other, NULL, open_one, NULL);
  pthread_join(other, NULL);
}

// No connection of an attempt is left, of which the stack would hear when a later one succeeds.
static void leaps_out_of_execs(void) {
  char* const words[] = {"nothing", NULL};
  struct Storm own;
  begin_leaps(&own);
  sigsetjmp(start, 1);
  while (jumps < kOften) {
    armed = 1;
    EXPECT(execve("/nowhere/nothing", words, environ) < 0 && errno == ENOENT);
  }
  armed = 0;
  end_storm(&own);
}

static void leave(int signal) {
  (void)signal;
  siglongjmp(start, 1);
}

static void* signal_soon(void* thread) {
  usleep(300000);
  pthread_kill(*(pthread_t*)thread, SIGUSR1);
  return NULL;
}

// The socket is closed nevertheless: its peer has what was sent, and may not send.
static void leaps_out_of_a_close(void) {
  static char bytes[100000];
  static volatile size_t sent = 0;
  const struct linger patient = {1, 60};
  pthread_t self = pthread_self(), other;
  close(pair_[0]), close(pair_[1]);
  make_pair(SOCK_STREAM);
  for (ssize_t count; (count = send(pair_[0], bytes, sizeof bytes, MSG_DONTWAIT)) > 0;) sent += (size_t)count;
  setsockopt(pair_[0], SOL_SOCKET, SO_LINGER, &patient, sizeof patient);
  signal(SIGUSR1, leave);
  pthread_create(&other, NULL, signal_soon, &self);
  if (sigsetjmp(start, 1) == 0) {
    close(pair_[0]);
    EXPECT(!"left");
  }
  pthread_join(other, NULL);
  EXPECT(fcntl(pair_[0], F_GETFD) < 0 && errno == EBADF);
  int state = -1;
  EXPECT(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state) == 0 && state == PTHREAD_CANCEL_ENABLE);
  size_t came = 0;
  for (ssize_t count; (count = recv(pair_[1], bytes, sizeof bytes, 0)) > 0;) came += (size_t)count;
  EXPECT(came == sent);
  struct pollfd asked = {pair_[1], 0, 0};
  EXPECT(send(pair_[1], bytes, 1, 0) == 1);
  EXPECT(poll(&asked, 1, 10000) == 1 && (asked.revents & POLLHUP));
  close(pair_[1]);
  make_pair(SOCK_DGRAM);
}

// Nor is a socket left on its way to another process that a full Unix socket kept waiting.
static void leaps_out_of_a_passing(void) {
  int ends[2];
  char bytes[1000] = {0};
  union {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(int))];
  } control = {.head = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
  struct iovec piece = {bytes, 1};
  struct msghdr message = {
      .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  pthread_t self = pthread_self(), other;
  memcpy(CMSG_DATA(&control.head), &pair_[0], sizeof(int));
  EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  while (send(ends[0], bytes, sizeof bytes, MSG_DONTWAIT) > 0) continue;
  signal(SIGUSR1, leave);
  pthread_create(&other, NULL, signal_soon, &self);
  if (sigsetjmp(start, 1) == 0) {
    sendmsg(ends[0], &message, 0);
    EXPECT(!"left");
  }
  pthread_join(other, NULL);
  close(ends[0]), close(ends[1]);
}

int main(void) {
  alarm(90);
  run("leaps", leaps);
  run("leaps out of starts", leaps_out_of_starts);
  run("leaps out of execs", leaps_out_of_execs);
  run("leaps out of a close", leaps_out_of_a_close);
  run("leaps out of a passing", leaps_out_of_a_passing);
  return 0;
}
