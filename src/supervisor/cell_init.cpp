#include "supervisor/cell_init.hpp"

#include <linux/capability.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/system_error.hpp"
#include "run/control.hpp"
#include "supervisor/cell_filter.hpp"
#include "supervisor/cell_signals.hpp"

extern char** environ;

namespace skerry::supervisor {
namespace {

constexpr std::string_view kListenerName = "skerry";  // in the abstract namespace, so behind a NUL
constexpr int kListenerBacklog = 4096;

// What a server that root started needs to change its user, to own its files and to shut itself in
// (docs/security.md, "chroot"); nothing for the network,
// mounts or other namespaces. For everybody else the kernel keeps none of them across execve.
constexpr int kKeptCapabilities[] = {CAP_CHOWN,     CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID,
                                     CAP_KILL,      CAP_SETGID,       CAP_SETUID, CAP_NET_BIND_SERVICE,
                                     CAP_SYS_CHROOT};

Result<void> drop_capabilities() {
  const bool root = ::geteuid() == 0;
  __user_cap_data_struct kept[_LINUX_CAPABILITY_U32S_3] = {};
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
    if (root && std::ranges::find(kKeptCapabilities, capability) != std::end(kKeptCapabilities)) {
      kept[capability / 32].permitted |= 1U << (capability % 32);
      kept[capability / 32].effective |= 1U << (capability % 32);
    } else if (::prctl(PR_CAPBSET_DROP, capability) != 0) {
      return system_error("cannot drop a capability");
    }
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  if (::syscall(SYS_capset, &header, kept) != 0) return system_error("cannot drop capabilities");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return system_error("cannot set no_new_privs");
  // Init holds the control socket: the program, which may have the same uid, must not look into it.
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return system_error("cannot forbid tracing");
  return {};
}

Result<Fd> make_listener() {
  Fd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::copy(kListenerName.begin(), kListenerName.end(), address.sun_path + 1);
  const socklen_t length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + kListenerName.size());
  if (!listener || ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0 ||
      ::listen(listener.get(), kListenerBacklog) != 0)
    return system_error("cannot make the cell's listener");
  return listener;
}

// Shows the listener and waits until the stack serves it. `ended_by`: the signal that came before.
Result<void> wait_for_stack(const Fd& control, const Fd& listener, const Fd& signals, pid_t launcher,
                            int& ended_by) {
  const int fds[] = {listener.get()};
  Result<void> sent = send_control(control, {{"event", "listener"}, {"launcher", launcher}}, fds);
  if (!sent) return sent;
  for (;;) {
    pollfd sources[] = {{control.get(), POLLIN, 0}, {signals.get(), POLLIN, 0}};
    ::poll(sources, 2, -1);
    if (const int number = take_any_signal(signals); asks_to_end(number)) ended_by = number;
    if (ended_by != 0) return Error{"ended before its stack was ready"};
    if (sources[0].revents == 0) continue;
    Result<ControlMessage> message = receive_control(control);
    if (!message && message.error().system_error == EAGAIN) continue;
    if (!message) return Error{"the supervisor ended before the stack was ready"};
    const std::string command = message->body.value("command", "");
    if (command == "start") return {};
    const std::string why = message->body.value("error", "");
    if (command == "end" && why.empty()) ended_by = SIGTERM;
    return Error{why.empty() ? "the supervisor refused the program" : why};
  }
}

std::vector<std::string> surroundings(const CellSpec& spec) {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string_view::npos)
      variables.try_emplace(std::string(text.substr(0, equals)), text.substr(equals + 1));
  }
  for (const auto& [name, value] : spec.environment) variables[name] = value;
  if (spec.strict) variables["SKERRY_STRICT"] = "1";
  if (!spec.preload.empty()) {
    std::string& preload = variables["LD_PRELOAD"];
    preload = preload.empty() ? spec.preload : spec.preload + ":" + preload;
  }
  std::vector<std::string> entries;
  for (const auto& [name, value] : variables) entries.push_back(name + "=" + value);
  return entries;
}

// A directory that was opened outside leads out: every path below it is the host's. Which of the three, or
// -1.
int standard_directory() {
  for (int descriptor = 0; descriptor <= 2; ++descriptor) {
    struct stat status {};
    if (::fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode)) return descriptor;
  }
  return -1;
}

