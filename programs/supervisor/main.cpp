// skerry-supervisor NAME: runs the plan that it finds at descriptor 3 and says at descriptor 4 when all of it
// serves, or why not. Started by `skerry up` and `skerry run`; ends with `skerry down`, SIGINT, SIGTERM,
// SIGHUP, or its last program. See src/supervisor/control_protocol.hpp for the words.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "supervisor/runtime_directory.hpp"
#include "supervisor/sandbox.hpp"
#include "supervisor/service.hpp"

namespace {

using namespace skerry;
using namespace skerry::supervisor;

Result<Plan> read_plan() {
  std::ifstream file("/proc/self/fd/" + std::to_string(kEnvironmentFd));
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  ::close(kEnvironmentFd);
  return plan_from_json(text);
}

// SIGTERM is the host's; a terminal sends these two.
Result<Fd> watch_terminal(Host& host) {
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int number : {SIGINT, SIGHUP}) {
    struct sigaction inherited {};
    ::sigaction(number, nullptr, &inherited);
    if (inherited.sa_handler != SIG_IGN) ::sigaddset(&signals, number);  // nohup(1)
  }
  Fd fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  const Result<void> watched = host.waiter().watch(fd.get(), [&host, number = fd.get()](uint32_t) {
    signalfd_siginfo info;
    while (::read(number, &info, sizeof info) > 0) host.request_stop();
  });
  if (!watched) return watched.error();
  return fd;
}

// Each program needs about fifteen descriptors here.
void allow_many_descriptors() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Result<void> supervise(const std::string& name, const Supervisor::Started& started) {
  if (const Result<void> enough = check_kernel(); !enough) return enough;
  Result<Plan> plan = read_plan();
  if (!plan) return plan.error();
  Result<Host> host = Host::create();
  if (!host) return host.error();
  const Result<Fd> terminal = watch_terminal(*host);
  if (!terminal) return terminal.error();
  // Gone last, because its connections tell those who wait for `down` that nothing else is left.
  std::unique_ptr<Service> service;
  const Result<RuntimeClaim> claim = RuntimeClaim::adopt(name, Fd(kClaimFd));
  if (!claim) return claim.error();
  allow_many_descriptors();

  std::error_code error;
  Surroundings surroundings;
  surroundings.executables = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  Supervisor supervisor(std::move(*plan), *host, surroundings, started);
  Result<void> created = supervisor.create();
  if (!created) return created;
  int number = kFirstRulesFd;
  const auto next_rules = [&number] {
    Fd rules(number++);
    ::fcntl(rules.get(), F_SETFD, FD_CLOEXEC);
    return rules;
  };
  if (!supervisor.plan().filter.empty()) supervisor.set_default_rules(next_rules());
  for (const Network& network : supervisor.plan().networks) {
    if (network.filter.empty()) continue;
    const Result<void> given = supervisor.give_rules(network.name + ".vswitch", next_rules());
    if (!given) return given;
  }
  for (const Program& program : supervisor.plan().programs) {
    if (!has_rules(program)) continue;
    const Result<void> given = supervisor.give_rules(program.name + ".stack", next_rules());
    if (!given) return given;
  }
  Result<std::unique_ptr<Service>> serving = Service::create(claim->control_path(), supervisor, *host);
  if (!serving) return serving.error();
  service = std::move(*serving);

  while (!supervisor.finished()) {
    const TimeNs next = supervisor.tick(host->now());
    constexpr DurationNs kFlushEvery = 5 * kMillisecond;
    const TimeNs now = host->now();
    const DurationNs until_next = next == kNever ? kNever : next > now ? next - now : 0;
    if (!supervisor.finished()) host->wait(service->flush() ? std::min(until_next, kFlushEvery) : until_next);
  }
  return {};
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::fputs("skerry-supervisor is started by `skerry up` and `skerry run`\n", stderr);
    return 2;
  }
  Fd ready(kReadyFd);
  bool failed = false;
  const auto started = [&](const Result<void>& result) {
    failed = !result;
    const std::string line =
        format_reply(result ? nlohmann::json{{"ok", true}} : refusal(result.error().message, 1));
    const ssize_t ignored = ::write(ready.get(), line.data(), line.size());
    static_cast<void>(ignored);  // whoever started us may have gone
    ready.reset();
  };
  const Result<void> done = supervise(arguments[1], started);
  if (!done) started(done);
  return failed ? 1 : 0;
}
