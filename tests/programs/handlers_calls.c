// Signal handlers that open, name, poll, wait and close, and that fork: one line a scenario, to be compared
// with plain Linux.
#include "handlers.h"

// A connection from its first call to its last.
static void live(int kind) {
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof name;
  char byte = (char)kind;
  const int listener = socket(AF_INET, SOCK_STREAM, 0), near = socket(AF_INET, SOCK_STREAM, 0);
  EXPECT(bind(listener, (struct sockaddr*)&name, length) == 0);
  EXPECT(getsockname(listener, (struct sockaddr*)&name, &length) == 0 && listen(listener, 1) == 0);
  EXPECT(connect(near, (struct sockaddr*)&name, length) == 0);
  const int far = accept(listener, NULL, NULL);
  struct epoll_event interest = {.events = EPOLLIN, .data = {.fd = far}};
  EXPECT(far >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, far, &interest) == 0);
  EXPECT(send(near, &byte, 1, 0) == 1);
  struct pollfd asked = {far, POLLIN, 0};
  int polled = 0;
  do polled = poll(&asked, 1, 10000);
  while (polled < 0 && errno == EINTR);
  EXPECT(polled == 1);
  struct epoll_event found[8];
  const int count = epoll_wait(set, found, 8, 0);
  int ours = 0;
  for (int i = 0; i < count; ++i) ours += found[i].data.fd == far;
  EXPECT(ours == 1);
  EXPECT(recv(far, &byte, 1, MSG_DONTWAIT) == 1 && byte == (char)kind);
  EXPECT(close(near) == 0 && close(far) == 0 && close(listener) == 0);
}

static void lives(void) {
  struct Storm own;
  begin_storm(&own, 2, live);
  while (atomic_load(&own.run) < kOften) live(0);
  end_storm(&own);
}

// What the stack tells a wait that was interrupted, and what it tells the handler's own.
static void send_and_wait(int kind) {
  char byte = 0;
  struct pollfd nothing = {pair_[0], POLLIN, 0};
  EXPECT(poll(&nothing, 1, kind - 1) <= 0);
  EXPECT(send(pair_[0], &byte, 1, MSG_DONTWAIT) == 1);
}

// Nobody else sends, so each wait ends by its own handlers' bytes.
static void waits(void) {
  struct Storm own;
  struct epoll_event found, interest = {.events = EPOLLIN};
  CHECK(epoll_ctl(set, EPOLL_CTL_ADD, pair_[1], &interest) == 0);
  begin_storm(&own, 2, send_and_wait);
  char bytes[64];
  struct pollfd asked = {pair_[1], POLLIN, 0};
  while (atomic_load(&own.run) < kOften) {
    EXPECT(recv(pair_[1], bytes, sizeof bytes, 0) > 0);
    const int polled = poll(&asked, 1, -1);
    EXPECT(polled == 1 || errno == EINTR);
    const int waited = epoll_wait(set, &found, 1, -1);
    EXPECT(waited == 1 || errno == EINTR);
  }
  end_storm(&own);
}

static atomic_int born;

static void fork_and_send(int kind) {
  if (atomic_load(&born) >= kOften / 10) return;
  const pid_t child = _Fork();  // fork() may not be called in handlers
  const char byte = (char)(8 + kind);
  if (child == 0) _exit(send(pair_[0], &byte, 1, 0) == 1 ? 0 : 1);
  expect_success(child);
  atomic_fetch_add(&born, 1);
}

static void forks(void) {
  struct Storm own;
  begin_storm(&own, 2, fork_and_send);
  int children = 0;
  char byte = 0;
  while (children < kOften / 10) {
    EXPECT(send(pair_[0], "\1", 1, 0) == 1);
    while (recv(pair_[1], &byte, 1, MSG_DONTWAIT) == 1) children += byte > 8;
  }
  end_storm(&own);
}

static void fork_and_open(int kind) {
  (void)kind;
  if (atomic_load(&born) >= kOften / 10) return;
  const pid_t child = _Fork();
  if (child == 0) _exit(close(socket(AF_INET, SOCK_DGRAM, 0)) == 0 ? 0 : 1);
  expect_success(child);
  atomic_fetch_add(&born, 1);
}

