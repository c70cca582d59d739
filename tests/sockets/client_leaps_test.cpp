// Handlers that leave calls by siglongjmp(), before they sleep, in their sleep and behind it, and while
// another leap is undone: nothing is left behind.
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "client_case.hpp"
#include "sockets/client_epoll.hpp"
#include "sockets/client_epoll_set.hpp"
#include "sockets/client_exec.hpp"
#include "sockets/client_wait.hpp"

namespace skerry::sockets {
namespace {

constexpr int kTimes = 3000;

sigjmp_buf place;
volatile sig_atomic_t may_leave = 0;
volatile int times = 0;

// As the preload library's.
void leave(int, siginfo_t* info, void* context) {
  auto& mask = *reinterpret_cast<uint64_t*>(&static_cast<ucontext_t*>(context)->uc_sigmask);
  if (client::put_off(*info, mask) || may_leave == 0) return;
  may_leave = 0;
  siglongjmp(place, 1);
}

class LeapsTest : public ConnectedCase {
 protected:
  void SetUp() override {
    ConnectedCase::SetUp();
    struct sigaction leaving {};
    leaving.sa_sigaction = leave;
    leaving.sa_flags = SA_SIGINFO;
    ::sigaction(SIGUSR1, &leaving, &before_);
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGUSR1;
    event._sigev_un._tid = ::gettid();
    ASSERT_EQ(::timer_create(CLOCK_MONOTONIC, &event, &timer_), 0);
    EXPECT_EQ(wait_for(b_, POLLOUT), POLLOUT);  // so that this thread has its waiter
    waiters_ = waiters_in_use();
  }
  void TearDown() override {
    ::timer_delete(timer_);
    ::sigaction(SIGUSR1, &before_, nullptr);
    ConnectedCase::TearDown();
  }
  // The call waits for ever, and is left after one microsecond, or two, up to fifty.
  template <class Call>
  void leave_often(Call call) {
    for (times = 0; times < kTimes; times = times + 1) {
      if (sigsetjmp(place, 1) != 0) continue;
      may_leave = 1;
      const itimerspec soon{.it_interval = {},
                            .it_value = {.tv_sec = 0, .tv_nsec = 1000 + times % 50 * 1000}};
      ::timer_settime(timer_, 0, &soon, nullptr);
      call();
    }
    EXPECT_EQ(waiters_in_use(), waiters_);
    int type = -1;
    EXPECT_EQ(::pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type), 0);
    EXPECT_EQ(type, PTHREAD_CANCEL_DEFERRED);
  }
  // Whether it was.
  template <class Call>
  [[gnu::noinline]] bool leave_once(Call call) {
    may_leave = 1;
    if (sigsetjmp(place, 1) != 0) return true;
    call();
    return false;
  }
  static long waiters_in_use() {
    const auto* const owners = client::state.view.waiter_owners();
    return std::count_if(owners, owners + client::state.size.waiters,
                         [](const auto& owner) { return owner.load() != 0; });
  }
  uint32_t watchers_of(int fd) {
    uint32_t count = 0;
    for (const auto& watcher : client::state.in[client::socket_of(fd)].watchers) count += watcher.load() != 0;
    return count;
  }

