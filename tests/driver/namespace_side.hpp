// A process in a network namespace of its own with a TAP device: the kernel's stack as the other side of a
// test. The namespace and the device end with the process.
#pragma once

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <optional>

#include "driver/interface_watch.hpp"
#include "driver/tap/tap_device.hpp"
#include "run/control.hpp"

namespace skerry {

// A process in a namespace of its own with a TAP of that address, whose descriptor the test gets. It then
// runs `work` and exits with what that returns.
class NamespaceSide {
 public:
  NamespaceSide(uint32_t address, const std::function<int()>& work) {
    auto pair = create_control_pair();
    CHECK(pair);
    pid_ = ::fork();
    CHECK(pid_ >= 0);
    if (pid_ == 0) {
      ::alarm(30);
      if (::unshare(CLONE_NEWNET) != 0) ::_exit(100);
      const Result<Fd> tap = open_tap("sk-test");
      if (!tap || !set_up_interface("sk-test", address, 24, 1500)) ::_exit(101);
      const Result<Fd> watch = InterfaceWatch::open("sk-test");
      if (!watch) ::_exit(103);
      const int descriptors[] = {tap->get(), watch->get()};
      if (!send_control(pair->second, nlohmann::json::object(), descriptors)) ::_exit(102);
      ::_exit(work());
    }
    pair->second.reset();
    for (int tries = 0; tries < 5000 && !tap_; ++tries) {
      Result<ControlMessage> message = receive_control(pair->first);
      if (message && message->fds.size() == 2) {
        tap_ = std::move(message->fds[0]);
        watch_ = std::move(message->fds[1]);
      }
      if (!message && message.error().system_error != EAGAIN) break;
      ::usleep(1000);
    }
  }
  ~NamespaceSide() {
    if (pid_ > 0) ::kill(pid_, SIGKILL), ::waitpid(pid_, nullptr, 0);
  }

  Fd take_tap() { return std::move(tap_); }
  Fd take_watch() { return std::move(watch_); }
  // The exit status, once it has ended.
  std::optional<int> status() {
    int status = 0;
    if (pid_ <= 0 || ::waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
  }

 private:
  pid_t pid_ = -1;
  Fd tap_;
  Fd watch_;
};

class NeedsTap : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "opening a TAP device needs root";
    if (::access("/dev/net/tun", R_OK | W_OK) != 0) GTEST_SKIP() << "this machine has no /dev/net/tun";
  }
};

}  // namespace skerry
