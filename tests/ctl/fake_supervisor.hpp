// A supervisor that answers with what a test tells it, and the real command to ask it: so that what people
// see is tested without starting anything.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <thread>

#include "supervisor/control_socket.hpp"
#include "supervisor/runtime_directory.hpp"

namespace skerry::ctl {

class FakeSupervisor {
 public:
  struct Answer {
    nlohmann::json reply;
    std::vector<int> descriptors;
    bool hang_up = false;
    bool silent = false;  // hangs up without a word
  };
  using Answers = std::map<supervisor::Command, std::function<Answer(const supervisor::Request&)>>;

  FakeSupervisor(const std::string& name, Answers answers) : answers_(std::move(answers)) {
    Result<supervisor::RuntimeClaim> claim = supervisor::RuntimeClaim::take(name);
    CHECK(claim);
    claim_.emplace(std::move(*claim));
    Result<supervisor::ControlListener> listener =
        supervisor::ControlListener::create(claim_->control_path());
    CHECK(listener);
    listener_.emplace(std::move(*listener));
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeSupervisor() {
    stop_ = true;
    thread_.join();
  }

 private:
  void serve() {
    std::vector<supervisor::ControlConnection> connections;
    while (!stop_) {
      ::usleep(2000);
      while (auto connection = listener_->accept()) connections.push_back(std::move(*connection));
      for (size_t i = 0; i < connections.size();) {
        std::vector<supervisor::ControlLine> lines;
        bool open = connections[i].receive(lines);
        for (const supervisor::ControlLine& line : lines) open = answer(connections[i], line.line) && open;
        if (open) {
          ++i;
        } else {
          connections.erase(connections.begin() + static_cast<ptrdiff_t>(i));
        }
      }
    }
  }
  bool answer(supervisor::ControlConnection& connection, const std::string& line) {
    const Result<supervisor::Request> request = supervisor::parse_request(line);
    const auto known = request ? answers_.find(request->command) : answers_.end();
    if (known == answers_.end()) {
      return connection.send(supervisor::format_reply(supervisor::refusal("the fake has no answer to that")));
    }
    const Answer given = known->second(*request);
    if (given.silent) return false;
    return connection.send(supervisor::format_reply(given.reply), given.descriptors) && !given.hang_up;
  }

  Answers answers_;
  std::optional<supervisor::RuntimeClaim> claim_;
  std::optional<supervisor::ControlListener> listener_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

struct Ended {
  int status = -1;  // 128 + n after signal n; -1: it did not end in time and was killed
  std::string out, err;
};

// A running `skerry` with the given words. Its output goes to files of the folder.
class RunningCommand {
 public:
  RunningCommand(const std::string& folder, const std::vector<std::string>& words) : folder_(folder) {
    pid_ = ::fork();
    CHECK(pid_ >= 0);
    if (pid_ != 0) return;
    ::dup2(::open((folder_ + "/out").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), 1);
    ::dup2(::open((folder_ + "/err").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), 2);
    std::vector<char*> argv = {const_cast<char*>("skerry")};
    for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    ::execv(SKERRY_COMMAND, argv.data());
    ::_exit(99);
  }
  pid_t pid() const { return pid_; }

  Ended wait() {
    Ended ended;
    int status = 0;
    for (int i = 0; i < 4000; ++i, ::usleep(5000)) {
      if (::waitpid(pid_, &status, WNOHANG) != pid_) continue;
      ended.status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
      break;
    }
    if (ended.status < 0) ::kill(pid_, SIGKILL), ::waitpid(pid_, nullptr, 0);
    ended.out = read(folder_ + "/out");
    ended.err = read(folder_ + "/err");
    return ended;
  }
  // True once the file holds the text.
  static bool wait_for(const std::string& path, const std::string& text) {
    for (int i = 0; i < 4000; ++i, ::usleep(5000)) {
      if (read(path).find(text) != std::string::npos) return true;
    }
    return false;
  }
  static std::string read(const std::string& path) {
    std::string text;
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    char bytes[4096];
    for (ssize_t got; (got = ::read(file.get(), bytes, sizeof bytes)) > 0;)
      text.append(bytes, static_cast<size_t>(got));
    return text;
  }

 private:
  std::string folder_;
  pid_t pid_;
};

class WithCommand : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/skerry-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
    ASSERT_EQ(::setenv("SKERRY_RUNTIME_DIR", (folder_ + "/run").c_str(), 1), 0);
  }
  void TearDown() override {
    ::unsetenv("SKERRY_RUNTIME_DIR");
    std::filesystem::remove_all(folder_);
  }
  Ended skerry(const std::vector<std::string>& words) { return RunningCommand(folder_, words).wait(); }

  std::string folder_;
};

}  // namespace skerry::ctl
