#include "supervisor/spawn.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/system_error.hpp"
#include "run/env.hpp"

namespace skerry::supervisor {
namespace {

constexpr int kFirstGrantFd = kEnvDescriptor + 1;

// What the child could not do, sent through a pipe that a successful exec closes.
struct Failure {
  int number;
  char step[60];
};

// Everything that the child needs between fork and exec, made before: there it neither allocates nor throws.
struct ChildPlan {
  const Launch* launch;
  std::vector<int> sources;        // what becomes 0, 1, 2, … in the process
  std::vector<char*> arguments;    // ends with a null pointer
  std::vector<char*> surrounding;  // "KEY=VALUE", ends with a null pointer
  pid_t parent;
};

void apply_limits(const Limits& limits) {
  if (limits.open_files) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max = std::min<rlim_t>(*limits.open_files, limit.rlim_max);
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  if (!limits.core_dumps) {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
  }
}

// The parent may have blocked and ignored signals; the process begins with none of it. On a terminal what the
// user ignores (nohup) stays ignored.
void reset_signals(bool on_terminal) {
  if (!on_terminal) {
    for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Puts the sources at 0, 1, 2, … and marks all else to be closed by exec.
bool arrange_descriptors(std::vector<int>& sources, int& report_fd) {
  const int count = static_cast<int>(sources.size());
  // First above all the numbers that are given out, so that none is overwritten before it is used.
  report_fd = ::fcntl(report_fd, F_DUPFD_CLOEXEC, count);
  if (report_fd < 0) return false;
  for (int& source : sources) {
    source = ::fcntl(source, F_DUPFD, count);
    if (source < 0) return false;
  }
  for (int number = 0; number < count; ++number) {
    if (::dup2(sources[static_cast<size_t>(number)], number) < 0) return false;
  }
  return ::close_range(static_cast<unsigned>(count), ~0U, CLOSE_RANGE_CLOEXEC) == 0;
}

// Returns only if something failed: the step, with errno set.
const char* become(ChildPlan& plan, int& report_fd) {
  const Launch& launch = *plan.launch;
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return "ask to die with the supervisor";
  if (::getppid() != plan.parent) ::_exit(125);
  if (!launch.on_terminal && ::setpgid(0, 0) != 0) return "make a process group";
  if (launch.core) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(*launch.core, &cores);
    if (::sched_setaffinity(0, sizeof cores, &cores) != 0) return "run on the chosen core";
  }
  if (!arrange_descriptors(plan.sources, report_fd)) return "arrange the descriptors";
  apply_limits(launch.limits);
  reset_signals(launch.on_terminal);
  ::execve(launch.executable.c_str(), plan.arguments.data(), plan.surrounding.data());
  return "execute the file";
}

[[noreturn]] void run_child(ChildPlan& plan, int report_fd) {
  const char* step = become(plan, report_fd);
  Failure failure{errno, {}};
  std::strncpy(failure.step, step, sizeof failure.step - 1);
  const ssize_t ignored = ::write(report_fd, &failure, sizeof failure);
  static_cast<void>(ignored);
  ::_exit(125);
}

Result<Fd> environment_of(const Launch& launch) {
  EnvText text{launch.name, launch.kind, {}, launch.settings};
  int number = kFirstGrantFd;
  for (const NamedFd& grant : launch.grants) {
    if (!text.fds.emplace(grant.name, number++).second)
      return Error{"'" + launch.name + "' is granted the descriptor '" + grant.name + "' twice"};
  }
  return write_env(text);
}

std::vector<NamedFd> table_of(const Launch& launch) {
  std::vector<NamedFd> table = {{"stdin", 0}, {"stdout", 1}, {"stderr", 2}, {"environment", kEnvDescriptor}};
  int number = kFirstGrantFd;
  for (const NamedFd& grant : launch.grants) table.push_back({grant.name, number++});
  return table;
}

}  // namespace

Result<Child> spawn(const Launch& launch) {
  Result<Fd> environment = environment_of(launch);
  if (!environment) return environment.error();
  const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return system_error("cannot open /dev/null");
  int report[2];
  if (::pipe2(report, O_CLOEXEC) != 0) return system_error("cannot create a pipe");
  const Fd report_read(report[0]);
  Fd report_write(report[1]);

  ChildPlan plan{&launch, {}, {}, {}, ::getpid()};
  const auto or_null = [&](int fd) { return fd >= 0 && ::fcntl(fd, F_GETFD) >= 0 ? fd : null.get(); };
  if (launch.on_terminal) {
    plan.sources = {or_null(0), or_null(1), or_null(2)};
  } else {
    plan.sources = {null.get(), or_null(launch.output_fd), or_null(launch.log_fd)};
  }
  plan.sources.push_back(environment->get());
  for (const NamedFd& grant : launch.grants) plan.sources.push_back(grant.fd);

  std::string executable = launch.executable, name = launch.name;
  std::vector<std::string> arguments = launch.arguments;
  plan.arguments = {executable.data()};
  if (arguments.empty()) plan.arguments.push_back(name.data());
  for (std::string& argument : arguments) plan.arguments.push_back(argument.data());
  plan.arguments.push_back(nullptr);
  std::vector<std::string> surrounding = launch.surrounding;
  for (std::string& entry : surrounding) plan.surrounding.push_back(entry.data());
  plan.surrounding.push_back(nullptr);

  const pid_t pid = ::fork();
  if (pid < 0) return system_error("cannot start a process");
  if (pid == 0) run_child(plan, report_write.get());
  report_write.reset();

  Child child{pid, Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U))), table_of(launch)};
  Failure failure{};
  ssize_t got;
  do {
    got = ::read(report_read.get(), &failure, sizeof failure);
  } while (got < 0 && errno == EINTR);
  if (got != 0 || !child.pidfd) {
    const Error error = got > 0
                            ? Error{"cannot start '" + launch.name + "' (" + launch.executable +
                                        "): cannot " + failure.step + ": " + std::strerror(failure.number),
                                    failure.number}
                            : system_error("cannot watch the process '" + launch.name + "'");
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return error;
  }
  return child;
}

}  // namespace skerry::supervisor
