// `skerry capture`: the frames of one link, as the vswitch sees them, into a file for Wireshark or tcpdump.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "ctl/command.hpp"
#include "ctl/pcapng_blocks.hpp"
#include "ctl/running.hpp"
#include "supervisor/mistakes.hpp"

namespace skerry::ctl {

namespace {

struct CaptureOptions {
  std::string link;
  std::string file;
  std::string net;
  uint64_t count = 0;  // 0: until Ctrl-C
};

// The link that is meant: by its whole name, or by its port's if only one has it.
Result<std::string> find_link(supervisor::ControlClient& client, const std::string& wanted) {
  const Result<nlohmann::json> answer = ask(client, {.command = supervisor::Command::plan});
  if (!answer) return answer.error();
  const Result<supervisor::Plan> plan =
      supervisor::plan_from_json(answer->value("plan", nlohmann::json()).dump());
  if (!plan) return plan.error();
  std::vector<std::string> names, matches;
  for (const supervisor::PlannedLink& link : plan->links) {
    names.push_back(link.name);
    if (link.name == wanted) return wanted;
    if (link.name.ends_with("." + wanted)) matches.push_back(link.name);
  }
  if (matches.size() == 1) return matches.front();
  if (matches.size() > 1)
    return Error{
        fmt::format("several links end in \"{}\": name one of {}", wanted, fmt::join(matches, ", "))};
  return Error{fmt::format("there is no link \"{}\"{}", wanted, supervisor::suggestion(wanted, names))};
}

Result<Fd> open_file(const std::string& path) {
  if (path == "-") return Fd(::dup(STDOUT_FILENO));
  Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (file) return file;
  return Error{fmt::format("cannot write {}: {}", path, std::strerror(errno)), errno};
}

Result<void> write_all(const Fd& file, ConstBytes bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int number = errno;
      const char* hint = number == ENOSPC ? ": make room, or write elsewhere" : "";
      return Error{fmt::format("cannot write {}: {}{}", path, std::strerror(number), hint), number};
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return {};
}

Fd end_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, number);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);  // "-" into a pager that was left: an error of write, not our end
  return Fd(::signalfd(-1, &set, SFD_CLOEXEC));
}

// Until a signal, the wanted count, or the end of the link.
Result<void> record(const Fd& pipe, const Fd& file, PcapngBlocks& blocks, const CaptureOptions& options) {
  const Fd signals = end_signals();
  ::fcntl(pipe.get(), F_SETFL, O_NONBLOCK);
  ::fcntl(pipe.get(), F_SETPIPE_SZ, 1 << 20);  // more room before frames are lost; refused for some users
  for (;;) {
    if (const Result<void> written = write_all(file, blocks.take(), options.file); !written) return written;
    if (options.count != 0 && blocks.frames() >= options.count) return {};
    pollfd sources[] = {{pipe.get(), POLLIN, 0}, {signals.get(), POLLIN, 0}};
    if (::poll(sources, 2, -1) < 0 && errno != EINTR) return Error{"cannot wait for frames", errno};
    if (sources[1].revents != 0) return {};
    uint8_t bytes[65536];
    const ssize_t got = ::read(pipe.get(), bytes, sizeof bytes);
    if (got == 0) return Error{"the link has ended"};
    if (got > 0 && !blocks.append({bytes, static_cast<size_t>(got)})) {
      return Error{"the vswitch sent something that is no capture: is another version of skerry running?"};
    }
  }
}

Outcome capture(const CaptureOptions& options) {
  const Result<std::string> composition = choose_running(options.net);
  if (!composition) return failed(composition.error());
  Result<supervisor::ControlClient> client = connect(*composition);
  if (!client) return failed(client.error());
  const Result<std::string> link = find_link(*client, options.link);
  if (!link) return failed(link.error());
  const supervisor::Request request{.command = supervisor::Command::mirror, .link = *link};
  Result<supervisor::ControlLine> line = client->call(supervisor::format_request(request));
  if (!line) return failed(line.error());
  const Result<nlohmann::json> answer = supervisor::parse_reply(line->line);
  if (!answer) return failed(answer.error());
  if (line->descriptors.size() != 1) return failed(Error{"the supervisor sent no pipe to read frames from"});

  // Only now, because a refusal must not cost the person an older capture of that name.
  const Result<Fd> file = open_file(options.file);
  if (!file) return failed(file.error());
  PcapngBlocks blocks;
  const Result<void> recorded = record(line->descriptors.front(), *file, blocks, options);
  fmt::print(stderr, "{} frames of {} in {}\n", blocks.frames(), *link, options.file);
  return recorded ? Outcome{} : failed(recorded.error());
}

}  // namespace

void add_capture(CLI::App& app, Outcome& outcome) {
  CLI::App* command =
      app.add_subcommand("capture", "Write the frames of a link to a pcapng file, until Ctrl-C");
  auto options = std::make_shared<CaptureOptions>();
  command
      ->add_option("link", options->link,
                   "link, as lan.redis, or its port alone: redis, host, redis.uplink with --uplink user")
      ->required();
  command->add_option("-w,--write", options->file, "file to write; - for standard output")->required();
  command->add_option("-c,--count", options->count, "end after that many frames");
  command->add_option("--net", options->net, "composition or network (default: the only one that runs)");
  command->footer(
      "Frames that come faster than they can be written are left out; `skerry top --json` counts them.\n"
      "Example: skerry capture redis -w redis.pcapng");
  command->callback([&outcome, options] { outcome = capture(*options); });
}

}  // namespace skerry::ctl
