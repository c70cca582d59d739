// `skerry up` and `skerry down`: a composition from its file, and its end.
#include <fmt/format.h>
#include <signal.h>

#include <filesystem>
#include <memory>

#include "ctl/command.hpp"
#include "ctl/compile.hpp"
#include "ctl/running.hpp"
#include "ctl/start_supervisor.hpp"
#include "ctl/table.hpp"
#include "supervisor/address_text.hpp"
#include "supervisor/composition.hpp"
#include "supervisor/sandbox.hpp"

namespace skerry::ctl {

namespace {

constexpr int kDownTimeoutMs = 30'000;

struct UpOptions {
  std::string file;
  bool detach = false;
};

std::string core_text(const supervisor::Process* process) {
  return process != nullptr && process->core ? std::to_string(*process->core) : "-";
}

std::string uplink_text(const supervisor::Network& network) {
  switch (network.uplink) {
    case supervisor::Uplink::none:
      break;
    case supervisor::Uplink::tap:
      return fmt::format("host is {} on sk-{}", supervisor::format_ipv4(network.subnet.gateway()),
                         network.name);
    case supervisor::Uplink::user:
      return fmt::format("host is {} through passt", supervisor::format_ipv4(network.subnet.gateway()));
    case supervisor::Uplink::afxdp:
      return fmt::format("the wire is {}", network.interface);
  }
  return "no uplink";
}

void print_started(const supervisor::Plan& plan) {
  std::vector<std::vector<std::string>> rows;
  for (const supervisor::Network& network : plan.networks) {
    rows.push_back({network.name, "network", supervisor::format_subnet(network.subnet),
                    core_text(plan.process(network.name + ".vswitch")), uplink_text(network)});
  }
  for (const supervisor::Program& program : plan.programs) {
    rows.push_back({program.name, "program", supervisor::format_ipv4(program.address),
                    core_text(plan.process(program.name)), fmt::format("{}", fmt::join(program.argv, " "))});
  }
  fmt::print("{}", format_table({{"NAME"}, {"KIND"}, {"ADDRESS"}, {"CORE", true}, {"WHAT"}}, rows));
}

Outcome up(const UpOptions& options) {
  if (const Result<void> kernel = supervisor::check_kernel(); !kernel) return failed(kernel.error());
  Result<supervisor::Plan> plan = supervisor::load_composition(options.file, supervisor::this_machine());
  if (!plan) return failed(plan.error());
  std::vector<Fd> rules;
  if (!plan->filter.empty()) {
    Result<CompiledRules> compiled = compile_first_rules(plan->filter);
    if (!compiled) return failed(compiled.error());
    plan->filter_lines = std::move(compiled->lines);
    rules.push_back(std::move(compiled->batch));
  }
  for (supervisor::Network& network : plan->networks) {
    if (network.filter.empty()) continue;
    Result<CompiledRules> compiled =
        compile_first_rules(network.filter, "", place_at_switch(*plan, network.name));
    if (!compiled) return failed(compiled.error());
    network.filter_lines = std::move(compiled->lines);
    rules.push_back(std::move(compiled->batch));
  }
  for (supervisor::Program& program : plan->programs) {
    if (!has_rules(program)) continue;
    Result<CompiledRules> compiled = compile_first_rules(program.filter, allow_rules(program));
    if (!compiled) return failed(compiled.error());
    program.filter_lines = std::move(compiled->lines);
    rules.push_back(std::move(compiled->batch));
  }
  Result<Child> started = start_supervisor(*plan, options.detach ? Place::daemon : Place::terminal, rules);
  if (!started) return failed(started.error());
  print_started(*plan);
  if (options.detach) {
    fmt::print("\"{0}\" is up; `skerry down {0}` ends it.\n", plan->name);
    return {};
  }
  fmt::print("\"{}\" is up; Ctrl-C ends it.\n", plan->name);
  std::fflush(stdout);
  const int status = started->wait(-1, {});
  if (status == 0) return {};
  return {kFailed, fmt::format("the supervisor of \"{}\" ended with status {}", plan->name, status)};
}

Outcome down(const std::string& name) {
  const Result<std::string> composition = choose_running(name);
  if (!composition) return failed(composition.error());
  Result<supervisor::ControlClient> client = connect(*composition);
  if (!client) return failed(client.error());
  const Result<nlohmann::json> answer = ask(*client, {.command = supervisor::Command::down});
  if (!answer) return failed(answer.error());
  if (!client->wait_closed(kDownTimeoutMs)) {
    return {kFailed, fmt::format("\"{}\" has not ended after {} s: look at `skerry ps`", *composition,
                                 kDownTimeoutMs / 1000)};
  }
  return {};
}

}  // namespace

void add_up(CLI::App& app, Outcome& outcome) {
  CLI::App* command = app.add_subcommand("up", "Start what a composition file describes");
  auto options = std::make_shared<UpOptions>();
  command->add_option("file", options->file, "composition file (docs/composition.md)")->required();
  command->add_flag("-d,--detach", options->detach, "return when all runs, instead of staying until Ctrl-C");
  command->footer("Example: skerry up compositions/redis.toml");
  command->callback([&outcome, options] { outcome = up(*options); });
}

void add_down(CLI::App& app, Outcome& outcome) {
  CLI::App* command =
      app.add_subcommand("down", "End a running composition or network, with all its programs");
  auto name = std::make_shared<std::string>();
  command->add_option("name", *name, "composition or network (default: the only one that runs)");
  command->footer("Example: skerry down redis");
  command->callback([&outcome, name] { outcome = down(*name); });
}

}  // namespace skerry::ctl
