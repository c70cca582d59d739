// A process that says what it was given: its environment, its descriptors, limits and place, as JSON into the
// descriptor "report".
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "run/env.hpp"

extern char** environ;

namespace {

std::set<int> open_descriptors() {
  std::set<int> numbers;
  DIR* directory = ::opendir("/proc/self/fd");
  while (const dirent* entry = ::readdir(directory)) {
    const int number = std::atoi(entry->d_name);
    if (entry->d_name[0] != '.' && number != ::dirfd(directory)) numbers.insert(number);
  }
  ::closedir(directory);
  return numbers;
}

}  // namespace

int main(int count, char** arguments) {
  // Before the environment is read, because reading it closes descriptor 3.
  const std::set<int> descriptors = open_descriptors();
  skerry::Result<skerry::Env> env = skerry::Env::receive();
  if (!env) return 1;
  skerry::Result<skerry::Fd> report = env->take("report");
  if (!report) return 2;

  rlimit files{}, core{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  ::getrlimit(RLIMIT_CORE, &core);
  sigset_t blocked;
  ::sigprocmask(SIG_SETMASK, nullptr, &blocked);
  cpu_set_t cores;
  ::sched_getaffinity(0, sizeof cores, &cores);
  int death_signal = 0;
  ::prctl(PR_GET_PDEATHSIG, &death_signal);
  char null_name[64] = {};
  const ssize_t ignored = ::readlink("/proc/self/fd/0", null_name, sizeof null_name - 1);
  static_cast<void>(ignored);

  const nlohmann::json said = {{"arguments", std::vector<std::string>(arguments, arguments + count)},
                               {"name", env->name()},
                               {"kind", env->kind()},
                               {"settings", env->settings()},
                               {"descriptors", descriptors},
                               {"surrounding", environ[0] == nullptr ? "" : environ[0]},
                               {"open_files", files.rlim_cur},
                               {"core_bytes", core.rlim_cur},
                               {"sigterm_blocked", sigismember(&blocked, SIGTERM) == 1},
                               {"sigpipe_ignored", ::signal(SIGPIPE, SIG_DFL) == SIG_IGN},
                               {"core_count", CPU_COUNT(&cores)},
                               {"on_core_0", CPU_ISSET(0, &cores) != 0},
                               {"death_signal", death_signal},
                               {"leads_group", ::getpgrp() == ::getpid()},
                               {"session", ::getsid(0)},
                               {"stdin", null_name}};
  const std::string text = said.dump();
  if (::write(report->get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) return 3;
  report->reset();
  if (env->has("hold")) ::pause();
  return 7;
}
