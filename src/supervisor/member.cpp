#include "supervisor/member.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/system_error.hpp"
#include "run/env.hpp"
#include "supervisor/sandbox.hpp"

extern char** environ;

namespace skerry::supervisor {
namespace {

Result<Fd> open_output(const std::string& path) {
  Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!file) return system_error("cannot write " + path);
  return file;
}

std::string sentence_of(const nlohmann::json& error) {
  return error.is_string() ? error.get<std::string>() : "it refused without a word";
}

std::string describe(const siginfo_t& end) {
  if (end.si_code == CLD_EXITED) return fmt::format("ended with status {}", end.si_status);
  if (end.si_status == SIGSYS)
    return "was killed by its sandbox: it made a system call that its kind may not make";
  return fmt::format("was killed by signal {} ({})", end.si_status, ::strsignal(end.si_status));
}

}  // namespace

std::string_view to_string(MemberState state) {
  switch (state) {
    case MemberState::waiting:
      return "waiting";
    case MemberState::running:
      return "running";
    case MemberState::ended:
      return "ended";
    case MemberState::failed:
      return "failed";
  }
  return "unknown";
}

uint64_t cpu_ns_of(pid_t pid) {
  clockid_t clock;
  timespec used{};
  if (pid <= 0 || ::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &used) != 0) return 0;
  return static_cast<uint64_t>(used.tv_sec) * kSecond + static_cast<uint64_t>(used.tv_nsec);
}

void Member::begin(Fd control, TimeNs now) {
  control_ = std::move(control);
  state = MemberState::running;
  serving = stopping = lost_stack = false;
  kill_at = linger_until = kNever;
  started_at = now;
  heart.begin(now);
}

Result<void> Member::start(const Process& process, const Program* program, const Objects& objects,
                           const Surroundings& surroundings, TimeNs now) {
  Result<std::pair<Fd, Fd>> control = create_control_pair();
  if (!control) return control.error();
  Launch launch;
  launch.executable = fmt::format("{}/{}", surroundings.executables, executable_of(process.kind));
  launch.name = process.name;
  launch.kind = to_string(process.kind);
  launch.settings = process.settings;
  if (kind_ == ProcessKind::resolver) launch.settings["again"] = restarts > 0;
  launch.core = process.core;
  launch.limits = limits_of(process.kind);
  launch.log_fd = surroundings.log_fd;
  for (const Grant& grant : process.grants) {
    const bool is_control = grant.fd == "control";
    const int fd = is_control ? control->second.get() : objects.descriptor(grant.object, grant.access);
    CHECK(fd >= 0);
    launch.grants.push_back({grant.fd, fd});
    if (grant.fd == "stats") {
      Result<Fd> page = Fd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
      Result<StatsReader> reader = StatsReader::attach(*page);
      if (!reader) return reader.error();
      stats_.emplace(std::move(*reader));
    }
  }
  Fd output, log;
  if (program != nullptr && process.kind == ProcessKind::program) {
    launch.output_fd = surroundings.output_fd;
    for (char** entry = environ; *entry != nullptr; ++entry) launch.surrounding.emplace_back(*entry);
    for (const auto& [path, file, fd] : {std::tuple(&program->stdout_path, &output, &launch.output_fd),
                                         std::tuple(&program->stderr_path, &log, &launch.log_fd)}) {
      if (path->empty()) continue;
      Result<Fd> opened = open_output(*path);
      if (!opened) return opened.error();
      *file = std::move(*opened);
      *fd = file->get();
    }
  }
  own_inodes_ = {{"stdout", inode_of(launch.output_fd)},
                 {"stderr", inode_of(launch.log_fd)},
                 {"log", inode_of(launch.log_fd)},
                 {"control", inode_of(control->second.get())}};
  Result<Child> child = spawn(launch);
  if (!child) return child.error();
  child_ = std::move(*child);
  begin(std::move(control->first), now);
  return {};
}

