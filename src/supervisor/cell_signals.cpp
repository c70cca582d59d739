#include "supervisor/cell_signals.hpp"

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "base/system_error.hpp"

namespace skerry::supervisor {

Result<Fd> take_over_signals() {
  sigset_t all;
  ::sigfillset(&all);
  // Faults of our own must end us, not wait in a queue.
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS})
    ::sigdelset(&all, number);
  Fd signals(::signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals || ::sigprocmask(SIG_SETMASK, &all, nullptr) != 0)
    return system_error("cannot take over the signals");
  return signals;
}

namespace {

signalfd_siginfo next(const Fd& signals) {
  signalfd_siginfo info{};
  if (::read(signals.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info)) info.ssi_signo = 0;
  return info;
}

}  // namespace

int take_signal(const Fd& signals) {
  const signalfd_siginfo info = next(signals);
  const bool from_a_process = info.ssi_code <= 0;
  return info.ssi_signo == SIGCHLD || from_a_process ? static_cast<int>(info.ssi_signo) : 0;
}

int take_any_signal(const Fd& signals) {
  return static_cast<int>(next(signals).ssi_signo);
}

bool asks_to_end(int number) {
  if (number != SIGTERM && number != SIGINT && number != SIGHUP && number != SIGQUIT) return false;
  struct sigaction inherited {};
  ::sigaction(number, nullptr, &inherited);
  return inherited.sa_handler != SIG_IGN;
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
