// system(3) and popen(3). libc's start the shell by calls that nobody can interpose, so the stack would hear
// of it from the shell itself, which asks what its parent's numbers are when those may be other sockets by
// then. Ours do what libc's do (glibc sysdeps/posix/system.c, libio/iopopen.c) with our posix_spawn().
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "preload/growing_table.hpp"
#include "preload/interpose.hpp"
#include "preload/standard_streams.hpp"
#include "sockets/client_cancel.hpp"
#include "sockets/client_descriptors.hpp"

namespace skerry::preload {
namespace {

namespace client = sockets::client;
using client::state;
using client::system_call;
using client::word;

constinit Next<int(const char*)> next_system{"system"};
constinit Next<FILE*(const char*, const char*)> next_popen{"popen"};
constinit Next<int(FILE*)> next_pclose{"pclose"};
constinit Next<int(FILE*)> next_fclose{"fclose"};

int start_shell(pid_t& child, const char* command, const posix_spawn_file_actions_t* actions,
                const posix_spawnattr_t* attributes) {
  char shell[] = "sh", option[] = "-c";
  char* const arguments[] = {shell, option, const_cast<char*>(command), nullptr};
  return posix_spawn(&child, "/bin/sh", actions, attributes, arguments, environ);
}

// No point of cancellation.
int wait_quietly(pid_t child) {
  int status = 0;
  long result = -EINTR;
  while (result == -EINTR) result = system_call(SYS_wait4, child, word(&status), 0, 0);
  return result == child ? status : finish(static_cast<int>(result < 0 ? result : -ECHILD));
}

// While any thread is in system(), the process ignores what a person types to end the command.
constinit std::atomic<uint32_t> ignoring_lock = 0;
constinit uint32_t ignoring = 0;
constinit struct sigaction before_interrupt = {}, before_quit = {};

void ignore_interrupts() {
  const client::Lock lock(ignoring_lock);
  if (ignoring++ != 0) return;
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGINT, &ignore, &before_interrupt);
  sigaction(SIGQUIT, &ignore, &before_quit);
}

void take_interrupts() {
  const client::Lock lock(ignoring_lock);
  if (--ignoring != 0) return;
  sigaction(SIGINT, &before_interrupt, nullptr);
  sigaction(SIGQUIT, &before_quit, nullptr);
}

void end_cancelled(void* child) {
  const pid_t number = *static_cast<pid_t*>(child);
  system_call(SYS_kill, number, SIGKILL);
  wait_quietly(number);
  take_interrupts();
}

int wait_for_command(pid_t child) {
  int status = -1;
  pthread_cleanup_push(end_cancelled, &child);
  pid_t ended = -1;
  do {
    ended = waitpid(child, &status, 0);
  } while (ended < 0 && errno == EINTR);
  if (ended != child) status = -1;
  pthread_cleanup_pop(0);
  return status;
}

int run_command(const char* command) {
  ignore_interrupts();
  sigset_t blocked, unblocked, defaults;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGCHLD);
  pthread_sigmask(SIG_BLOCK, &blocked, &unblocked);
  sigemptyset(&defaults);
  if (before_interrupt.sa_handler != SIG_IGN) sigaddset(&defaults, SIGINT);
  if (before_quit.sa_handler != SIG_IGN) sigaddset(&defaults, SIGQUIT);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigmask(&attributes, &unblocked);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  pid_t child = 0;
  const int problem = start_shell(child, command, nullptr, &attributes);
  posix_spawnattr_destroy(&attributes);
  // What system(3) says of a shell that cannot be started.
  const int status = problem == 0 ? wait_for_command(child) : 127 << 8;
  take_interrupts();
  pthread_sigmask(SIG_SETMASK, &unblocked, nullptr);
  if (problem != 0) errno = problem;
  return status;
}

// Streams that are open to a command. They change under the lock of the descriptor table alone.
struct Command {
  std::atomic<FILE*> stream;  // null: free
  int fd;
  pid_t child;
};
constinit GrowingTable<Command> commands;
constinit std::atomic<uint32_t> commands_open = 0;

struct Pipe {
  int ours, theirs;
  int their_number;  // of the command: its standard input or output
};

