// What a child finds that a signal handler forked in the middle of a call of its parent's.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <vector>

#include "client_case.hpp"
#include "sockets/client_anchor.hpp"
#include "sockets/client_descriptors.hpp"
#include "sockets/client_exec.hpp"
#include "sockets/client_passing.hpp"

namespace skerry::sockets {
namespace {

// A handler forks in the middle of a call that holds a connection of our own. In the child, which has closed
// it, the number is another file's when the call ends.
int in_a_child_whose_next_file_stays_open(const std::function<void()>& end_the_call, int carrier) {
  client::fork_prepare();
  const pid_t child = ::fork();
  if (child == 0) {
    client::fork_child();
    const int file = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::dup3(file, carrier, O_CLOEXEC);
    end_the_call();
    ::_exit(::fcntl(carrier, F_GETFD) >= 0 ? 0 : 1);
  }
  client::fork_parent();
  int status = -1;
  ::waitpid(child, &status, 0);
  return status;
}

// A message that passes one descriptor.
struct Passed {
  explicit Passed(int fd) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    *header = {.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
};

int carrier_now() {
  for (int fd = 0; fd < 1024; ++fd)
    if (client::entry_of(fd) == client::kCarrierEntry) return fd;
  return -1;
}

TEST(ClientForks, AChildOfAnInterruptedSendmsgLeavesANumberAloneThatIsAnotherFilesByThen) {
  AttachedClient attached;
  const std::unique_ptr<Os> os = client_os();
  const int fd = os->socket(AF_INET, SOCK_STREAM);
  const Passed passed(fd);
  std::optional<client::Passing> passing(std::in_place, passed.message);
  const int carrier = carrier_now();
  ASSERT_GE(carrier, 0);
  EXPECT_EQ(in_a_child_whose_next_file_stays_open([&] { passing.reset(); }, carrier), 0);
  EXPECT_EQ(client::entry_of(carrier), client::kCarrierEntry) << "the parent's is its own";
  passing.reset();
  EXPECT_EQ(::fcntl(carrier, F_GETFD), -1);
  os->close(fd);
}

TEST(ClientForks, AChildOfAnInterruptedExecLeavesANumberAloneThatIsAnotherFilesByThen) {
  AttachedClient attached;
  std::optional<client::Executing> executing(std::in_place);
  const int carrier = carrier_now();
  ASSERT_GE(carrier, 0);
  EXPECT_EQ(in_a_child_whose_next_file_stays_open([&] { executing.reset(); }, carrier), 0);
  executing.reset();
  EXPECT_EQ(::fcntl(carrier, F_GETFD), -1);
  EXPECT_EQ(client::state.view.process(client::state.slot).executing.load(), 0u);
}

// Where there are as many processes as there may be.
TEST(ClientForks, AChildWithoutASessionKeepsNoCarrierOpen) {
  SessionSize size = FakeStack::default_size();
  size.processes = 1;
  AttachedClient attached(false, size);
  const std::unique_ptr<Os> os = client_os();
  const int fd = os->socket(AF_INET, SOCK_STREAM);
  const Passed passed(fd);
  std::optional<client::Passing> passing(std::in_place, passed.message);
  std::optional<client::Executing> executing(std::in_place);
  std::vector<int> carriers;
  for (int number = 0; number < 1024; ++number)
    if (client::entry_of(number) == client::kCarrierEntry) carriers.push_back(number);
  ASSERT_EQ(carriers.size(), 2u);
  client::fork_prepare();
  const pid_t child = ::fork();
  if (child == 0) {
    client::fork_child();
    int wrong = client::state.attached ? 1 : 0;
    executing.reset();
    passing.reset();
    for (const int number : carriers) wrong |= ::fcntl(number, F_GETFD) == -1 ? 0 : 2;
    ::_exit(wrong);
  }
  client::fork_parent();
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  executing.reset();
  passing.reset();
  os->close(fd);
}

// The table does not reach so far, so nobody would find it there to close it.
TEST(ClientForks, ACarrierBeyondTheTableIsNone) {
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlim_t enough = kMaxDescriptors + 100;
  const rlimit more{enough, std::max(limit.rlim_max, enough)};
  if (::setrlimit(RLIMIT_NOFILE, &more) != 0) GTEST_SKIP() << "no process may have so many descriptors here";
  AttachedClient attached;
  const std::unique_ptr<Os> os = client_os();
  const int fd = os->socket(AF_INET, SOCK_STREAM);
  std::vector<int> filling;
  while (filling.empty() || filling.back() < static_cast<int>(kMaxDescriptors)) {
    filling.push_back(::dup(2));
    ASSERT_GE(filling.back(), 0);
  }
  const auto leaves_a_connection = [&] {
    for (int number = filling.back(); number < filling.back() + 10; ++number)
      if (client::is_anchor(number)) return true;
    return false;
  };
  const Passed passed(fd);
  {
    const client::Passing passing(passed.message);
    EXPECT_EQ(passing.error(), -EMFILE);
  }
  EXPECT_FALSE(leaves_a_connection());
  { const client::Executing executing; }
  EXPECT_FALSE(leaves_a_connection());
  for (const int number : filling) ::close(number);
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  os->close(fd);
}

}  // namespace
}  // namespace skerry::sockets
