// Who has an epoll set, and what becomes of it and of its sleepers when one of them has it no more.
#include <fcntl.h>
#include <sys/eventfd.h>

#include "shared_epoll_case.hpp"
#include "sockets/client_epoll.hpp"
#include "sockets/client_epoll_set.hpp"
#include "sockets/client_exec.hpp"

namespace skerry::sockets {
namespace {

class EpollLifeTest : public SharedEpollTest {
 protected:
  EpollSet& shared() { return client::set_of(fd_index(client::entry_of(set))); }
  void until_so_many_sleep(uint32_t count) {
    while (shared().sleepers.load() != count) ::sched_yield();
  }
  // Asleep in the set for a while, without what it costs to be asleep.
  bool hears_nothing_and_does_nothing() {
    const auto before = cpu_time();
    return wait(300).empty() && cpu_time() - before < std::chrono::milliseconds(150);
  }
};
ON_KERNEL_AND_CLIENT(EpollLifeTest);

TEST_P(EpollLifeTest, ASetOutlivesItsMaker) {
  Child maker = child([&](Child& self) {
    set = os->epoll_create();
    Child heir = child([&](Child& second) {
      self.told();
      second.tell(add(b, EPOLLIN, 7) == 0 ? Events{{1, 1}} : Events{});
      self.tell(wait(kLimitMs));
      self.told();
    });
    self.tell({{static_cast<uint64_t>(heir.pid()), 0}});
    if (heir.told().size() == 1) ::raise(SIGKILL);
  });
  const auto heir = static_cast<pid_t>(maker.told().at(0).first);
  maker.go_on();
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(maker.pid()), &info, WEXITED | WNOWAIT), 0);
  // Sets of this process now, at the places of those that are free.
  int others[4];
  for (int& one : others) one = os->epoll_create();
  send(a, "x");
  EXPECT_EQ(maker.told(), (Events{{7, EPOLLIN}}));
  for (const int one : others) os->close(one);
  ::kill(heir, SIGKILL);
}

TEST_P(EpollLifeTest, WhoIsKilledInItsSleepTakesNoWakeUpAway) {
  ASSERT_EQ(add(b, EPOLLIN | EPOLLET, 7), 0);
  Child victim = child([&](Child&) { wait(kLimitMs); });
  Child other = child([&](Child& self) { self.tell(wait(kLimitMs)); });
  wait_for_sleep({victim.pid(), other.pid()});
  victim.end();
  send(a, "x");
  EXPECT_EQ(other.told(), (Events{{7, EPOLLIN}}));
  if (!is_client()) return;
  const EpollSet& shared = client::set_of(fd_index(client::entry_of(set)));
  do {
    wait(1);
  } while (shared.sleepers.load() != 0);  // once the stack has heard of it
}

// The next child has its slot at once.
TEST_P(EpollLifeTest, WhoComesToAKilledSleepersSlotDoesNotSleepInItsPlace) {
  if (!is_client()) return;
  Child victim = child([&](Child&) { wait(kLimitMs); });
  until_so_many_sleep(1);
  uint32_t slot = 0;
  while (client::state.view.process_ids()[slot].load() != static_cast<uint32_t>(victim.pid())) ++slot;
  victim.end();
  while (client::state.view.process_ids()[slot].load() != 0) ::sched_yield();
  Child next = child([&](Child& self) {
    self.go_on();
    self.told();
  });
  next.told();
  wait(1);
  EXPECT_EQ(shared().sleepers.load(), 0u);
}

// As a thread of a process leaves it that another one turns into another program.
TEST_P(EpollLifeTest, WhoExecutesAnotherProgramDoesNotSleepOn) {
  if (!is_client()) return;
  Child other = child([&](Child&) {
    client::arm_epoll(set);
    const client::Executing executing;
    ::execl("/bin/sleep", "sleep", "60", nullptr);
  });
  until_so_many_sleep(1);
  for (int turn = 0; turn < kLimitMs && shared().sleepers.load() != 0; ++turn) wait(1);
  EXPECT_EQ(shared().sleepers.load(), 0u);
}