  timer_t timer_{};
  struct sigaction before_ {};
  long waiters_ = 0;
};
INSTANTIATE_TEST_SUITE_P(All, LeapsTest, ::testing::Values("client"), case_name);

TEST_P(LeapsTest, OutOfAReceive) {
  char byte;
  leave_often([&] { os->receive(b_, &byte, 1, 0); });
  EXPECT_EQ(watchers_of(b_), 0u);
}

TEST_P(LeapsTest, OutOfAPoll) {
  pollfd asked{.fd = b_, .events = POLLIN, .revents = 0};
  leave_often([&] { os->poll(&asked, 1, -1); });
  EXPECT_EQ(watchers_of(b_), 0u);
}

TEST_P(LeapsTest, OutOfAWaitForASet) {
  const int set = os->epoll_create();
  epoll_event interest{.events = EPOLLIN, .data = {.u64 = 1}}, found;
  EXPECT_EQ(os->epoll_ctl(set, EPOLL_CTL_ADD, b_, &interest), 0);
  ++waiters_;
  leave_often([&] { os->epoll_wait(set, &found, 1, -1); });
  EXPECT_EQ(client::set_of(fd_index(client::entry_of(set))).sleepers.load(), 0u);
  pollfd asked{.fd = set, .events = POLLIN, .revents = 0};
  leave_often([&] { os->poll(&asked, 1, -1); });
  EXPECT_EQ(client::set_of(fd_index(client::entry_of(set))).sleepers.load(), 0u);
  os->close(set);
}

// In a frame of its own, as in the preload library: what is undone lies beyond the one that is gone back to.
[[gnu::noinline]] void execute_for_ever() {
  const client::Executing executing;
  client::system_call(SYS_ppoll, 0, 0, 0, 0, 0);
}

TEST_P(LeapsTest, OutOfAnExec) {
  const auto descriptors = [] {
    return std::count_if(client::state.fds, client::state.fds + 1024,
                         [](const auto& entry) { return entry.load() != 0; });
  };
  const long before = descriptors();
  leave_often(execute_for_ever);
  EXPECT_EQ(descriptors(), before);
  EXPECT_EQ(client::state.view.process(client::state.slot).executing.load(), 0u);
}

int become_another_program(void*) {
  const client::Executing executing;
  char name[] = "true";
  char* const words[] = {name, nullptr};
  ::execv("/bin/true", words);
  ::_exit(1);
}

[[gnu::noinline]] int status_of_a_child_on_our_stack() {
  alignas(16) char stack[32 << 10];
  const int child =
      ::clone(become_another_program, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, nullptr);
  int status = -1;
  ::waitpid(child, &status, 0);
  return status;
}
[[gnu::noinline]] void leave_from_below() {
  volatile char used[64 << 10];
  for (volatile char& each : used) each = '\xff';
  ::raise(SIGUSR1);
}

// Its stack is gone then, and with it what would be undone.
TEST_P(LeapsTest, BehindAChildThatSharedOurMemoryAndBecameAnotherProgram) {
  ASSERT_EQ(status_of_a_child_on_our_stack(), 0);
  may_leave = 1;
  if (sigsetjmp(place, 1) == 0) leave_from_below();
  EXPECT_EQ(may_leave, 0);
}

std::atomic<uint32_t>* set_lock = nullptr;
std::atomic<uint32_t> holder = 0;

// In the name of another thread, so that its own waits where it takes the lock next.
void lock_the_set(int, siginfo_t* info, void* context) {
  auto& mask = *reinterpret_cast<uint64_t*>(&static_cast<ucontext_t*>(context)->uc_sigmask);
  if (!client::put_off(*info, mask)) set_lock->store(holder);
}

// Two signals come where the woken thread waits for the lock: to take what rang, and to leave the sleepers.
// So each handler runs when that is done.
TEST_P(LeapsTest, BehindASleepInASetWakeWhoSleepsThereToo) {
  const auto a_while = std::chrono::milliseconds(20);
  const int set = os->epoll_create();
  epoll_event interest{.events = EPOLLIN, .data = {.u64 = 1}}, found;
  ASSERT_EQ(os->epoll_ctl(set, EPOLL_CTL_ADD, b_, &interest), 0);
  client::arm_epoll(set);  // another thread polls the set
  EpollSet& words = client::set_of(fd_index(client::entry_of(set)));
  set_lock = &words.lock;
  holder = 0;
  struct sigaction locking {
  }, before{};
  locking.sa_sigaction = lock_the_set;
  locking.sa_flags = SA_SIGINFO;
  ::sigaction(SIGUSR2, &locking, &before);
  std::thread other([&, sleeper = pthread_self()] {
    const auto self = static_cast<uint32_t>(::gettid());
    while (words.sleepers.load() != 2) std::this_thread::yield();
    std::this_thread::sleep_for(a_while);
    for (uint32_t free = 0; !words.lock.compare_exchange_weak(free, self); free = 0) {
    }
    send(a_, "x");
    std::this_thread::sleep_for(a_while);
    ::pthread_kill(sleeper, SIGUSR2);
    std::this_thread::sleep_for(a_while);
    holder = self;
    words.lock = 0;
    while (words.lock.load() != self) std::this_thread::yield();
    std::this_thread::sleep_for(a_while);
    ::pthread_kill(sleeper, SIGUSR1);
    std::this_thread::sleep_for(a_while);
    words.lock = 0;
  });
  EXPECT_TRUE(leave_once([&] { os->epoll_wait(set, &found, 1, 20'000); }));
  other.join();
  EXPECT_EQ(words.sleepers.load(), 1u);
  pollfd asked{.fd = set, .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&asked, 1, 0), 1);
  client::disarm_epoll(set);
  ::sigaction(SIGUSR2, &before, nullptr);
  os->close(set);
}

int begun = 0, ended = 0, begun_behind = 0;

void leap(int signal, siginfo_t* info, void* context) {
  auto& mask = *reinterpret_cast<uint64_t*>(&static_cast<ucontext_t*>(context)->uc_sigmask);
  if (!client::put_off(*info, mask)) siglongjmp(place, signal);
}

[[gnu::noinline]] void begin_to_leap() {
  const auto undo = [](void*) {
    ++begun;
    ::raise(SIGUSR2);
    ++ended;
  };
  const client::Undo behind([](void*) { ++begun_behind; }, nullptr);
  const client::Undo first(undo, nullptr);
  ::raise(SIGUSR1);
}

// Which signal's handler did at last.
[[gnu::noinline]] int leap_in_the_middle_of_a_leap() {
  switch (sigsetjmp(place, 1)) {
    case 0:
      begin_to_leap();
      return 0;
    case SIGUSR2:
      return SIGUSR2;
    default:
      return SIGUSR1;
  }
}

TEST(Undoing, IsWholeAndDoneOnceThoughAnotherHandlerLeapsMeanwhile) {
  struct sigaction leaping {};
  leaping.sa_sigaction = leap;
  leaping.sa_flags = SA_SIGINFO;
  for (const int signal : {SIGUSR1, SIGUSR2}) ::sigaction(signal, &leaping, nullptr);
  begun = ended = begun_behind = 0;
  EXPECT_EQ(leap_in_the_middle_of_a_leap(), SIGUSR2);
  EXPECT_EQ(begun, 1);
  EXPECT_EQ(ended, 1);
  EXPECT_EQ(begun_behind, 1);
  for (const int signal : {SIGUSR1, SIGUSR2}) ::signal(signal, SIG_DFL);
}

}  // namespace
}  // namespace skerry::sockets
