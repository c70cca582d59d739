// The commands that show something once: ps, ss, rights.
#include <fmt/format.h>

#include <memory>

#include "ctl/command.hpp"
#include "ctl/running.hpp"
#include "ctl/table.hpp"
#include "supervisor/composition.hpp"
#include "supervisor/rights.hpp"

namespace skerry::ctl {

namespace {

using nlohmann::json;
using supervisor::Command;

struct ViewOptions {
  std::string name;
  bool as_json = false;
};

// Rows of one kind from every composition that is meant, each with its composition's name.
Result<json> gather(const std::string& name, Command command, const char* key) {
  const Result<std::vector<std::string>> compositions = select_running(name);
  if (!compositions) return compositions.error();
  json all = json::array();
  for (const std::string& composition : *compositions) {
    const Result<json> answer = ask(composition, command);
    if (!answer) return answer.error();
    const Result<json> rows = rows_of(*answer, key);
    if (!rows) return rows.error();
    for (json row : *rows) {
      if (!row.is_object()) continue;
      row["composition"] = composition;
      all.push_back(std::move(row));
    }
  }
  return all;
}

void print_json(const json& value) {
  fmt::print("{}\n", value.dump(2, ' ', false, json::error_handler_t::replace));
}

Outcome ps(const ViewOptions& options) {
  const Result<json> rows = gather(options.name, Command::ps, "processes");
  if (!rows) return failed(rows.error());
  if (options.as_json) {
    print_json({{"processes", *rows}});
    return {};
  }
  std::vector<std::vector<std::string>> cells;
  for (const json& row : *rows) {
    cells.push_back(
        {text_of(row, "composition"), text_of(row, "name"), text_of(row, "kind"), text_of(row, "address"),
         text_of(row, "pid"), text_of(row, "core"), text_with_link(row, "state"), text_of(row, "restarts"),
         format_duration(number_of(row, "uptime_ms")), format_duration(number_of(row, "cpu_ms"))});
  }
  fmt::print("{}", format_table({{"COMPOSITION"},
                                 {"NAME"},
                                 {"KIND"},
                                 {"ADDRESS"},
                                 {"PID", true},
                                 {"CORE", true},
                                 {"STATE"},
                                 {"RESTARTS", true},
                                 {"UP", true},
                                 {"CPU", true}},
                                cells));
  return {};
}

Outcome ss(const ViewOptions& options) {
  const Result<json> rows = gather(options.name, Command::ss, "sockets");
  if (!rows) return failed(rows.error());
  if (options.as_json) {
    print_json({{"sockets", *rows}});
    return {};
  }
  std::vector<std::vector<std::string>> cells;
  for (const json& row : *rows) {
    cells.push_back({text_of(row, "proto"), text_of(row, "state"), text_of(row, "rx_queue"),
                     text_of(row, "tx_queue"), text_of(row, "local"), text_of(row, "peer"),
                     text_with_link(row, "program"), text_of(row, "composition")});
  }
  fmt::print("{}", format_table({{"NETID"},
                                 {"STATE"},
                                 {"RX-QUEUE", true},
                                 {"TX-QUEUE", true},
                                 {"LOCAL"},
                                 {"PEER"},
                                 {"PROGRAM"},
                                 {"COMPOSITION"}},
                                cells));
  return {};
}

// Rows from a file if there is one of that name, else from what runs; those have "pid" and "inode" too.
Result<json> find_rights(const std::string& name) {
  if (is_composition_file(name)) {
    const Result<supervisor::Plan> plan = supervisor::load_composition(name, supervisor::this_machine());
    if (!plan) return plan.error();
    return supervisor::rights_to_json(supervisor::rights(*plan));
  }
  const Result<std::string> composition = choose_running(name);
  if (!composition) return composition.error();
  const Result<json> answer = ask(*composition, Command::rights);
  if (!answer) return answer.error();
  return rows_of(*answer, "rights");
}

Outcome rights(const ViewOptions& options) {
  const Result<json> rows = find_rights(options.name);
  if (!rows) return failed(rows.error());
  if (options.as_json) {
    print_json({{"rights", *rows}});
    return {};
  }
  const Result<std::vector<supervisor::Right>> table = supervisor::rights_from_json(*rows);
  if (!table) return failed(table.error());
  std::vector<std::vector<std::string>> cells;
  for (const supervisor::Right& right : *table) {
    cells.push_back({right.process, right.kind, std::to_string(right.number), right.fd, right.what,
                     right.shared_with.empty() ? "-" : right.shared_with, right.access});
  }
  fmt::print("{}", format_table(
                       {{"PROCESS"}, {"KIND"}, {"FD", true}, {"NAME"}, {"WHAT"}, {"SHARED WITH"}, {"ACCESS"}},
                       cells));
  return {};
}

struct View {
  const char* name;
  const char* what;
  const char* argument;
  const char* argument_meaning;
  const char* example;
  Outcome (*show)(const ViewOptions&);
};

void add_view(CLI::App& app, Outcome& outcome, const View& view) {
  CLI::App* command = app.add_subcommand(view.name, view.what);
  auto options = std::make_shared<ViewOptions>();
  command->add_option(view.argument, options->name, view.argument_meaning);
  command->add_flag("--json", options->as_json, "print JSON instead of a table");
  command->footer(view.example);
  command->callback([&outcome, options, show = view.show] { outcome = show(*options); });
}

}  // namespace

void add_ps(CLI::App& app, Outcome& outcome) {
  add_view(app, outcome,
           {"ps", "List the processes that Skerry runs", "name", "composition or network (default: all)",
            "Example: skerry ps --json", ps});
}

void add_ss(CLI::App& app, Outcome& outcome) {
  add_view(app, outcome,
           {"ss", "List the sockets of the programs' stacks", "name", "composition or network (default: all)",
            "Example: skerry ss", ss});
}

void add_rights(CLI::App& app, Outcome& outcome) {
  add_view(app, outcome,
           {"rights", "Show which process may touch what", "file",
            "composition file, or the name of a running one",
            "Example: skerry rights compositions/redis.toml", rights});
}

}  // namespace skerry::ctl
