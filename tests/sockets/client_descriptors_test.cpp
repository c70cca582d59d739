// Numbers, duplicates, forks: who holds a socket, and what happens when the last one lets go.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "client_case.hpp"
#include "sockets/client_anchor.hpp"
#include "sockets/client_call.hpp"
#include "sockets/client_descriptors.hpp"

namespace skerry::sockets {
namespace {

class DescriptorTest : public OsCase {};
ON_KERNEL_AND_CLIENT(DescriptorTest);

TEST_P(DescriptorTest, NumbersAreTheLowestFree) {
  const int first = os->socket(AF_INET, SOCK_STREAM);
  const int second = os->socket(AF_INET, SOCK_STREAM);
  EXPECT_GT(second, first);
  os->close(first);
  EXPECT_EQ(os->socket(AF_INET, SOCK_STREAM), first);
  const int file = ::open("/dev/null", O_RDONLY);
  EXPECT_GT(file, second);
  os->close(first);
  EXPECT_EQ(::open("/dev/null", O_RDONLY), first);
  for (const int fd : {first, second, file}) os->close(fd);
}

TEST_P(DescriptorTest, AreSocketsWithTheirFlags) {
  const int fd = os->socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK);
  struct stat facts {};
  EXPECT_EQ(::fstat(fd, &facts), 0);
  EXPECT_TRUE(S_ISSOCK(facts.st_mode));
  EXPECT_EQ(os->fcntl(fd, F_GETFD, 0), FD_CLOEXEC);
  EXPECT_EQ(os->fcntl(fd, F_GETFL, 0), O_RDWR | O_NONBLOCK);
  const int copy = os->fcntl(fd, F_DUPFD, 100);
  EXPECT_GE(copy, 100);
  EXPECT_EQ(os->fcntl(copy, F_GETFD, 0), 0);
  EXPECT_EQ(os->fcntl(copy, F_SETFL, 0), 0);
  EXPECT_EQ(os->fcntl(fd, F_GETFL, 0), O_RDWR) << "duplicates share O_NONBLOCK";
  os->close(fd);
  os->close(copy);
  EXPECT_EQ(os->close(copy), -EBADF);
}

TEST_P(DescriptorTest, StreamEndsWithTheLastDuplicate) {
  const auto [a, b] = connection();
  const int copy = os->dup(a);
  os->close(a);
  EXPECT_EQ(send(copy, "x"), 1);
  EXPECT_EQ(receive(b), "x");
  os->close(copy);
  EXPECT_EQ(receive(b), "");
  os->close(b);
}

TEST_P(DescriptorTest, Dup2ReplacesWhatWasThere) {
  const auto [a, b] = connection();
  const auto [c, d] = connection();
  EXPECT_EQ(os->dup2(a, c), c);
  EXPECT_EQ(receive(d), "") << "the replaced socket had no other descriptor";
  EXPECT_EQ(send(c, "x"), 1);
  EXPECT_EQ(receive(b), "x");
  EXPECT_EQ(os->dup2(a, a), a);
  EXPECT_EQ(os->dup2(999, a), -EBADF);
  const int file = ::open("/dev/null", O_RDONLY);
  EXPECT_EQ(os->dup2(file, c), c);
  struct stat facts {};
  EXPECT_EQ(::fstat(c, &facts), 0);
  EXPECT_TRUE(S_ISCHR(facts.st_mode));
  for (const int fd : {a, b, c, d, file}) EXPECT_EQ(os->close(fd), 0);
}

// redis BGSAVE: the child closes the listener, the parent must not notice.
TEST_P(DescriptorTest, ForkedChildClosesOnlyItsOwn) {
  uint16_t port = 0;
  const int listening = listener(port);
  if (is_client()) client::fork_prepare();
  const pid_t child = ::fork();
  if (child == 0) {
    if (is_client()) client::fork_child();
    os->close(listening);
    ::_exit(0);
  }
  if (is_client()) client::fork_parent();
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  const int one = connect_to(port);
  const int other = os->accept(listening, nullptr, nullptr, 0);
  EXPECT_GE(other, 0);
  for (const int fd : {listening, one, other}) os->close(fd);
}

// Fork, open, kill the parent: the peer sees the end when the last holder is gone, not before.
TEST_P(DescriptorTest, ForkedChildHoldsTheStream) {
  const auto [a, b] = connection();
  int go[2];
  ASSERT_EQ(::pipe(go), 0);
  if (is_client()) client::fork_prepare();
  const pid_t child = ::fork();
  if (child == 0) {
    if (is_client()) client::fork_child();
    os->close(b);
    char byte;
    if (::read(go[0], &byte, 1) == 1) send(a, "from the child");
    ::raise(SIGKILL);
  }
  if (is_client()) client::fork_parent();
  os->close(a);
  EXPECT_EQ(receive(b, 10, MSG_DONTWAIT), "error 11");
  EXPECT_EQ(::write(go[1], "x", 1), 1);
  EXPECT_EQ(receive(b), "from the child");
  EXPECT_EQ(receive(b), "");
  ::waitpid(child, nullptr, 0);
  for (const int fd : {go[0], go[1]}) ::close(fd);
  os->close(b);
}

// Another thread is between the stack's answer to socket() and the descriptor when this one forks.
TEST(ClientDescriptors, AForkedChildHoldsOnlyWhatItsTableSays) {
  AttachedClient attached;
  client::Request request{.op = Op::open};
  request.value[0] = 1;
  const int socket = client::call(request);
  ASSERT_GE(socket, 0);
  int go[2];
  ASSERT_EQ(::pipe(go), 0);
  client::fork_prepare();
  const pid_t child = ::fork();
  if (child == 0) {
    client::fork_child();
    char byte;
    ::close(go[1]);
    ::_exit(::read(go[0], &byte, 1) == 0 ? 0 : 1);
  }
  client::fork_parent();
  const int fd = client::install(static_cast<uint32_t>(socket), true);
  client::close(fd);
  for (int i = 0; i < 20'000 && attached.stack().sockets_in_use() != 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(attached.stack().sockets_in_use(), 0u) << "the child holds what the parent has closed";
  for (const int end : go) ::close(end);
  ::waitpid(child, nullptr, 0);
}

TEST(ClientDescriptors, CloseRangeSparesOurOwn) {
  AttachedClient attached;
  const std::unique_ptr<Os> os = client_os();
  const int fd = os->socket(AF_INET, SOCK_STREAM);
  const int file = ::open("/dev/null", O_RDONLY);
  // Only what this test opened and all that is ours: the fake stack lives in this process too.
  const auto low = static_cast<uint32_t>(std::min(fd, file));
  EXPECT_EQ(client::close_range(low, static_cast<uint32_t>(std::max(fd, file)), 0), 0);
  EXPECT_EQ(::fcntl(file, F_GETFD), -1);
  EXPECT_EQ(client::entry_of(fd), 0u);
  const auto anchor = static_cast<uint32_t>(client::state.anchor);
  EXPECT_EQ(client::close_range(anchor, anchor, 0), 0);
  EXPECT_EQ(client::close(client::state.anchor), -EBADF);
  EXPECT_GE(::fcntl(client::state.anchor, F_GETFD), 0);
  const int again = os->socket(AF_INET, SOCK_STREAM);
  EXPECT_GE(again, 0);
  EXPECT_EQ(client::dup3(again, client::state.anchor, 0), -EBUSY);
  os->close(again);
}

TEST(ClientDescriptors, EverySocketIsGivenBack) {
  AttachedClient attached;
  const std::unique_ptr<Os> os = client_os();
  for (int round = 0; round < 1000; ++round) {
    const int fd = os->socket(AF_INET, round % 2 ? SOCK_STREAM : SOCK_DGRAM);
    ASSERT_GE(fd, 0) << round;
    ASSERT_EQ(os->close(fd), 0);
  }
  for (int i = 0; i < 20'000 && attached.stack().sockets_in_use() != 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(attached.stack().sockets_in_use(), 0u);
}

// close() does not wait for its answer; the answers' places must not run out, neither within a process nor
// from one image to the next.
TEST(ClientDescriptors, CallSlotsAreGivenBack) {
  AttachedClient attached;
  const std::unique_ptr<Os> os = client_os();
  const auto busy = [&] {
    uint32_t count = 0;
    for (uint32_t i = 0; i < attached.stack().view().size().calls; ++i)
      count += attached.stack().view().call(i).state.load() != kCallFree;
    return count;
  };
  for (int round = 0; round < 200; ++round) {
    int fds[8];
    for (int& fd : fds) fd = os->socket(AF_INET, SOCK_STREAM);
    for (const int fd : fds) os->close(fd);
  }
  EXPECT_LE(busy(), 16u);
  client::detach();
  ASSERT_EQ(client::attach(AttachedClient::name().c_str()), client::Attach::attached);
  EXPECT_EQ(busy(), 0u);
}

// The stack has given the reference, and then there is no number for it.
TEST(ClientDescriptors, AClaimThatFailsHalfWayLeavesNothingOpen) {
  AttachedClient attached;
  const std::unique_ptr<Os> os = client_os();
  const int fd = os->socket(AF_INET, SOCK_STREAM);
  const uint32_t socket = client::socket_of(fd);
  const int carrier = client::connect_anchor();
  AnchorReply reply;
  AnchorRequest request{
      .op = AnchorOp::carry, .slot = client::state.slot, .pid = client::process_id(), .socket = socket};
  ASSERT_TRUE(client::ask_anchor(carrier, request, reply, nullptr, 0));
  os->close(fd);
  client::wait_for_posted();
  request = {.op = AnchorOp::claim,
             .slot = client::state.slot,
             .pid = client::process_id(),
             .session = client::state.control->mac};
  ASSERT_TRUE(client::ask_anchor(carrier, request, reply, nullptr, 0));
  ASSERT_EQ(reply.socket, socket);
  client::install_over(-1, socket, false);
  ::close(carrier);
  for (int i = 0; i < 20'000 && attached.stack().sockets_in_use() != 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(attached.stack().sockets_in_use(), 0u);
}

// Whoever would have to wait for the child first waits for the lock.
TEST(ClientDescriptors, ALockOfAChildThatWasKilledIsTakenOverBeforeAnybodyWaitsForIt) {
  void* const shared = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  auto& word = *static_cast<std::atomic<uint32_t>*>(shared);
  const pid_t child = ::fork();
  if (child == 0) {
    client::forget_thread();
    client::Lock::acquire(word);
    for (;;) ::pause();
  }
  ASSERT_GT(child, 0);
  while (word.load() == 0) ::sched_yield();
  EXPECT_EQ(word.load(), static_cast<uint32_t>(child));
  ::kill(child, SIGKILL);
  siginfo_t end{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &end, WEXITED | WNOWAIT), 0);
  const client::Lock lock(word);
  EXPECT_TRUE(lock);
  EXPECT_EQ(word.load(), client::thread_id());
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
}

TEST(ClientDescriptors, WithoutAListenerNothingHappens) {
  EXPECT_EQ(client::attach("skerry-nobody-listens-here"), client::Attach::no_listener);
  EXPECT_FALSE(client::state.attached);
  EXPECT_EQ(client::entry_of(0), 0u);
}

TEST_P(DescriptorTest, AConnectionForWhichThereIsNoNumberStaysInTheQueue) {
  uint16_t port = 0;
  const int listening = listener(port);
  const int one = connect_to(port);
  wait_for(listening, POLLIN);
  const int next = ::dup(0);  // all numbers below are taken
  ::close(next);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit full{.rlim_cur = static_cast<rlim_t>(next), .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &full), 0);
  EXPECT_EQ(os->accept(listening, nullptr, nullptr, 0), -EMFILE);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  const int other = os->accept(listening, nullptr, nullptr, 0);
  EXPECT_EQ(other, next);
  send(one, "x");
  EXPECT_EQ(receive(other), "x");
  for (const int fd : {listening, one, other}) os->close(fd);
}

}  // namespace
}  // namespace skerry::sockets
