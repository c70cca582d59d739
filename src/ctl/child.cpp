#include "ctl/child.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace skerry::ctl {

namespace {

constexpr int kPassedOn[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

sigset_t passed_on() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : kPassedOn) sigaddset(&set, number);
  return set;
}

// In the child, between fork and exec: only calls that are safe there (signal-safety(7)). Ends the process.
[[noreturn]] void become(const ChildSpec& spec, char* const* argv, char* const* variables,
                         std::vector<PlacedFd>& fds, int error_pipe, pid_t parent) {
  if (spec.signal_on_our_end != 0) {
    ::prctl(PR_SET_PDEATHSIG, spec.signal_on_our_end);
    if (::getppid() != parent) ::_exit(127);
  }
  bool placed = true;
  if (spec.place != Place::terminal) {
    if (spec.place == Place::daemon)
      ::setsid();
    else
      ::setpgid(0, 0);
    // A Ctrl-C that came before we left the terminal's group was the command's, not the child's.
    for (const int number : kPassedOn) ::signal(number, ::signal(number, SIG_IGN));
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    placed = ::dup2(null, 0) >= 0 && ::dup2(spec.log, 1) >= 0 && ::dup2(spec.log, 2) >= 0;
  }
  // First out of the way, then to their places: a place may be another's number now.
  int highest = 2;
  for (const PlacedFd& fd : fds) highest = std::max(highest, fd.to);
  const int moved_error_pipe = ::fcntl(error_pipe, F_DUPFD_CLOEXEC, highest + 1);
  for (PlacedFd& fd : fds) fd.from = ::fcntl(fd.from, F_DUPFD_CLOEXEC, highest + 1);
  for (const PlacedFd& fd : fds) placed = placed && ::dup2(fd.from, fd.to) >= 0;
  ::syscall(SYS_close_range, highest + 1, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */);

  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (placed) ::execve(spec.executable.c_str(), argv, variables);
  const int number = errno;
  (void)!::write(moved_error_pipe, &number, sizeof number);
  ::_exit(127);
}

}  // namespace

Result<Child> Child::start(const ChildSpec& spec) {
  const sigset_t signals = passed_on();
  ::sigprocmask(SIG_UNBLOCK, &signals, nullptr);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  Fd signal_fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  int error_pipe[2];
  if (!signal_fd || ::pipe2(error_pipe, O_CLOEXEC) != 0) {
    return Error{fmt::format("no descriptors are left: {}", std::strerror(errno)), errno};
  }
  const Fd error_reader(error_pipe[0]);
  Fd error_writer(error_pipe[1]);
  std::vector<char*> argv, variables;
  for (const std::string& argument : spec.argv) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  // The first of a name counts (getenv(3)).
  for (const std::string& variable : spec.surrounding)
    variables.push_back(const_cast<char*>(variable.c_str()));
  for (char** ours = environ; *ours != nullptr; ++ours) variables.push_back(*ours);
  variables.push_back(nullptr);
  std::vector<PlacedFd> fds = spec.fds;

  const pid_t parent = ::getpid(), pid = ::fork();
  if (pid < 0) return Error{fmt::format("cannot start a process: {}", std::strerror(errno)), errno};
  if (pid == 0) become(spec, argv.data(), variables.data(), fds, error_writer.get(), parent);
  error_writer.reset();
  int number = 0;
  if (::read(error_reader.get(), &number, sizeof number) == sizeof number) {
    ::waitpid(pid, nullptr, 0);
    return Error{fmt::format("cannot execute {}: {}", spec.executable, std::strerror(number)), number};
  }
  Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  return Child(pid, std::move(pidfd), std::move(signal_fd));
}

void Child::let_signals_end_us() {
  const sigset_t signals = passed_on();
  ::sigprocmask(SIG_UNBLOCK, &signals, nullptr);
}

void Child::kill(int signal) const {
  ::kill(pid_, signal);
}

void Child::pass_signals_on() {
  signalfd_siginfo info;
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    const bool from_terminal = info.ssi_code == SI_KERNEL;
    if (!from_terminal) kill(static_cast<int>(info.ssi_signo));
  }
}

int Child::reap() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int Child::wait(int watched, const std::function<bool()>& on_watched) {
  for (;;) {
    pollfd sources[] = {{pidfd_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}, {watched, POLLIN, 0}};
    if (::poll(sources, 3, -1) < 0 && errno != EINTR) return reap();
    if (sources[1].revents != 0) pass_signals_on();
    if (sources[0].revents != 0) return reap();
    if (sources[2].revents != 0 && on_watched()) watched = -1;
  }
}

bool Child::wait_for(int timeout_ms) {
  pollfd ended{pidfd_.get(), POLLIN, 0};
  return ::poll(&ended, 1, timeout_ms) == 1;
}

std::string beside(const std::string& program) {
  std::error_code error;
  return (std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / program).string();
}

}  // namespace skerry::ctl
