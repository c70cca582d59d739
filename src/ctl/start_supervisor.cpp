#include "ctl/start_supervisor.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "supervisor/control_protocol.hpp"
#include "supervisor/runtime_directory.hpp"

namespace skerry::ctl {

namespace {

constexpr int kStartTimeoutMs = 30'000;

Result<Fd> memory_with(const std::string& text) {
  Fd memory(::memfd_create("skerry-plan", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  size_t written = 0;
  while (memory && written < text.size()) {
    const ssize_t bytes = ::write(memory.get(), text.data() + written, text.size() - written);
    if (bytes < 0) break;
    written += static_cast<size_t>(bytes);
  }
  if (!memory || written < text.size()) {
    return Error{fmt::format("cannot make memory for the plan: {}", std::strerror(errno)), errno};
  }
  ::lseek(memory.get(), 0, SEEK_SET);
  ::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  return memory;
}

// The line that the supervisor writes when all runs; empty if it ended, or did not get so far in time.
std::string read_ready_line(int fd) {
  std::string text;
  while (text.find('\n') == std::string::npos) {
    pollfd ready{fd, POLLIN, 0};
    const int polled = ::poll(&ready, 1, kStartTimeoutMs);
    if (polled < 0 && errno == EINTR) continue;
    char bytes[4096];
    const ssize_t got = polled == 1 ? ::read(fd, bytes, sizeof bytes) : 0;
    if (got <= 0) return "";
    text.append(bytes, static_cast<size_t>(got));
  }
  return text;
}

std::string last_line(int log) {
  char bytes[4096];
  const off_t size = ::lseek(log, 0, SEEK_END);
  const off_t from = std::max<off_t>(0, size - static_cast<off_t>(sizeof bytes));
  const ssize_t got = ::pread(log, bytes, sizeof bytes, from);
  std::string text(bytes, static_cast<size_t>(std::max<ssize_t>(0, got)));
  text.resize(text.find_last_not_of(" \n") + 1);
  return text.substr(text.rfind('\n') + 1);
}

}  // namespace

Result<Child> start_supervisor(const supervisor::Plan& plan, Place place, const std::vector<Fd>& rules) {
  const Result<Fd> memory = memory_with(supervisor::plan_to_json(plan));
  if (!memory) return memory.error();
  Result<supervisor::RuntimeClaim> claim = supervisor::RuntimeClaim::take(plan.name);
  if (!claim) return claim.error();
  Fd log;
  const bool on_terminal = place == Place::terminal;
  if (!on_terminal) {
    Result<Fd> opened = claim->open_log();
    if (!opened) return opened.error();
    log = std::move(*opened);
  }
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return Error{fmt::format("no descriptors are left: {}", std::strerror(errno)), errno};
  const Fd reader(ends[0]);
  Fd writer(ends[1]);
  std::vector<PlacedFd> fds = {{memory->get(), supervisor::kEnvironmentFd},
                               {writer.get(), supervisor::kReadyFd},
                               {claim->lock_fd(), supervisor::kClaimFd}};
  for (size_t i = 0; i < rules.size(); ++i)
    fds.push_back({rules[i].get(), supervisor::kFirstRulesFd + static_cast<int>(i)});
  Result<Child> child = Child::start({.executable = beside("skerry-supervisor"),
                                      .argv = {"skerry-supervisor", plan.name},
                                      .fds = std::move(fds),
                                      .place = place,
                                      .log = log.get(),
                                      .signal_on_our_end = on_terminal ? SIGTERM : 0});
  if (!child) return child;
  writer.reset();
  const std::string line = read_ready_line(reader.get());
  if (!line.empty()) {
    const Result<nlohmann::json> reply = supervisor::parse_reply(line);
    if (reply) {
      claim->hand_over();
      return child;
    }
    child->wait(-1, {});
    return reply.error();
  }
  child->kill(SIGTERM);
  if (!child->wait_for(5000)) child->kill(SIGKILL);
  const int status = child->wait(-1, {});
  const std::string said = on_terminal ? "" : last_line(log.get());
  return Error{said.empty() ? fmt::format("the supervisor ended with status {} before everything ran", status)
                            : said};
}

}  // namespace skerry::ctl
