// A supervisor as `skerry up` starts it, in a runtime directory of its own and with a stand-in for the stack:
// what the tests of the running system share.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "run/confine.hpp"
#include "supervisor/attach.hpp"
#include "supervisor/control_socket.hpp"
#include "supervisor/machine.hpp"
#include "supervisor/plan.hpp"
#include "supervisor/runtime_directory.hpp"

namespace skerry::supervisor {

inline constexpr int kPatienceMs = 30'000;

// Tries until it is true; false after kPatienceMs.
inline bool eventually(const std::function<bool()>& condition) {
  for (int tries = 0; tries < kPatienceMs / 10; ++tries) {
    if (condition()) return true;
    ::usleep(10'000);
  }
  return false;
}

// Of one process. A row that has no process says -1, which to kill(2) is everybody.
inline void kill_process(pid_t pid, int number = SIGKILL) {
  ASSERT_GT(pid, 1) << "there is no process to kill";
  ::kill(pid, number);
}

// False of one that has ended and waits to be reaped, by a PID 1 perhaps that takes its time.
inline bool runs(pid_t pid) {
  std::FILE* file = std::fopen(("/proc/" + std::to_string(pid) + "/stat").c_str(), "r");
  char state = 'X';
  if (file != nullptr && std::fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = 'X';
  if (file != nullptr) std::fclose(file);
  return state != 'X' && state != 'Z';
}

// Is there once everything serves: a program that harms its own stack waits for it, because a stack that dies
// earlier is a start that failed.
inline std::string everything_serves_mark() {
  return "/tmp/sk-serves-" + std::to_string(::getpid());
}

class RunningSkerry {
 public:
  // `own_network`: in a network namespace of its own, for what would else touch the host's.
  explicit RunningSkerry(const Plan& plan, bool own_network = false) : name_(plan.name) {
    namespace fs = std::filesystem;
    fs::remove(everything_serves_mark());  // that of a test that was killed, whose number this one has
    char place[] = "/tmp/sk-supervisor-test-XXXXXX";
    directory_ = ::mkdtemp(place);
    ::setenv("SKERRY_RUNTIME_DIR", (directory_ + "/run").c_str(), 1);
    ::chmod(directory_.c_str(), 0755);
    // Copies, because these two look for the others beside themselves.
    fs::copy_file(SKERRY_SUPERVISOR, directory_ + "/skerry-supervisor");
    fs::copy_file(SKERRY_CELL, directory_ + "/skerry-cell");
    fs::copy_file(SKERRY_FAKE_PRELOAD, directory_ + "/libskerry-preload.so");
    fs::create_symlink(SKERRY_VSWITCH, directory_ + "/skerry-vswitch");
    fs::create_symlink(SKERRY_DRIVER_TAP, directory_ + "/skerry-driver-tap");
    fs::create_symlink(SKERRY_DRIVER_AFXDP, directory_ + "/skerry-driver-afxdp");
    fs::create_symlink(SKERRY_DRIVER_USER, directory_ + "/skerry-driver-user");
    fs::create_symlink(SKERRY_RESOLVER, directory_ + "/skerry-resolver");
    fs::create_symlink(SKERRY_FAKE_STACK, directory_ + "/skerry-stack");
    start(plan_to_json(plan), own_network,
          static_cast<int>(std::count_if(plan.programs.begin(), plan.programs.end(), has_rules)));
  }
  ~RunningSkerry() {
    if (pid_ > 0) {
      kill_process(pid_);
      ::waitpid(pid_, nullptr, 0);
    }
    for (const pid_t child : launched_) {
      kill_process(child);
      ::waitpid(child, nullptr, 0);
    }
    std::filesystem::remove_all(directory_);
    std::filesystem::remove(everything_serves_mark());
  }

  // What it said when everything served, or did not.
  nlohmann::json ready_line() {
    std::string text;
    pollfd source{ready_.get(), POLLIN, 0};
    std::array<char, 4096> piece;
    while (text.find('\n') == std::string::npos && ::poll(&source, 1, kPatienceMs) == 1) {
      const ssize_t got = ::read(ready_.get(), piece.data(), piece.size());
      if (got <= 0) break;
      text.append(piece.data(), static_cast<size_t>(got));
    }
    const nlohmann::json line = nlohmann::json::parse(text, nullptr, false);
    if (line == nlohmann::json({{"ok", true}})) std::ofstream(everything_serves_mark()).flush();
    return line;
  }

  ControlLine call(const Request& request) {
    Result<std::string> path = control_path(name_);
    Result<ControlClient> client = ControlClient::connect(*path);
    EXPECT_TRUE(client) << client.error().message;
    if (!client) return {};
    Result<ControlLine> reply = client->call(format_request(request));
    EXPECT_TRUE(reply) << reply.error().message;
    return reply ? std::move(*reply) : ControlLine{};
  }
  nlohmann::json ask(Command command) {
    return nlohmann::json::parse(call({.command = command}).line, nullptr, false);
  }

  // The row of a process in `ps`; null if there is none.
  nlohmann::json row(const std::string& process) {
    const nlohmann::json reply = ask(Command::ps);
    for (const nlohmann::json& row : reply["processes"]) {
      if (row["name"] == process) return row;
    }
    return nullptr;
  }
  uint64_t counter(const std::string& process, const std::string& name) {
    const nlohmann::json reply = ask(Command::top);
    for (const nlohmann::json& row : reply["processes"]) {
      if (row["name"] == process) return row["counters"].value(name, uint64_t{0});
    }
    return 0;
  }

  // Starts a launcher as `skerry run` does. `output` becomes its descriptors 1 and 2.
  pid_t launch(const ControlLine& reply, int output) {
    Result<RunReply> run = parse_run_reply(nlohmann::json::parse(reply.line, nullptr, false));
    EXPECT_TRUE(run) << run.error().message << reply.line;
    if (!run) return -1;
    const pid_t child = ::fork();
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      std::vector<int> moved;
      for (const Fd& fd : reply.descriptors) moved.push_back(::fcntl(fd.get(), F_DUPFD, 100));
      ::dup2(output, 1);
      ::dup2(output, 2);
      for (size_t i = 0; i < moved.size(); ++i) ::dup2(moved[i], run->fds[i]);
      ::close_range(5, ~0U, 0);
      ::execl(run->executable.c_str(), "skerry-cell", run->name.c_str(), nullptr);
      ::_exit(127);
    }
    if (child > 0) launched_.insert(child);
    return child;
  }
  int wait_launched(pid_t child) {
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    launched_.erase(child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }

  pid_t pid() const { return pid_; }
  void signal(int number) { kill_process(pid_, number); }
  // Its exit status, or 1000 + the signal; -1 if it did not end in time.
  int wait_end() {
    int status = 0;
    if (!eventually([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; })) return -1;
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }
  const std::string& directory() const { return directory_; }
  std::string log() const {
    std::string text(65536, '\0');
    const ssize_t got = ::pread(log_.get(), text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return text;
  }
  const std::string& name() const { return name_; }

 private:
  // `rules`: of how many programs; they are empty.
  void start(const std::string& plan, bool own_network, int rules) {
    const Fd memory(::memfd_create("plan", MFD_CLOEXEC));
    EXPECT_EQ(::write(memory.get(), plan.data(), plan.size()), static_cast<ssize_t>(plan.size()));
    ::lseek(memory.get(), 0, SEEK_SET);
    int ready[2];
    EXPECT_EQ(::pipe2(ready, O_CLOEXEC), 0);
    ready_.reset(ready[0]);
    const Fd ready_write(ready[1]);
    log_.reset(::memfd_create("log", MFD_CLOEXEC));
    // As the real one: several processes write it, and none over what another has written.
    EXPECT_EQ(::fcntl(log_.get(), F_SETFL, O_APPEND), 0);
    const std::string executable = directory_ + "/skerry-supervisor";
    Result<RuntimeClaim> claim = RuntimeClaim::take(name_);
    ASSERT_TRUE(claim) << claim.error().message;
    pid_ = ::fork();
    if (pid_ != 0) return claim->hand_over();
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (own_network && ::unshare(CLONE_NEWNET) != 0) ::_exit(126);
    const int plan_copy = ::fcntl(memory.get(), F_DUPFD, 100),
              ready_copy = ::fcntl(ready_write.get(), F_DUPFD, 100),
              claim_copy = ::fcntl(claim->lock_fd(), F_DUPFD, 100);
    ::dup2(log_.get(), 1);
    ::dup2(log_.get(), 2);
    ::dup2(plan_copy, kEnvironmentFd);
    ::dup2(ready_copy, kReadyFd);
    ::dup2(claim_copy, kClaimFd);
    for (int i = 0; i < rules; ++i) {
      const int empty = ::memfd_create("rules", MFD_ALLOW_SEALING);
      ::fcntl(empty, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW);
      ::dup2(empty, kFirstRulesFd + i);
    }
    ::close_range(static_cast<unsigned>(kFirstRulesFd + rules), ~0U, 0);
    ::execl(executable.c_str(), "skerry-supervisor", name_.c_str(), nullptr);
    ::_exit(127);
  }

  std::string name_, directory_;
  pid_t pid_ = -1;
  Fd ready_, log_;
  std::set<pid_t> launched_;
};

inline Plan empty_plan(const std::string& name, bool ends_with_last = false, Uplink uplink = Uplink::none) {
  Result<Plan> plan = default_plan(name, uplink, std::nullopt, std::nullopt, this_machine());
  EXPECT_TRUE(plan) << plan.error().message;
  plan->ends_with_last = ends_with_last;
  return std::move(*plan);
}

// A program of the plan itself, as a composition would have it.
inline void add(Plan& plan, const std::string& name, std::vector<std::string> argv,
                Restart restart = Restart::never, const std::string& stdout_path = "",
                const std::vector<Allow>& allow = {}) {
  Program program;
  program.name = name;
  program.executable = argv.front();
  program.argv = std::move(argv);
  program.working_directory = "/";
  program.network = plan.networks.front().name;
  program.restart = restart;
  program.stdout_path = stdout_path;
  program.allow = allow;
  if (!allow.empty()) program.name_servers = {"127.0.0.1:5353"};
  const Result<Addition> added = add_program(plan, program);
  ASSERT_TRUE(added) << added.error().message;
}

// Processes whose parent is `pid`.
inline std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const pid_t candidate = static_cast<pid_t>(std::atoi(entry.path().filename().c_str()));
    std::FILE* file = candidate > 0 ? std::fopen((entry.path() / "stat").c_str(), "r") : nullptr;
    if (file == nullptr) continue;
    int parent = 0;
    if (std::fscanf(file, "%*d (%*[^)]) %*c %d", &parent) == 1 && parent == pid) found.push_back(candidate);
    std::fclose(file);
  }
  return found;
}

}  // namespace skerry::supervisor