// A command has none of the streams that others were started with (POSIX popen()).
int start_command(const char* command, const Pipe& pipe, pid_t& child) {
  posix_spawn_file_actions_t actions;
  if (const int problem = posix_spawn_file_actions_init(&actions); problem != 0) return problem;
  int problem = posix_spawn_file_actions_adddup2(&actions, pipe.theirs, pipe.their_number);
  commands.find([&](const Command& other) {
    if (problem == 0 && other.stream.load() != nullptr && other.fd != pipe.their_number)
      problem = posix_spawn_file_actions_addclose(&actions, other.fd);
    return problem != 0;
  });
  if (problem == 0) problem = start_shell(child, command, &actions, nullptr);
  posix_spawn_file_actions_destroy(&actions);
  return problem;
}

// The stream, or null with errno. Nobody opens, closes or forks meanwhile, so no other command has its pipe.
FILE* open_command(const char* command, bool reads, bool close_on_exec) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return nullptr;
  const Pipe pipe = reads ? Pipe{ends[0], ends[1], STDOUT_FILENO} : Pipe{ends[1], ends[0], STDIN_FILENO};
  FILE* const stream = fdopen(pipe.ours, reads ? "r" : "w");
  int problem = stream == nullptr ? errno : 0;
  client::Lock table = client::lock_table();
  const client::Undo undo([](void* lock) { static_cast<client::Lock*>(lock)->release(); }, &table);
  Command* const place = commands.claim([](const Command& one) { return one.stream.load() == nullptr; });
  pid_t child = 0;
  if (problem == 0) problem = place == nullptr ? ENOMEM : start_command(command, pipe, child);
  close(pipe.theirs);
  if (problem != 0) {
    stream == nullptr ? close(pipe.ours) : next_fclose(stream);
    errno = problem;
    return nullptr;
  }
  if (!close_on_exec) fcntl(pipe.ours, F_SETFD, 0);
  place->fd = pipe.ours;
  place->child = child;
  place->stream.store(stream);
  commands_open.fetch_add(1);
  return stream;
}

// -1: the stream is not to a command.
pid_t forget_command(FILE* stream) {
  if (stream == nullptr || commands_open.load(std::memory_order_relaxed) == 0) return -1;
  const client::Lock table = client::lock_table();
  Command* const command = commands.find([&](const Command& one) { return one.stream.load() == stream; });
  if (command == nullptr) return -1;
  const pid_t child = command->child;
  command->stream.store(nullptr);
  commands_open.fetch_sub(1);
  return child;
}

int close_command(FILE* stream, pid_t child) {
  next_fclose(stream);
  return wait_quietly(child);
}

}  // namespace

void resolve_shell() {
  next_system.resolve();
  next_popen.resolve();
  next_pclose.resolve();
  next_fclose.resolve();
}

}  // namespace skerry::preload

using namespace skerry::preload;

SKERRY_EXPORT int system(const char* command) {
  if (!client::state.attached) return next_system(command);
  return command == nullptr ? run_command("exit 0") == 0 : run_command(command);
}

SKERRY_EXPORT FILE* popen(const char* command, const char* type) {
  if (!client::state.attached) return next_popen(command, type);
  uint32_t reads = 0, writes = 0;
  bool close_on_exec = false;
  for (const char* letter = type; *letter != 0; ++letter) {
    reads += *letter == 'r';
    writes += *letter == 'w';
    close_on_exec = close_on_exec || *letter == 'e';
    if (*letter != 'r' && *letter != 'w' && *letter != 'e') writes = reads = 1;
  }
  if ((reads != 0) == (writes != 0)) {
    errno = EINVAL;
    return nullptr;
  }
  return open_command(command, reads != 0, close_on_exec);
}

SKERRY_EXPORT int pclose(FILE* stream) {
  const pid_t child = forget_command(stream);
  return child < 0 ? next_pclose(stream) : close_command(stream, child);
}

// libc's fclose() of such a stream waits for the command, too.
SKERRY_EXPORT int fclose(FILE* stream) {
  if (const int fd = standard_number(stream); fd >= 0) return close_standard_stream(fd);
  const pid_t child = forget_command(stream);
  return child < 0 ? next_fclose(stream) : close_command(stream, child);
}