// Most handlers find their thread starting a program.
static void spawns(void) {
  struct Storm own;
  atomic_store(&born, 0);
  begin_storm(&own, 2, fork_and_open);
  while (atomic_load(&born) < kOften / 10) {
    pid_t child = 0;
    EXPECT(start_nothing(&child) == 0);
    expect_success(child);
  }
  end_storm(&own);
}

static void send_now(int kind) {
  const char byte = (char)kind;
  EXPECT(send(pair_[0], &byte, 1, MSG_DONTWAIT) == 1 || errno == EAGAIN);
}

static void send_in_a_storm(void (*set_again)(int signal)) {
  struct Storm own;
  begin_storm(&own, 2, send_now);
  set_again(SIGUSR1), set_again(SIGUSR2);
  while (atomic_load(&own.run) < 4 * kOften) send_now(0);
  end_storm(&own);
}

// As the kernel says that it is set.
static void as_the_kernel_has_it(int signal) {
  struct {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
  } there;
  EXPECT(syscall(SYS_rt_sigaction, signal, NULL, &there, sizeof there.mask) == 0);
  struct sigaction action = {.sa_handler = there.handler, .sa_flags = SA_RESTART};
  EXPECT(sigaction(signal, &action, NULL) == 0);
}
static void kernels(void) {
  send_in_a_storm(as_the_kernel_has_it);
}

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // siginterrupt(), sigset()
static void by_sigset(int signal) {
  EXPECT(sigset(signal, on_signal) == on_signal);
}
static void by_second_name(int signal) {
  extern int __sigaction(int, const struct sigaction*, struct sigaction*);
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, found;
  EXPECT(__sigaction(signal, &action, &found) == 0 && found.sa_handler == on_signal);
}
static void older_names(void) {
  send_in_a_storm(by_sigset);
  send_in_a_storm(by_second_name);
}

// What is set is what is asked for.
static void others(int number) {
  (void)number;
}
static void actions(void) {
  struct sigaction action = {.sa_handler = others, .sa_flags = SA_RESETHAND}, found;
  EXPECT(sigaction(SIGUSR1, &action, NULL) == 0 && sigaction(SIGUSR1, NULL, &found) == 0);
  EXPECT(found.sa_handler == others && (found.sa_flags & SA_RESETHAND) && !(found.sa_flags & SA_SIGINFO));
  EXPECT(raise(SIGUSR1) == 0 && sigaction(SIGUSR1, NULL, &found) == 0 && found.sa_handler == SIG_DFL);
  EXPECT(signal(SIGUSR1, others) == SIG_DFL && signal(SIGUSR1, SIG_IGN) == others);
  EXPECT(signal(SIGUSR1, others) == SIG_IGN && siginterrupt(SIGUSR1, 1) == 0);
  EXPECT(sigaction(SIGUSR1, NULL, &found) == 0 && !(found.sa_flags & SA_RESTART));
  EXPECT(sigset(SIGUSR1, SIG_HOLD) == others && sigset(SIGUSR1, SIG_IGN) == SIG_HOLD);
  EXPECT(sigset(SIGUSR1, others) == SIG_IGN && sigset(SIGUSR1, SIG_DFL) == others);
  EXPECT(sigset(0, others) == SIG_ERR && errno == EINVAL);
  EXPECT(signal(SIGUSR1, others) == SIG_DFL && sigignore(SIGUSR1) == 0 && raise(SIGUSR1) == 0);
  EXPECT(signal(SIGUSR1, others) == SIG_IGN);
  EXPECT(sigaction(SIGKILL, &action, NULL) < 0 && errno == EINVAL && signal(0, others) == SIG_ERR);
}

int main(void) {
  alarm(90);
  run("lives", lives);
  run("waits", waits);
  run("forks", forks);
  run("spawns", spawns);
  run("kernels", kernels);
  run("older names", older_names);
  run("actions", actions);
  return 0;
}
