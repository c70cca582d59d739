// Who asks the kernel for a socket of the Internet itself, past this library, is stopped by the cell's filter
// (supervisor/cell_filter.hpp) with SIGSYS. Here that signal says from where it came.
#include "preload/strict.hpp"

#include <execinfo.h>
#include <linux/audit.h>
#include <signal.h>
#include <sys/syscall.h>

#include <cstdlib>
#include <cstring>

#include "sockets/client_system.hpp"

namespace skerry::preload {
namespace {

namespace client = sockets::client;
using client::system_call;
using client::word;

constexpr int kFromFilter = 1;  // SYS_SECCOMP: <signal.h> does not name it
#if defined(__x86_64__)
constexpr unsigned kOurCalls = AUDIT_ARCH_X86_64;
#else
constexpr unsigned kOurCalls = AUDIT_ARCH_AARCH64;
#endif
constexpr int kFrames = 64;
constexpr int kOurFrames = 2;  // this handler, and what the kernel returns to

constinit struct sigaction before = {};  // what the program would have without us
constinit bool strict = false;

// As SIGSYS ends a process that does not handle it.
void end() {
  signal(SIGSYS, SIG_DFL);
  system_call(SYS_tgkill, system_call(SYS_getpid), system_call(SYS_gettid), SIGSYS);
}

// The cell's filter stops one call so; a filter of the program's own, or kill(2), may mean something else.
bool is_ours(const siginfo_t& info) {
  return info.si_code == kFromFilter && info.si_syscall == SYS_socket && info.si_arch == kOurCalls;
}

void stop(int number, siginfo_t* info, void* context) {
  constexpr char kSentence[] =
      "skerry: --strict: a system call for a socket that did not go through libskerry-preload.so, made by\n";
  if (is_ours(*info)) {
    system_call(SYS_write, 2, word(kSentence), sizeof kSentence - 1);
    void* frames[kFrames];
    const int count = backtrace(frames, kFrames);
    if (count > kOurFrames) backtrace_symbols_fd(frames + kOurFrames, count - kOurFrames, 2);
    return end();
  }
  if (before.sa_flags & SA_SIGINFO) return before.sa_sigaction(number, info, context);
  if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) return before.sa_handler(number);
  // Who ignores it cannot ignore a filter's (force_sig_seccomp()).
  if (before.sa_handler == SIG_DFL || info->si_code > 0) end();
}

}  // namespace

void begin_strict() {
  const char* asked = getenv("SKERRY_STRICT");
  strict = asked != nullptr && std::strcmp(asked, "1") == 0;
  if (!strict) return;
  void* frame;
  backtrace(&frame, 1);  // loads the unwinder now, since a handler may not
  struct sigaction action {};
  action.sa_sigaction = stop;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGSYS, &action, &before);
}

bool is_strict() {
  return strict;
}

}  // namespace skerry::preload