// As where there was no descriptor left for it at the fork: it cannot empty the pipe.
TEST_P(EpollLifeTest, WhoHasNoEndOfTheSetsPipeHearsAndDoesNotSpin) {
  if (!is_client()) return;
  ASSERT_EQ(add(b, EPOLLIN, 7), 0);
  Child other = child([&](Child& self) {
    client::forget_doorbell(fd_index(client::entry_of(set)));
    self.tell(wait(kLimitMs));
    receive(b);
    self.tell(hears_nothing_and_does_nothing() ? Events{} : Events{{0, 1}});
    self.told();
  });
  until_so_many_sleep(1);
  send(a, "x");
  EXPECT_EQ(other.told(), (Events{{7, EPOLLIN}}));
  EXPECT_EQ(other.told(), Events{});
}

// A set that one process puts into it is not in it for the other, whom the kernel tells of it all the same.
TEST_P(EpollLifeTest, ASetThatIsPutIntoItAfterTheForkMakesNobodySpin) {
  if (!is_client()) return;
  Child other = child([&](Child& self) {
    self.told();
    self.tell(hears_nothing_and_does_nothing() ? Events{} : Events{{0, 1}});
    self.told();
  });
  const int inner = os->epoll_create(), event = ::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
  const epoll_event input{.events = EPOLLIN, .data = {.u64 = 2}};
  ASSERT_EQ(os->epoll_ctl(inner, EPOLL_CTL_ADD, event, &input), 0);
  ASSERT_EQ(add(inner, EPOLLIN, 9), 0);
  EXPECT_EQ(wait(kLimitMs), (Events{{9, EPOLLIN}}));
  other.go_on();
  EXPECT_EQ(other.told(), Events{});
  os->close(inner);
  ::close(event);
}

TEST_P(EpollLifeTest, ASocketStaysInTheSetAsLongAsOneOfThemHasIt) {
  ASSERT_EQ(add(b, EPOLLIN, 7), 0);
  Child other = child([&](Child& self) {
    self.told();
    os->close(b);
    self.tell({});
    self.told();
  });
  send(a, "x");
  os->close(b);
  EXPECT_EQ(wait(kLimitMs), (Events{{7, EPOLLIN}}));
  other.go_on();
  other.told();
  EXPECT_EQ(wait(0), Events{});
}

// A child that is promised holds what it will inherit before it has said a word.
TEST(EpollLife, ASocketStaysInTheSetForAChildThatIsNotThereYet) {
  AttachedClient attached;
  const std::unique_ptr<Os> os = client_os();
  const int set = os->epoll_create(), socket = os->socket(AF_INET, SOCK_STREAM);
  const epoll_event interest{.events = EPOLLOUT, .data = {.u64 = 7}};
  ASSERT_EQ(os->epoll_ctl(set, EPOLL_CTL_ADD, socket, &interest), 0);
  client::fork_prepare();
  os->close(socket);
  epoll_event found{};
  EXPECT_EQ(os->epoll_wait(set, &found, 1, 0), 1);
  client::fork_parent();  // and no child came of it
  while (os->epoll_wait(set, &found, 1, 0) != 0) ::sched_yield();
  os->close(set);
}

TEST(EpollLife, ASetThatNobodyHasAnyMoreIsFreed) {
  AttachedClient attached;
  const std::unique_ptr<Os> os = client_os();
  const auto in_use = [&] {
    uint32_t count = 0;
    for (uint32_t waiter = 0; waiter < client::state.size.waiters; ++waiter)
      count += client::state.view.waiter_owners()[waiter].load() >= kSetOwner;
    return count;
  };
  const int set = os->epoll_create();
  int told[2];
  ASSERT_EQ(::pipe2(told, O_CLOEXEC), 0);
  for (const bool is_killed : {false, true}) {
    client::fork_prepare();
    const pid_t child = ::fork();
    if (child == 0) {
      client::fork_child();
      const int own = os->epoll_create();
      char byte = 'x';
      if (::write(told[1], &byte, 1) != 1) ::_exit(1);
      if (is_killed) ::pause();
      os->close(set);
      os->close(own);
      ::_exit(0);
    }
    client::fork_parent();
    char byte = 0;
    ASSERT_EQ(::read(told[0], &byte, 1), 1);
    EXPECT_GE(in_use(), is_killed ? 2u : 1u);
    if (is_killed) ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  while (in_use() != 1) ::sched_yield();  // the stack hears of the kill
  os->close(set);
  EXPECT_EQ(in_use(), 0u);
  ::close(told[0]);
  ::close(told[1]);
}

}  // namespace
}  // namespace skerry::sockets
