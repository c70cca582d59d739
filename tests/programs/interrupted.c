// Blocking calls on sockets that a signal handler interrupts: what they give, with and without SA_RESTART and
// time-outs of the socket, before and after some bytes have moved. One line a call, to be compared with plain
// Linux (signal(7)). No time is waited for: the signal comes once the thread sleeps, and what the call waits
// for once it has returned or sleeps again.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static int listener, near_end, far_end, datagrams, set, ends[2], file;
static struct sockaddr_in name, own_name;
static volatile int handled, called, calling;  // a call has begun, and has not returned
static pthread_t caller;
static pid_t caller_id;
enum { kMuch = 32 << 20 };
static char* bytes;

static void count(int signal) {
  (void)signal;
  ++handled;
}

// ---- what a call finds

static void nothing(void) {}

static void have_one_byte(void) {
  struct pollfd asked = {far_end, POLLIN, 0};
  (void)!send(near_end, bytes, 1, 0), poll(&asked, 1, -1);
}

static void have_one_datagram(void) {
  struct pollfd asked = {datagrams, POLLIN, 0};
  sendto(datagrams, bytes, 1, 0, (struct sockaddr*)&own_name, sizeof own_name), poll(&asked, 1, -1);
}

// ACKs that are on their way make room again.
static void be_full(void) {
  for (int sent = 1; sent != 0; usleep(50000)) {
    sent = 0;
    for (int most = 1 << 16; most > 0; most >>= 4)
      while (send(near_end, bytes, (size_t)most, MSG_DONTWAIT) > 0) ++sent;
  }
}

static void be_full_and_have_a_pipe(void) {
  be_full();
  (void)!write(ends[1], bytes, 100);
}

// ---- what ends its wait; some of them go on until it has returned

static void give(void) {
  (void)!send(near_end, bytes, 10, 0);
}
static void give_datagrams(void) {
  for (int i = 0; i < 2; ++i) sendto(datagrams, bytes, 10, 0, (struct sockaddr*)&own_name, sizeof own_name);
}
static void drain(void) {
  static char room[1 << 16];
  while (calling) {
    if (recv(far_end, room, sizeof room, MSG_DONTWAIT) < 0) usleep(100);
  }
}
static void fill_the_pipe(void) {
  (void)!write(ends[1], bytes, 10);
}
static void come(void) {
  const int one = socket(AF_INET, SOCK_STREAM, 0);
  connect(one, (struct sockaddr*)&name, sizeof name);
}

#define CALLS(X)                                                                                  \
  X(read(far_end, bytes, 10), nothing, give)                                                      \
  X(readv(far_end, &piece, 1), nothing, give)                                                     \
  X(recv(far_end, bytes, 10, 0), nothing, give)                                                   \
  X(recv(far_end, bytes, 10, MSG_PEEK), nothing, give)                                            \
  X(recv(far_end, bytes, 10, MSG_WAITALL), nothing, give)                                         \
  X(recv(far_end, bytes, 10, MSG_WAITALL), have_one_byte, give)                                   \
  X(recvmsg(far_end, &message, 0), nothing, give)                                                 \
  X(recvmsg(far_end, &message, MSG_WAITALL), have_one_byte, give)                                 \
  X(recvfrom(datagrams, bytes, 10, 0, NULL, NULL), nothing, give_datagrams)                       \
  X(recvmsg(datagrams, &message, 0), nothing, give_datagrams)                                     \
  X(recvmmsg(datagrams, messages, 2, 0, NULL), nothing, give_datagrams)                           \
  X(recvmmsg(datagrams, messages, 2, 0, NULL), have_one_datagram, give_datagrams)                 \
  X(write(near_end, bytes, 1), be_full, drain)                                                    \
  X(writev(near_end, &piece, 1), be_full, drain)                                                  \
  X(send(near_end, bytes, 1, 0), be_full, drain)                                                  \
  X(sendmsg(near_end, &message, 0), be_full, drain)                                               \
  X(sendmmsg(near_end, messages, 2, 0), be_full, drain)                                           \
  X(send(near_end, bytes, kMuch, 0), nothing, drain)                                              \
  X(write(near_end, bytes, kMuch), nothing, drain)                                                \
  X(writev(near_end, &much, 1), nothing, drain)                                                   \
  X(sendfile(near_end, file, &offset, 10), be_full, drain)                                        \
  X(sendfile(near_end, file, &offset, kMuch), nothing, drain)                                     \
  X(splice(far_end, NULL, ends[1], NULL, 10, 0), nothing, give)                                   \
  X(splice(ends[0], NULL, near_end, NULL, 10, 0), nothing, fill_the_pipe)                         \
  X(splice(ends[0], NULL, near_end, NULL, 10, 0), be_full_and_have_a_pipe, drain)                 \
  X(accept(listener, NULL, NULL) >= 0 ? 0 : -1, nothing, come)                                    \
  X(poll(&asked, 1, -1), nothing, give)                                                           \
  X(poll(&asked, 1, 60000), nothing, give)                                                        \
  X(poll(both, 2, -1), nothing, give)                                                             \
  X(ppoll(&asked, 1, &minute, NULL), nothing, give)                                               \
  X(ppoll(&asked, 1, NULL, &no_signals), nothing, give)                                           \
  X(select(far_end + 1, in(&readers, far_end), NULL, NULL, NULL), nothing, give)                  \
  X(select(far_end + 1, in(&readers, far_end), NULL, NULL, &time), nothing, give)                 \
  X(pselect(far_end + 1, in(&readers, far_end), NULL, NULL, &minute, &no_signals), nothing, give) \
  X(epoll_wait(set, &found, 1, -1), nothing, give)                                                \
  X(epoll_wait(set, &found, 1, 60000), nothing, give)                                             \
  X(epoll_pwait(set, &found, 1, -1, &no_signals), nothing, give)                                  \
  X(epoll_pwait2(set, &found, 1, &minute, NULL), nothing, give)

