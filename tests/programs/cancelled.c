// Threads that are cancelled in blocking calls on sockets, and in calls that do not wait: one line each, to
// be compared with plain Linux.
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int listener, near_end, far_end, datagrams, set, ends[2], event[2];
static volatile int started, cleaned, ended;
static char bytes[100000];

static void clean(void* unused) {
  (void)unused;
  cleaned = 1;
}

#define CALLS(X)                                                      \
  X(read(far_end, bytes, 10))                                         \
  X(readv(far_end, &piece, 1))                                        \
  X(recv(far_end, bytes, 10, 0))                                      \
  X(recv(far_end, bytes, 10, MSG_WAITALL))                            \
  X(recvmsg(far_end, &message, 0))                                    \
  X(recvfrom(datagrams, bytes, 10, 0, NULL, NULL))                    \
  X(recv(far_end, bytes, 10, MSG_DONTWAIT))                           \
  X(send(near_end, bytes, sizeof bytes, 0))                           \
  X(write(near_end, bytes, sizeof bytes))                             \
  X(writev(near_end, &many, 1))                                       \
  X(send(near_end, bytes, 1, MSG_DONTWAIT))                           \
  X(accept(listener, NULL, NULL))                                     \
  X(poll(&asked, 1, -1))                                              \
  X(poll(both, 2, -1))                                                \
  X(poll(&asked, 1, 0))                                               \
  X(ppoll(&asked, 1, &minute, NULL))                                  \
  X(select(far_end + 1, one_in(&readers, far_end), NULL, NULL, NULL)) \
  X(epoll_wait(set, &found, 1, -1))                                   \
  X(epoll_wait(set, &found, 1, 0))                                    \
  X(splice(far_end, NULL, ends[1], NULL, 10, 0))                      \
  X(splice(ends[0], NULL, near_end, NULL, 10, 0))                     \
  X(syscall(SYS_recvfrom, far_end, bytes, 10, MSG_DONTWAIT, NULL, NULL))

#define NAME(call) #call,
#define NUMBER(call) +1
#define DO(call) \
  if (number == at++) (void)!(call);

static const char* const kNames[] = {CALLS(NAME)};
enum { kCalls = 0 CALLS(NUMBER) };

static fd_set* one_in(fd_set* descriptors, int fd) {
  FD_ZERO(descriptors);
  FD_SET(fd, descriptors);
  return descriptors;
}

static void* call_again_and_again(void* which) {
  const int number = *(int*)which;
  struct iovec piece = {bytes, 10}, many = {bytes, sizeof bytes};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
  struct pollfd asked = {far_end, POLLIN, 0}, both[] = {{far_end, POLLIN, 0}, {event[0], POLLIN, 0}};
  struct epoll_event found;
  struct timespec minute = {60, 0};
  fd_set readers;
  pthread_cleanup_push(clean, NULL);
  started = 1;
  while (!ended) {
    int at = 0;
    CALLS(DO)
  }
  pthread_cleanup_pop(0);
  return NULL;
}

// Whether it ended by being cancelled. Where that is no point of cancellation it is told to end.
static void try(int number, int is_point) {
  started = cleaned = ended = 0;
  pthread_t thread;
  pthread_create(&thread, NULL, call_again_and_again, &number);
  while (!started) usleep(1000);
  usleep(20000);  // so that most of them sleep
  pthread_cancel(thread);
  if (!is_point) {
    usleep(20000);
    ended = 1;
  }
  void* result = NULL;
  pthread_join(thread, &result);
  printf("%s: %s%s\n", kNames[number], result == PTHREAD_CANCELED ? "cancelled" : "ended",
         cleaned ? ", cleaned up" : "");
  fflush(stdout);
}

int main(void) {
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof name;
  listener = socket(AF_INET, SOCK_STREAM, 0);
  datagrams = socket(AF_INET, SOCK_DGRAM, 0);
  if (bind(listener, (struct sockaddr*)&name, length) ||
      getsockname(listener, (struct sockaddr*)&name, &length) || listen(listener, 5) || pipe(event))
    return 1;
  for (int number = 0; number < kCalls; ++number) {
    near_end = socket(AF_INET, SOCK_STREAM, 0);
    struct epoll_event interest = {.events = EPOLLIN};
    if (connect(near_end, (struct sockaddr*)&name, length) || (far_end = accept(listener, NULL, NULL)) < 0 ||
        pipe(ends) || (set = epoll_create1(0)) < 0 || epoll_ctl(set, EPOLL_CTL_ADD, far_end, &interest))
      return 1;
    try(number, number + 1 < kCalls);  // syscall() is no point of cancellation
    // What the thread waited for is as before.
    char byte = 0;
    (void)!send(near_end, "x", 1, MSG_DONTWAIT);
    struct pollfd asked = {far_end, POLLIN, 0};
    const int polled = poll(&asked, 1, 20000), waited = epoll_wait(set, &interest, 1, 20000);
    printf("  %d %d %d\n", polled, waited, (int)read(far_end, &byte, 1));
    close(near_end), close(far_end), close(set), close(ends[0]), close(ends[1]);
  }
  return 0;
}
