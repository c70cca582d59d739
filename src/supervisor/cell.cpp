#include "supervisor/cell.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/system_error.hpp"
#include "supervisor/cell_init.hpp"
#include "supervisor/cell_signals.hpp"
#include "supervisor/program_file.hpp"
#include "supervisor/runtime_place.hpp"

namespace skerry::supervisor {
namespace {

Result<void> write_text(const std::string& path, const std::string& text) {
  const Fd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return system_error("cannot write " + path);
  return {};
}

// Everybody keeps the uid that he has: files look as they do outside. Root keeps a whole range, so that
// servers which change their user still can; anybody else has himself only.
Result<void> map_users(pid_t init) {
  const std::string proc = "/proc/" + std::to_string(init);
  if (::geteuid() == 0 && write_text(proc + "/uid_map", "0 0 65536"))
    return write_text(proc + "/gid_map", "0 0 65536");
  const auto identity = [](unsigned id) { return std::to_string(id) + " " + std::to_string(id) + " 1"; };
  // Without this a process could leave a group that forbids it something (user_namespaces(7)).
  Result<void> done = write_text(proc + "/setgroups", "deny");
  if (done) done = write_text(proc + "/uid_map", identity(::geteuid()));
  if (done) done = write_text(proc + "/gid_map", identity(::getegid()));
  return done;
}

int say(const std::string& name, const Error& error, int status) {
  ::dprintf(2, "skerry: %s: %s\n", name.c_str(), error.message.c_str());
  return status;
}

int status_for(const Error& error) {
  if (error.system_error == ENOENT || error.system_error == ENOTDIR) return kExitNotFound;
  return kExitNotExecutable;
}

// The launcher's part: passes on what it is told, stops when the program stops, ends as it ends.
int attend(pid_t init, const Fd& signals, Fd stops) {
  for (;;) {
    int status = 0;
    if (::waitpid(init, &status, WNOHANG) == init) return exit_status(status);
    pollfd sources[] = {{signals.get(), POLLIN, 0}, {stops.get(), POLLIN, 0}};
    if (::poll(sources, 2, -1) < 0 && errno != EINTR) return kExitFailed;
    int stopped_by = 0;
    // Init is gone, but its end is only told when everybody inside has ended.
    if (sources[1].revents == POLLHUP) stops.reset();
    // A stop travels outwards one parent at a time, so that the user's shell sees its own child stop.
    if ((sources[1].revents & POLLIN) &&
        ::read(stops.get(), &stopped_by, sizeof stopped_by) == sizeof stopped_by)
      ::raise(SIGSTOP);
    const int number = take_signal(signals);
    if (number > 0 && number != SIGCHLD) ::kill(init, number);
  }
}

}  // namespace

// The program beside its stack: what they hand to each other stays in one core's cache, and a yield is a
// hand-over.
static Result<void> stay_on(std::optional<unsigned> core) {
  if (!core) return {};
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(*core, &cores);
  if (::sched_setaffinity(0, sizeof cores, &cores) == 0) return {};
  return Error{"the program may not run on core " + std::to_string(*core) + ": choose another with --core",
               errno};
}

Result<CellSpec> parse_cell(const std::string& name, const nlohmann::json& settings,
                            const std::string& preload) {
  try {
    CellSpec spec;
    spec.name = name;
    settings.at("argv").get_to(spec.argv);
    settings.at("executable").get_to(spec.executable);
    settings.at("working_directory").get_to(spec.view.working_directory);
    spec.environment = settings.value("environment", spec.environment);
    spec.view.shares = settings.value("shares", spec.view.shares);
    spec.view.hosts = settings.value("hosts", spec.view.hosts);
    spec.view.resolver = settings.value("resolver", "");
    spec.preload = settings.value("preload", preload);
    spec.strict = settings.value("strict", false);
    if (settings.contains("core")) spec.core = settings["core"].get<unsigned>();
    if (spec.argv.empty()) return Error{"the program's argv is empty"};
    return spec;
  } catch (const nlohmann::json::exception& problem) {
    return Error{std::string("the settings of a program are not understood: ") + problem.what()};
  }
}

int run_cell(const CellSpec& spec, Fd control) {
  if (const Result<void> fit = check_program_file(spec.executable); !fit)
    return say(spec.name, fit.error(), status_for(fit.error()));
  if (!spec.preload.empty() && ::access(spec.preload.c_str(), R_OK) != 0)
    return say(spec.name, Error{spec.preload + " is missing: build or install all of Skerry"}, kExitFailed);
  if (const Result<void> placed = stay_on(spec.core); !placed)
    return say(spec.name, placed.error(), kExitFailed);
  CellSpec complete = spec;
  complete.view.hidden_sockets = listening_sockets();
  complete.view.hidden_directories = runtime_places();
  // One that is not there yet could be made by the program, and its control socket would be the program's.
  for (const std::string& place : complete.view.hidden_directories) ::mkdir(place.c_str(), 0700);

  Result<Fd> signals = take_over_signals();
  if (!signals) return say(spec.name, signals.error(), kExitFailed);
  int mapped[2], stops[2];
  if (::pipe2(mapped, O_CLOEXEC) != 0 || ::pipe2(stops, O_CLOEXEC) != 0)
    return say(spec.name, system_error("cannot create a pipe"), kExitFailed);
  Fd mapped_read(mapped[0]), mapped_write(mapped[1]), stops_read(stops[0]), stops_write(stops[1]);

  constexpr unsigned long kNamespaces = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC |
                                        CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWCGROUP;
  const pid_t launcher = ::getpid();
  const pid_t init =
      static_cast<pid_t>(::syscall(SYS_clone, kNamespaces | SIGCHLD, nullptr, nullptr, nullptr, 0));
  if (init < 0) {
    return say(spec.name,
               system_error("cannot create the cell's namespaces; allow them with `sysctl "
                            "user.max_user_namespaces=10000` (and, where it exists, "
                            "kernel.unprivileged_userns_clone=1)"),
               kExitFailed);
  }
  if (init == 0) {
    mapped_write.reset();
    stops_read.reset();
    // The launcher writes one byte when the maps stand, and nothing if it died before. If it dies between
    // that and our wish to die with it, its end of the other pipe has gone.
    char byte;
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::read(mapped_read.get(), &byte, 1) != 1)
      ::_exit(kExitFailed);
    mapped_read.reset();
    pollfd launcher_end{stops_write.get(), 0, 0};
    if (::poll(&launcher_end, 1, 0) != 0) ::_exit(kExitFailed);
    ::_exit(run_init(complete, std::move(control), *signals, std::move(stops_write), launcher));
  }
  control.reset();
  stops_write.reset();
  mapped_read.reset();
  // What the terminal sent before there was an init did not reach it.
  for (int number; (number = take_any_signal(*signals)) != 0;) {
    if (number != SIGCHLD) ::kill(init, number);
  }
  const Result<void> users = map_users(init);
  if (!users || ::write(mapped_write.get(), "", 1) != 1) {
    ::kill(init, SIGKILL);
    ::waitpid(init, nullptr, 0);
    return say(spec.name, users ? Error{"the cell ended while it was made"} : users.error(), kExitFailed);
  }
  return attend(init, *signals, std::move(stops_read));
}

}  // namespace skerry::supervisor
