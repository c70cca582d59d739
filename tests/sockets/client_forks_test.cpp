// What a child finds that a signal handler forked in the middle of a call of its parent's.
#include <fcntl.h>
#include <sys/wait.h>

#include <cstring>
#include <functional>

#include "client_case.hpp"
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

int carrier_now() {
  for (int fd = 0; fd < 1024; ++fd)
    if (client::entry_of(fd) == client::kCarrierEntry) return fd;
  return -1;
}

TEST(ClientForks, AChildOfAnInterruptedSendmsgLeavesANumberAloneThatIsAnotherFilesByThen) {
  AttachedClient attached;
  const std::unique_ptr<Os> os = client_os();
  const int fd = os->socket(AF_INET, SOCK_STREAM);
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  msghdr message{};
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  *header = {.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  std::optional<client::Passing> passing(std::in_place, message);
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

}  // namespace
}  // namespace skerry::sockets
