// `skerry run --strict`: who asks the kernel for a socket of the Internet itself, past this library, is
// stopped by the cell's filter (supervisor/cell_filter.hpp) with SIGSYS. Here that signal says from where it
// came.
#include <execinfo.h>
#include <signal.h>
#include <sys/syscall.h>

#include <cstdlib>
#include <cstring>

#include "preload/interpose.hpp"
#include "sockets/client_system.hpp"

namespace skerry::preload {
namespace {

namespace client = sockets::client;
using client::system_call;
using client::word;

constexpr int kFromFilter = 1;  // SYS_SECCOMP: <signal.h> does not name it
constexpr int kFrames = 64;
constexpr int kOurFrames = 2;  // this handler, and what the kernel returns to

void stop(int, siginfo_t* info, void*) {
  constexpr char kSentence[] =
      "skerry: --strict: a system call for a socket that did not go through libskerry-preload.so, made by\n";
  if (info->si_code == kFromFilter) {
    system_call(SYS_write, 2, word(kSentence), sizeof kSentence - 1);
    void* frames[kFrames];
    const int count = backtrace(frames, kFrames);
    if (count > kOurFrames) backtrace_symbols_fd(frames + kOurFrames, count - kOurFrames, 2);
  }
  // SA_RESETHAND has put the default back: this ends the process.
  system_call(SYS_tgkill, system_call(SYS_getpid), system_call(SYS_gettid), SIGSYS);
}

}  // namespace

void begin_strict() {
  const char* strict = getenv("SKERRY_STRICT");
  if (strict == nullptr || std::strcmp(strict, "1") != 0) return;
  void* frame;
  backtrace(&frame, 1);  // loads the unwinder now, since a handler may not
  struct sigaction action {};
  action.sa_sigaction = stop;
  action.sa_flags = static_cast<int>(SA_SIGINFO | SA_RESETHAND | SA_NODEFER);
  sigaction(SIGSYS, &action, nullptr);
}

}  // namespace skerry::preload
