// `skerry graph`: what runs, as a picture.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "ctl/child.hpp"
#include "ctl/command.hpp"
#include "ctl/graph_dot.hpp"
#include "ctl/running.hpp"
#include "supervisor/composition.hpp"

namespace skerry::ctl {

namespace {

struct GraphOptions {
  std::string name;
  std::string svg;
};

// From a composition's file if there is one of that name, else from what runs.
Result<std::string> find_dot(const std::string& name) {
  if (is_composition_file(name)) {
    const Result<supervisor::Plan> plan = supervisor::load_composition(name, supervisor::this_machine());
    if (!plan) return plan.error();
    return dot_of(*plan, nlohmann::json::array());
  }
  const Result<std::string> composition = choose_running(name);
  if (!composition) return composition.error();
  const Result<nlohmann::json> answer = ask(*composition, supervisor::Command::plan);
  if (!answer) return answer.error();
  const Result<supervisor::Plan> plan =
      supervisor::plan_from_json(answer->value("plan", nlohmann::json()).dump());
  if (!plan) return plan.error();
  const Result<nlohmann::json> states = ask(*composition, supervisor::Command::ps);
  if (!states) return states.error();
  const Result<nlohmann::json> rows = rows_of(*states, "processes");
  if (!rows) return rows.error();
  return dot_of(*plan, *rows);
}

// Draws it with graphviz.
Result<void> write_svg(const std::string& dot, const std::string& path) {
  const supervisor::ProgramFile graphviz = supervisor::this_machine().find_program("dot", "/");
  if (!graphviz.executable)
    return Error{"graphviz is not installed: apt install graphviz, or leave --svg out and draw it elsewhere"};
  const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!file) return Error{fmt::format("cannot write {}: {}", path, std::strerror(errno)), errno};
  const Fd memory(::memfd_create("skerry-graph", MFD_CLOEXEC));
  if (!memory || ::write(memory.get(), dot.data(), dot.size()) != static_cast<ssize_t>(dot.size()))
    return Error{fmt::format("cannot make memory for the picture: {}", std::strerror(errno)), errno};
  ::lseek(memory.get(), 0, SEEK_SET);
  Result<Child> child = Child::start({.executable = graphviz.path,
                                      .argv = {"dot", "-Tsvg", "-o", "/dev/fd/4", "/dev/fd/3"},
                                      .fds = {{memory.get(), 3}, {file.get(), 4}}});
  if (!child) return child.error();
  if (child->wait(-1, {}) != 0) return Error{fmt::format("dot could not draw {}", path)};
  return {};
}

Outcome graph(const GraphOptions& options) {
  const Result<std::string> dot = find_dot(options.name);
  if (!dot) return failed(dot.error());
  if (options.svg.empty()) {
    fmt::print("{}", *dot);
    return {};
  }
  const Result<void> written = write_svg(*dot, options.svg);
  return written ? Outcome{} : failed(written.error());
}

}  // namespace

void add_graph(CLI::App& app, Outcome& outcome) {
  CLI::App* command = app.add_subcommand("graph", "Draw what runs: processes, links and the way out");
  auto options = std::make_shared<GraphOptions>();
  command->add_option("name", options->name,
                      "composition file, or the name of a running one (default: the only one that runs)");
  command->add_option("--svg", options->svg,
                      "write a picture to this file (needs graphviz) instead of printing DOT");
  command->footer("Example: skerry graph compositions/redis.toml --svg redis.svg");
  command->callback([&outcome, options] { outcome = graph(*options); });
}

}  // namespace skerry::ctl