#define NAME(call, before, after) #call,
#define BEFORE(call, before, after) before,
#define AFTER(call, before, after) after,
#define BEFORE_NAME(call, before, after) #before,
#define DO(call, before, after) \
  if (number == at++) result = (call);

static const char* const kNames[] = {CALLS(NAME)};
static const char* const kFound[] = {CALLS(BEFORE_NAME)};
static void (*const kBefore[])(void) = {CALLS(BEFORE)};
static void (*const kAfter[])(void) = {CALLS(AFTER)};
enum { kCalls = sizeof kNames / sizeof *kNames };

static fd_set* in(fd_set* descriptors, int fd) {
  FD_ZERO(descriptors);
  FD_SET(fd, descriptors);
  return descriptors;
}

static long make(int number) {
  struct iovec piece = {bytes, 10}, much = {bytes, kMuch};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
  struct mmsghdr messages[2] = {{.msg_hdr = message}, {.msg_hdr = message}};
  struct pollfd asked = {far_end, POLLIN, 0}, both[] = {{far_end, POLLIN, 0}, {ends[0], POLLIN, 0}};
  struct epoll_event found;
  struct timespec minute = {60, 0};
  struct timeval time = {60, 0};
  sigset_t no_signals;
  sigemptyset(&no_signals);
  fd_set readers;
  off_t offset = 0;
  int at = 0;
  long result = -1;
  CALLS(DO)
  return result;
}

// Whether the thread has slept at several looks, or the call is over.
static void wait_for_sleep(void) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", caller_id);
  for (int asleep = 0; asleep < 5 && calling; usleep(2000)) {
    char line[256] = "";
    FILE* const stat = fopen(path, "r");
    if (stat == NULL || fgets(line, sizeof line, stat) == NULL) return;
    fclose(stat);
    const char* const end = strrchr(line, ')');
    asleep = end != NULL && end[2] == 'S' ? asleep + 1 : 0;
  }
}

static void* interrupt(void* number) {
  while (!called) usleep(100);
  wait_for_sleep();
  pthread_kill(caller, SIGUSR1);
  while (!handled) usleep(100);
  wait_for_sleep();
  if (calling) kAfter[*(int*)number]();
  return NULL;
}

static void check(int good, const char* what) {
  if (!good) perror(what), exit(1);
}

static void try(int number, int restarts, int limited) {
  struct sigaction action = {.sa_handler = count, .sa_flags = restarts ? SA_RESTART : 0};
  sigaction(SIGUSR1, &action, NULL);
  socklen_t length = sizeof name;
  name = own_name = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  listener = socket(AF_INET, SOCK_STREAM, 0);
  datagrams = socket(AF_INET, SOCK_DGRAM, 0);
  check(!bind(listener, (struct sockaddr*)&name, length) && !listen(listener, 1) &&
            !getsockname(listener, (struct sockaddr*)&name, &length) &&
            !bind(datagrams, (struct sockaddr*)&own_name, length) &&
            !getsockname(datagrams, (struct sockaddr*)&own_name, &length) && !pipe(ends),
        "names");
  near_end = socket(AF_INET, SOCK_STREAM, 0);
  struct epoll_event interest = {.events = EPOLLIN};
  check(!connect(near_end, (struct sockaddr*)&name, sizeof name), "connect");
  far_end = accept(listener, NULL, NULL);
  set = epoll_create1(0);
  check(far_end >= 0 && !epoll_ctl(set, EPOLL_CTL_ADD, far_end, &interest), "accept");
  const struct timeval limit = {60, 0};
  const int all[] = {listener, near_end, far_end, datagrams};
  for (int i = 0; limited && i < 4; ++i) {
    setsockopt(all[i], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(all[i], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }
  kBefore[number]();
  pthread_t helper;
  handled = called = 0;
  pthread_create(&helper, NULL, interrupt, &number);
  calling = called = 1;
  const long result = make(number);
  const int error = errno;
  calling = 0;
  pthread_join(helper, NULL);
  printf("%s, %s%s%s: ", kNames[number], kFound[number], restarts ? ", SA_RESTART" : "",
         limited ? ", time-outs" : "");
  if (result < 0)
    printf("%s\n", strerrorname_np(error));
  else
    printf(result == kMuch ? "all\n" : result > 1000 ? "some\n" : "%ld\n", result);
  fflush(stdout);
  const int last = socket(AF_INET, SOCK_DGRAM, 0);
  for (int fd = listener; fd <= last; ++fd) close(fd);
}

int main(void) {
  alarm(100);
  caller = pthread_self();
  caller_id = getpid();
  bytes = calloc(1, kMuch);
  file = memfd_create("interrupted", 0);
  check(bytes != NULL && file >= 0 && ftruncate(file, kMuch) == 0, "memory");
  for (int number = 0; number < kCalls; ++number)
    for (int way = 0; way < 4; ++way) try(number, way & 1, way >> 1);
  return 0;
}
