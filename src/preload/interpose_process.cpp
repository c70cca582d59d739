// What a process does to itself: children past fork(3), and seccomp(2) by prctl(2).
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdint>
#include <new>

#include "preload/interpose.hpp"
#include "sockets/client_descriptors.hpp"
#include "sockets/client_session.hpp"
#include "sockets/client_wait.hpp"

namespace skerry::preload {
namespace {

namespace client = sockets::client;

using ChildFunction = int(void*);
constinit Next<int(ChildFunction*, void*, int, void*, void*, void*, void*)> next_clone{"clone"};
constinit Next<pid_t()> next_Fork{"_Fork"};

struct Child {
  ChildFunction* function;
  void* argument;
};

int begin_child(void* child) {
  const Child begun = *static_cast<const Child*>(child);
  client::fork_child();
  return begun.function(begun.argument);
}

int begin_guest(void* child) {
  client::begin_guest();
  const Child* const begun = static_cast<const Child*>(child);
  return begun->function(begun->argument);
}

// Where a guest finds it although its parent goes on: at the bottom of its own stack.
Child* put_below(void*& stack, const Child& child) {
  constexpr uintptr_t kAlignment = 16;
  const uintptr_t place = (reinterpret_cast<uintptr_t>(stack) - sizeof child) & ~(kAlignment - 1);
  stack = reinterpret_cast<void*>(place);
  return new (stack) Child(child);
}

// What stands behind `argument` (clone(2)): where the child's number goes, and the thread variables.
struct Rest {
  void* values[3];
};

int make_child(const Child& child, void* stack, int flags, const Rest& rest) {
  const auto& [parent_number, variables, child_number] = rest.values;
  // A child that executes something as soon as it can has a copy of the memory, as vfork()'s has.
  if ((flags & (CLONE_VM | CLONE_FILES | CLONE_VFORK)) == (CLONE_VM | CLONE_VFORK)) flags &= ~CLONE_VM;
  const int shared = flags & (CLONE_VM | CLONE_FILES | CLONE_THREAD);
  if (shared == CLONE_VM && child.function != nullptr && stack != nullptr) {
    Child* const begun = put_below(stack, child);
    return next_clone(begin_guest, stack, flags, begun, parent_number, variables, child_number);
  }
  if (shared != 0)
    return next_clone(child.function, stack, flags, child.argument, parent_number, variables, child_number);
  Child begun = child;
  client::fork_prepare();
  const int born = next_clone(begin_child, stack, flags, &begun, parent_number, variables, child_number);
  client::fork_parent();
  return born;
}

}  // namespace

void resolve_process() {
  next_clone.resolve();
  next_Fork.resolve();
}

}  // namespace skerry::preload

using namespace skerry::preload;

// A child of the kernel's vfork() would share our tables but not the descriptors that they describe. A child
// of fork() has its own of both, and its exec() finds them.
SKERRY_EXPORT pid_t vfork() {
  return fork();
}

// fork() without the handlers of pthread_atfork(3), and so without ours.
SKERRY_EXPORT pid_t _Fork() noexcept {
  client::fork_prepare();
  const pid_t child = next_Fork();
  child == 0 ? client::fork_child() : client::fork_parent();
  return child;
}

#define SKERRY_CLONE(name)                                                                                \
  SKERRY_EXPORT int name(ChildFunction* function, void* stack, int flags, void* argument, ...) noexcept { \
    Rest rest;                                                                                            \
    va_list list;                                                                                         \
    va_start(list, argument);                                                                             \
    for (void*& value : rest.values) value = va_arg(list, void*);                                         \
    va_end(list);                                                                                         \
    return make_child({function, argument}, stack, flags, rest);                                          \
  }
SKERRY_CLONE(clone)
SKERRY_CLONE(__clone)

// A program that forbids itself system calls (sshd before a login) knows which ones sockets need on Linux,
// and not those that ours need.
SKERRY_EXPORT int prctl(int option, ...) noexcept {
  va_list list;
  va_start(list, option);
  unsigned long arguments[4];
  for (unsigned long& argument : arguments) argument = va_arg(list, unsigned long);
  va_end(list);
  // Without a filter it is only a question whether the kernel has them.
  const bool forbids =
      arguments[0] == SECCOMP_MODE_STRICT || (arguments[0] == SECCOMP_MODE_FILTER && arguments[1] != 0);
  if (option == PR_SET_SECCOMP && forbids) client::get_by_with_few_calls();
  return finish(static_cast<int>(
      client::system_call(SYS_prctl, option, static_cast<long>(arguments[0]), static_cast<long>(arguments[1]),
                          static_cast<long>(arguments[2]), static_cast<long>(arguments[3]))));
}

// libc offers this under a second name, too.
SKERRY_ALSO(pid_t, vfork, ());