Result<std::vector<Fd>> Member::prepare(const Process& process, TimeNs now) {
  Result<std::pair<Fd, Fd>> control = create_control_pair();
  if (!control) return control.error();
  Result<Fd> environment = write_env(
      {process.name, std::string(to_string(process.kind)), {{"control", kFirstGrant}}, process.settings});
  if (!environment) return environment.error();
  own_inodes_ = {{"control", inode_of(control->second.get())}};
  begin(std::move(control->first), now);
  std::vector<Fd> fds;
  fds.push_back(std::move(*environment));
  fds.push_back(std::move(control->second));
  return fds;
}

void Member::ask(nlohmann::json body, std::span<const int> fds, Answer answer) {
  if (!alive()) return answer(Error{fmt::format("{} does not run", name_)});
  body["id"] = last_id_ + 1;
  const Result<void> sent = send_control(control_, body, fds);
  if (!sent) return answer(sent.error());
  asked_.push_back({++last_id_, std::move(answer)});
}

void Member::tell(const nlohmann::json& body) const {
  const Result<void> sent = send_control(control_, body);
  static_cast<void>(sent);  // one that cannot hear us any more ends soon, and that is noticed
}

bool Member::take_messages(std::vector<ControlMessage>& unasked) {
  // A bound, because one that never stops talking must not keep us from the others.
  constexpr int kMostAtOnce = 16;
  for (int taken = 0; taken < kMostAtOnce && alive(); ++taken) {
    Result<ControlMessage> message = receive_control(control_);
    if (!message && message.error().system_error == EAGAIN) return true;
    if (!message && message.error().system_error != EBADMSG) return false;
    if (message && message->body.contains("event")) {
      unasked.push_back(std::move(*message));
    } else {
      deliver(std::move(message));
    }
  }
  return alive();
}

// To whom it is for. What was asked before that has lost its answer; an answer to nothing that was asked is
// for nobody. One that cannot be read is the first one's.
void Member::deliver(Result<ControlMessage> message) {
  if (asked_.empty()) return;
  uint64_t id = asked_.front().id;
  if (message) {
    const nlohmann::json said = message->body.value("id", nlohmann::json());
    if (!said.is_number_unsigned()) return;
    id = said.get<uint64_t>();
  }
  const auto is_of = [id](const Asked& each) { return each.id == id; };
  if (std::none_of(asked_.begin(), asked_.end(), is_of)) return;
  std::deque<Asked> lost;
  while (asked_.front().id != id) {
    lost.push_back(std::move(asked_.front()));
    asked_.pop_front();
  }
  const Answer answer = std::move(asked_.front().answer);
  asked_.pop_front();
  for (const Asked& each : lost) each.answer(Error{fmt::format("the answer of {} is lost", name_)});
  if (message && message->body.contains("error"))
    answer(Error{fmt::format("{}: {}", name_, sentence_of(message->body["error"]))});
  else
    answer(std::move(message));
}

void Member::signal(int number) const {
  // Of an attached program the pid is hearsay, and may be another's by now.
  if (child_.pidfd) ::kill(child_.pid, number);
}

std::string Member::reap() {
  std::string clause = "has gone";
  if (child_.pidfd) {
    siginfo_t end{};
    while (::waitid(P_PIDFD, static_cast<id_t>(child_.pidfd.get()), &end, WEXITED) != 0 && errno == EINTR) {
    }
    clause = describe(end);
    exit_status_ = end.si_code == CLD_EXITED ? end.si_status : 128 + end.si_status;
  }
  child_ = Child{};
  control_.reset();
  stats_.reset();
  serving = false;
  kill_at = linger_until = kNever;
  std::deque<Asked> asked;
  asked.swap(asked_);
  for (const Asked& each : asked) each.answer(Error{fmt::format("{} {}", name_, clause)});
  return clause;
}

uint64_t Member::own_inode(std::string_view fd) const {
  for (const auto& [name, inode] : own_inodes_) {
    if (name == fd) return inode;
  }
  return 0;
}

}  // namespace skerry::supervisor
