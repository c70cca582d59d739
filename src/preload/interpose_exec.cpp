// exec(3) and posix_spawn(3). A program that makes an environment of its own (nginx when it upgrades itself,
// `env -i`) drops LD_PRELOAD, and with it its network and the sockets that it meant to keep. So what it
// passes on has the library again, and what the cell has told it.
#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdlib>
#include <cstring>

#include "preload/interpose.hpp"
#include "preload/strict.hpp"
#include "sockets/client_exec.hpp"
#include "sockets/client_room.hpp"
#include "sockets/client_state.hpp"

namespace skerry::preload {
namespace {

namespace client = sockets::client;
using client::state;
using client::system_call;
using client::word;

constinit Next<int(const char*, char* const*, char* const*)> next_execve{"execve"};
constinit Next<int(const char*, char* const*, char* const*)> next_execvpe{"execvpe"};
constinit Next<int(int, char* const*, char* const*)> next_fexecve{"fexecve"};
constinit Next<int(int, const char*, char* const*, char* const*, int)> next_execveat{"execveat"};
using Spawn = int(pid_t*, const char*, const posix_spawn_file_actions_t*, const posix_spawnattr_t*,
                  char* const*, char* const*);
constinit Next<Spawn> next_posix_spawn{"posix_spawn"};
constinit Next<Spawn> next_posix_spawnp{"posix_spawnp"};

// What posix_spawn_file_actions_t points to (glibc's <spawn_int.h>, the same since 2.29; kinds after 2.34's
// are ignored).
struct FileAction {
  enum Kind : int { close = 0, dup2 = 1, open = 2, chdir = 3, fchdir = 4, close_from = 5 } kind;
  alignas(8) int fd;
  int new_fd;
  int rest[4];
};
static_assert(sizeof(FileAction) == 32);

int spawn(Next<Spawn>& next, pid_t* child, const char* path, const posix_spawn_file_actions_t* actions,
          const posix_spawnattr_t* attributes, char* const* arguments, char* const* environment) {
  client::Spawning spawning;
  const auto* list = actions == nullptr ? nullptr : reinterpret_cast<const FileAction*>(actions->__actions);
  for (int i = 0; list != nullptr && i < actions->__used; ++i) {
    if (list[i].kind == FileAction::dup2) spawning.duplicates(list[i].fd, list[i].new_fd);
    if (list[i].kind == FileAction::close || list[i].kind == FileAction::open) spawning.loses(list[i].fd);
    if (list[i].kind == FileAction::close_from) spawning.loses_from(list[i].fd);
  }
  spawning.executes();
  pid_t born = 0;
  const int result = [&] {
    const client::HandlersMayRun may_run;
    return next(&born, path, actions, attributes, arguments, environment);
  }();
  if (result != 0) return result;
  spawning.born(static_cast<uint32_t>(born));
  if (child != nullptr) *child = born;
  return 0;
}

constexpr char kName[] = "LD_PRELOAD=";
constexpr size_t kNameBytes = sizeof kName - 1;

bool is_about_library(const char* entry) {
  return std::strncmp(entry, kName, kNameBytes) == 0;
}

constinit char our_entry[4096] = {};  // as the cell gave it to this process; empty: not known

// The environment that was given, with our library in it. Valid as long as this lives.
class Environment {
 public:
  explicit Environment(char* const* given) : result_(given), room_(client::is_this_process()) {
    if (!state.attached || our_entry[0] == 0) return;
    size_t count = 0;
    const char* theirs = nullptr;
    bool knows_strict = !is_strict();
    for (; given != nullptr && given[count] != nullptr; ++count) {
      if (is_about_library(given[count])) theirs = given[count] + kNameBytes;
      knows_strict = knows_strict || std::strcmp(given[count], kStrictEntry) == 0;
    }
    const bool has_library = theirs != nullptr && std::strstr(theirs, our_entry + kNameBytes) != nullptr;
    if (has_library && knows_strict) return;
    char** entries = room_.take(count + 3);
    if (entries == nullptr) return;
    size_t used = 0;
    entries[used++] = has_library ? const_cast<char*>(theirs - kNameBytes) : join(theirs);
    if (!knows_strict) entries[used++] = const_cast<char*>(kStrictEntry);
    for (size_t i = 0; i < count; ++i)
      if (!is_about_library(given[i])) entries[used++] = given[i];
    entries[used] = nullptr;
    result_ = entries;
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  char* const* get() const { return result_; }

 private:
  // Ours first, then theirs if there is room for both.
  char* join(const char* theirs) {
    const size_t ours = std::strlen(our_entry);
    const size_t more = theirs == nullptr ? 0 : std::strlen(theirs);
    if (more == 0 || ours + 1 + more >= sizeof joined_) return our_entry;
    std::memcpy(joined_, our_entry, ours);
    joined_[ours] = ':';
    std::memcpy(joined_ + ours + 1, theirs, more + 1);
    return joined_;
  }

  char* const* result_;
  char joined_[sizeof our_entry];
  client::Room<char*, 256> room_;
};

int execute(const char* path, char* const* arguments, char* const* environment) {
  if (!may_start(AT_FDCWD, path)) return -1;
  const client::Executing executing;
  return next_execve(path, arguments, Environment(environment).get());
}

int execute_by_name(const char* file, char* const* arguments, char* const* environment) {
  if (!may_start_by_name(file)) return -1;
  const client::Executing executing;
  return next_execvpe(file, arguments, Environment(environment).get());
}

// A number that is nobody else's meanwhile.
class KeptNumber {
 public:
  KeptNumber() : undo_([](void* kept) { static_cast<KeptNumber*>(kept)->give_back(); }, this) {
    const client::NoHandlers none;
    number_ = static_cast<int>(system_call(SYS_pidfd_open, system_call(SYS_getpid), 0));
  }
  ~KeptNumber() { give_back(); }
  KeptNumber(const KeptNumber&) = delete;
  KeptNumber& operator=(const KeptNumber&) = delete;