// In the child of init that becomes the program.
[[noreturn]] void become_program(const CellSpec& spec) {
  const std::vector<std::string> entries = surroundings(spec);
  std::vector<char*> arguments, environment;
  for (const std::string& argument : spec.argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  for (const std::string& entry : entries) environment.push_back(const_cast<char*>(entry.c_str()));
  arguments.push_back(nullptr);
  environment.push_back(nullptr);
  release_signals();
  if (const int directory = standard_directory(); directory >= 0) {
    ::dprintf(2,
              "skerry: %s: descriptor %d is a directory, which would lead out of the cell: give it a file\n",
              spec.name.c_str(), directory);
    ::_exit(kExitFailed);
  }
  ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  if (const Result<void> filtered = filter_program(spec.strict); !filtered) {
    ::dprintf(2, "skerry: %s: %s\n", spec.name.c_str(), filtered.error().message.c_str());
    ::_exit(kExitFailed);
  }
  ::execve(spec.executable.c_str(), arguments.data(), environment.data());
  const int number = errno;
  ::dprintf(2, "skerry: %s: cannot run %s: %s\n", spec.name.c_str(), spec.executable.c_str(),
            std::strerror(number));
  ::_exit(number == ENOENT ? kExitNotFound : kExitNotExecutable);
}

// Reaps whoever ended or stopped. The program's exit status once it has ended, else -1.
int reap(pid_t program, const Fd& stops) {
  int status = 0;
  for (pid_t child; (child = ::waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0;) {
    if (child != program) continue;
    if (!WIFSTOPPED(status)) return exit_status(status);
    const int number = WSTOPSIG(status);
    const ssize_t ignored = ::write(stops.get(), &number, sizeof number);
    static_cast<void>(ignored);
  }
  return -1;
}

int attend(const CellSpec& spec, pid_t program, const Fd& control, const Fd& signals, const Fd& stops) {
  bool told_to_end = false;
  for (;;) {
    if (const int status = reap(program, stops); status >= 0) return status;
    pollfd sources[] = {{signals.get(), POLLIN, 0}, {control.get(), POLLIN, 0}};
    ::poll(sources, 2, -1);
    if (sources[1].revents != 0) {
      Result<ControlMessage> message = receive_control(control);
      if (!message && message.error().system_error != EAGAIN && message.error().system_error != EBADMSG) {
        ::dprintf(2, "skerry: %s: %s\n", spec.name.c_str(),
                  told_to_end ? "it did not end when it was told to, and was killed"
                              : "the supervisor ended, and the program with it");
        return told_to_end ? 128 + SIGKILL : kExitFailed;
      }
      if (message && message->body.value("command", "") == "end") {
        const std::string why = message->body.value("error", "");
        if (!why.empty()) ::dprintf(2, "skerry: %s: %s\n", spec.name.c_str(), why.c_str());
        told_to_end = true;
        ::kill(program, SIGTERM);
      }
    }
    const int number = take_signal(signals);
    if (number > 0 && number != SIGCHLD) ::kill(program, number);
  }
}

}  // namespace

int run_init(const CellSpec& spec, Fd control, const Fd& signals, Fd stops, pid_t launcher) {
  const auto failed = [&](const Error& error) {
    ::dprintf(2, "skerry: %s: %s\n", spec.name.c_str(), error.message.c_str());
    return kExitFailed;
  };
  if (const Result<void> made = make_view(spec.view); !made) return failed(made.error());
  Result<Fd> listener = make_listener();
  if (!listener) return failed(listener.error());
  if (const Result<void> dropped = drop_capabilities(); !dropped) return failed(dropped.error());
  int ended_by = 0;
  const Result<void> served = wait_for_stack(control, *listener, signals, launcher, ended_by);
  if (!served) return ended_by != 0 ? 128 + ended_by : failed(served.error());
  // The stack and the supervisor have it; only they may accept.
  listener->reset();

  const pid_t program = ::fork();
  if (program < 0) return failed(system_error("cannot start the program"));
  if (program == 0) become_program(spec);
  // What came since the last look came before the program, most likely.
  for (int number; (number = take_any_signal(signals)) != 0;) {
    if (number != SIGCHLD) ::kill(program, number);
  }
  return attend(spec, program, control, signals, stops);
}

}  // namespace skerry::supervisor
