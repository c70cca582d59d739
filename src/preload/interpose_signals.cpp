// sigaction(2) and signal(3). In place of the program's handlers the kernel runs deliver(), which puts a
// signal off that comes while its thread is in the middle of a change (client_handlers.hpp). The program
// never sees it: what it asks for is what it has set.
#include <signal.h>
#include <ucontext.h>

#include "preload/interpose.hpp"
#include "sockets/client_handlers.hpp"
#include "sockets/client_state.hpp"

namespace skerry::preload {
namespace {

namespace client = sockets::client;

using Action = struct sigaction;
using Function = void(int, siginfo_t*, void*);

constinit Next<int(int, const Action*, Action*)> next_sigaction{"sigaction"};

// What the program has set. A handler that takes the number alone may be called with more.
struct Handler {
  std::atomic<Function*> function;
  std::atomic<int> flags;
};
constinit Handler handlers[_NSIG] = {};
constinit std::atomic<uint64_t> interrupting = 0;  // what siginterrupt() says of later calls of signal()

bool is_signal(int number) {
  return number > 0 && number < _NSIG;
}

// 0 of what is none.
uint64_t bit_of(int signal) {
  return is_signal(signal) ? uint64_t{1} << (signal - 1) : 0;
}

// A thread that meets a fault cannot go on before its handler has run.
bool may_be_put_off(int signal) {
  const bool is_fault = signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL ||
                        signal == SIGTRAP || signal == SIGSYS;
  return client::state.attached && is_signal(signal) && !is_fault;
}

void become_default(int signal) {
  Action action;
  next_sigaction(signal, nullptr, &action);
  action.sa_handler = SIG_DFL;
  next_sigaction(signal, &action, nullptr);
}

// The kernel's part of the mask is its first word; behind it lies something else.
void deliver(int signal, siginfo_t* info, void* context) {
  auto& mask = *reinterpret_cast<uint64_t*>(&static_cast<ucontext_t*>(context)->uc_sigmask);
  if (client::put_off(*info, mask)) return;
  const Handler& handler = handlers[signal];
  const int flags = handler.flags.load(std::memory_order_relaxed);
  client::note_handler((flags & SA_RESTART) != 0);
  if (flags & SA_RESETHAND) become_default(signal);
  handler.function.load(std::memory_order_relaxed)(signal, info, context);
}

bool is_function(const Action& action) {
  return action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN;
}

using Simple = sighandler_t;

Simple set(int signal, Simple function, int flags, bool blocks_itself) {
  if (function == SIG_ERR || !is_signal(signal)) {
    errno = EINVAL;
    return SIG_ERR;
  }
  Action action{}, before;
  action.sa_handler = function;
  action.sa_flags = flags;
  if (blocks_itself) sigaddset(&action.sa_mask, signal);
  return ::sigaction(signal, &action, &before) < 0 ? SIG_ERR : before.sa_handler;
}

}  // namespace

void resolve_signals() {
  next_sigaction.resolve();
}

}  // namespace skerry::preload

using namespace skerry::preload;

// What comes with a signal is always asked for, since it may have to be sent again. The first of two
// deliveries must leave the handler where it is, so SA_RESETHAND is ours to do.
SKERRY_EXPORT int sigaction(int signal, const Action* action, Action* before) noexcept {
  if (!may_be_put_off(signal)) return next_sigaction(signal, action, before);
  const client::NoHandlers none;
  Handler& handler = handlers[signal];
  Function* const function = handler.function.load(std::memory_order_relaxed);
  const int flags = handler.flags.load(std::memory_order_relaxed);
  Action asked, was;
  if (action != nullptr) {
    asked = *action;
    if (is_function(asked)) {
      // From who does not ask us what is set we may be handed ourselves: the handler stays, and how it is
      // called.
      const bool is_ours = asked.sa_sigaction == deliver;
      if (is_ours && function == nullptr) {  // another signal's
        errno = EINVAL;
        return -1;
      }
      if (!is_ours) handler.function.store(asked.sa_sigaction, std::memory_order_relaxed);
      constexpr auto kCall = static_cast<int>(SA_SIGINFO);
      handler.flags.store(is_ours ? (asked.sa_flags & ~kCall) | (flags & kCall) : asked.sa_flags,
                          std::memory_order_relaxed);
      asked.sa_sigaction = deliver;
      asked.sa_flags = (asked.sa_flags | SA_SIGINFO) & ~static_cast<int>(SA_RESETHAND);
    }
  }
  const int result = next_sigaction(signal, action == nullptr ? nullptr : &asked, &was);
  if (result < 0 || before == nullptr) return result;
  *before = was;
  if (was.sa_sigaction != deliver) return result;
  before->sa_sigaction = function;
  constexpr auto kOurs = static_cast<int>(SA_SIGINFO | SA_RESETHAND);
  before->sa_flags = (was.sa_flags & ~kOurs) | (flags & kOurs);
  return result;
}

// BSD's, which is libc's: the handler stays, and calls that it interrupts go on.
#define SKERRY_SIGNAL(name)                                                            \
  SKERRY_EXPORT Simple name(int signal, Simple function) noexcept {                    \
    const bool ends_calls = (interrupting & bit_of(signal)) != 0;                      \
    return set(signal, function, ends_calls ? 0 : static_cast<int>(SA_RESTART), true); \
  }
SKERRY_SIGNAL(signal)
SKERRY_SIGNAL(bsd_signal)
SKERRY_SIGNAL(ssignal)

// System V's: once, and it may interrupt itself.
#define SKERRY_SYSV_SIGNAL(name)                                                      \
  SKERRY_EXPORT Simple name(int signal, Simple function) noexcept {                   \
    return set(signal, function, static_cast<int>(SA_RESETHAND | SA_NODEFER), false); \
  }
SKERRY_SYSV_SIGNAL(sysv_signal)
SKERRY_SYSV_SIGNAL(__sysv_signal)

// Once and for all. SIG_HOLD says, and is told, that the signal is blocked.
SKERRY_EXPORT Simple sigset(int signal, Simple function) noexcept {
  sigset_t one, blocked;
  sigemptyset(&one);
  if (sigaddset(&one, signal) < 0) return SIG_ERR;
  Action action{}, before;
  action.sa_handler = function;
  const bool holds = function == SIG_HOLD;
  if (::sigaction(signal, holds ? nullptr : &action, &before) < 0) return SIG_ERR;
  if (sigprocmask(holds ? SIG_BLOCK : SIG_UNBLOCK, &one, &blocked) < 0) return SIG_ERR;
  return sigismember(&blocked, signal) ? SIG_HOLD : before.sa_handler;
}

SKERRY_EXPORT int siginterrupt(int signal, int ends_calls) noexcept {
  Action action;
  if (sigaction(signal, nullptr, &action) < 0) return -1;
  if (ends_calls) {
    interrupting |= bit_of(signal);
    action.sa_flags &= ~static_cast<int>(SA_RESTART);
  } else {
    interrupting &= ~bit_of(signal);
    action.sa_flags |= static_cast<int>(SA_RESTART);
  }
  return sigaction(signal, &action, nullptr);
}

// libc offers this under a second name, too.
SKERRY_ALSO(int, sigaction, (int, const Action*, Action*)) noexcept;