  int error() const { return number_ < 0 ? -number_ : 0; }
  void give_back() {
    const client::NoHandlers none;
    if (number_ >= 0) client::close_descriptor(number_);
    number_ = -1;
  }

 private:
  int number_ = -1;
  client::Undo undo_;
};

// The arguments of execl() and its relatives as an array on the caller's stack.
#define SKERRY_ARGUMENTS(first, list)                                                             \
  size_t argument_count = 1;                                                                      \
  va_start(list, first);                                                                          \
  while (va_arg(list, char*) != nullptr) ++argument_count;                                        \
  va_end(list);                                                                                   \
  auto** arguments = static_cast<char**>(__builtin_alloca((argument_count + 1) * sizeof(char*))); \
  va_start(list, first);                                                                          \
  arguments[0] = const_cast<char*>(first);                                                        \
  for (size_t i = 1; i <= argument_count; ++i) arguments[i] = va_arg(list, char*)

}  // namespace

void resolve_exec() {
  next_execve.resolve();
  next_execvpe.resolve();
  next_fexecve.resolve();
  next_execveat.resolve();
  next_posix_spawn.resolve();
  next_posix_spawnp.resolve();
  const char* value = getenv("LD_PRELOAD");
  if (value == nullptr || kNameBytes + std::strlen(value) >= sizeof our_entry) return;
  std::memcpy(our_entry, kName, kNameBytes);
  std::memcpy(our_entry + kNameBytes, value, std::strlen(value) + 1);
}

}  // namespace skerry::preload

using namespace skerry::preload;

SKERRY_EXPORT int execve(const char* path, char* const* arguments, char* const* environment) noexcept {
  return execute(path, arguments, environment);
}

SKERRY_EXPORT int execv(const char* path, char* const* arguments) noexcept {
  return execute(path, arguments, environ);
}

SKERRY_EXPORT int execvpe(const char* file, char* const* arguments, char* const* environment) noexcept {
  return execute_by_name(file, arguments, environment);
}

SKERRY_EXPORT int execvp(const char* file, char* const* arguments) noexcept {
  return execute_by_name(file, arguments, environ);
}

SKERRY_EXPORT int fexecve(int fd, char* const* arguments, char* const* environment) noexcept {
  if (!may_start(fd, "")) return -1;
  const client::Executing executing;
  return next_fexecve(fd, arguments, Environment(environment).get());
}

SKERRY_EXPORT int execveat(int folder, const char* path, char* const* arguments, char* const* environment,
                           int flags) noexcept {
  if (!may_start(folder, path)) return -1;
  const client::Executing executing;
  return next_execveat(folder, path, arguments, Environment(environment).get(), flags);
}

SKERRY_EXPORT int execl(const char* path, const char* first, ...) noexcept {
  va_list list;
  SKERRY_ARGUMENTS(first, list);
  va_end(list);
  return execute(path, arguments, environ);
}

SKERRY_EXPORT int execlp(const char* file, const char* first, ...) noexcept {
  va_list list;
  SKERRY_ARGUMENTS(first, list);
  va_end(list);
  return execute_by_name(file, arguments, environ);
}

// Behind the null that ends the arguments stands the environment.
SKERRY_EXPORT int execle(const char* path, const char* first, ...) noexcept {
  va_list list;
  SKERRY_ARGUMENTS(first, list);
  char* const* environment = va_arg(list, char* const*);
  va_end(list);
  return execute(path, arguments, environment);
}

SKERRY_EXPORT int posix_spawn(pid_t* child, const char* path, const posix_spawn_file_actions_t* actions,
                              const posix_spawnattr_t* attributes, char* const* arguments,
                              char* const* environment) {
  if (!may_start(AT_FDCWD, path)) return EACCES;
  return spawn(next_posix_spawn, child, path, actions, attributes, arguments, Environment(environment).get());
}

SKERRY_EXPORT int posix_spawnp(pid_t* child, const char* file, const posix_spawn_file_actions_t* actions,
                               const posix_spawnattr_t* attributes, char* const* arguments,
                               char* const* environment) {
  if (!may_start_by_name(file)) return EACCES;
  return spawn(next_posix_spawnp, child, file, actions, attributes, arguments,
               Environment(environment).get());
}

// Since glibc 2.39. libc's asks for the pidfd with the child; ours asks afterwards, so a child that another
// thread has waited for by then is ESRCH. Who has no number left for it hears so before there is a child,
// unless another thread takes the number that was kept just when it is given back.
template <class Start>
static int spawn_with_pidfd(int* pidfd, Start start) {
  KeptNumber kept;
  if (kept.error() != 0) return kept.error();
  pid_t born = 0;
  const int spawned = start(&born);
  const client::NoHandlers none;
  kept.give_back();
  if (spawned != 0) return spawned;
  const auto asked = static_cast<int>(system_call(SYS_pidfd_open, born, 0));
  if (asked < 0) return -asked;
  *pidfd = asked;
  return 0;
}

SKERRY_EXPORT int pidfd_spawn(int* pidfd, const char* path, const posix_spawn_file_actions_t* actions,
                              const posix_spawnattr_t* attributes, char* const* arguments,
                              char* const* environment) {
  return spawn_with_pidfd(pidfd, [&](pid_t* born) {
    return posix_spawn(born, path, actions, attributes, arguments, environment);
  });
}

SKERRY_EXPORT int pidfd_spawnp(int* pidfd, const char* file, const posix_spawn_file_actions_t* actions,
                               const posix_spawnattr_t* attributes, char* const* arguments,
                               char* const* environment) {
  return spawn_with_pidfd(pidfd, [&](pid_t* born) {
    return posix_spawnp(born, file, actions, attributes, arguments, environment);
  });
}
