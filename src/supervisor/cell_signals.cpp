#include "supervisor/cell_signals.hpp"

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace skerry::supervisor {

Result<Fd> take_over_signals() {
  sigset_t all;
  ::sigfillset(&all);
  // Faults of our own must end us, not wait in a queue.
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS})
    ::sigdelset(&all, number);
  Fd signals(::signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals || ::sigprocmask(SIG_SETMASK, &all, nullptr) != 0)
    return Error{std::string("cannot take over the signals: ") + std::strerror(errno), errno};
  return signals;
}

int take_signal(const Fd& signals) {
  signalfd_siginfo info;
  if (::read(signals.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return 0;
  const bool from_a_process = info.ssi_code <= 0;
  const int number = static_cast<int>(info.ssi_signo);
  return number == SIGCHLD || from_a_process ? number : 0;
}

void release_signals() {
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

int exit_status(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

}  // namespace skerry::supervisor
