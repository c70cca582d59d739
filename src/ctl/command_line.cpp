// The command line as a whole: which commands there are, and how a wrong one is answered.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <nlohmann/json.hpp>
#include <system_error>

#include "ctl/command.hpp"
#include "ctl/table.hpp"
#include "supervisor/mistakes.hpp"
#include "supervisor/runtime_directory.hpp"

namespace skerry::ctl {

namespace {

// CLI11's sentences end with a full stop and may have a second line.
std::string first_sentence(std::string text) {
  text = text.substr(0, text.find('\n'));
  while (!text.empty() && (text.back() == '.' || text.back() == ' ')) text.pop_back();
  if (text.size() > 1 && text[1] >= 'a' && text[1] <= 'z') {
    text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  }
  return text;
}

void complain(const std::string& command, const std::string& sentence) {
  fmt::print(stderr, "skerry{}{}: {}\n", command.empty() ? "" : " ", command, printable_lines(sentence));
}

// What a killed supervisor left is nobody's: whichever command comes next removes it and says so.
void clear_what_was_left() {
  const Result<std::vector<std::string>> cleared = supervisor::clear_leftovers();
  if (!cleared) return;  // the command itself will meet the same error and say it
  for (const std::string& name : *cleared) {
    fmt::print(stderr, "skerry: removed what \"{}\" left when its supervisor was killed\n", name);
  }
}

// The command and its subcommands that were chosen.
std::string words_of(const CLI::App& app) {
  const auto commands = app.get_subcommands();
  if (commands.empty()) return "";
  const std::string below = words_of(*commands.front());
  return commands.front()->get_name() + (below.empty() ? "" : " " + below);
}

// Of a command that has subcommands the next word must be one. The command, and what is wrong with it; empty:
// nothing is.
std::pair<std::string, std::string> wrong_subcommand(const CLI::App& app,
                                                     const std::vector<std::string>& arguments) {
  const CLI::App* command = &app;
  std::string words;
  for (const std::string& argument : arguments) {
    if (command->get_require_subcommand_min() == 0 || argument.starts_with('-')) return {};
    std::vector<std::string> names;
    const CLI::App* next = nullptr;
    for (const CLI::App* each : command->get_subcommands([](const CLI::App*) { return true; })) {
      names.push_back(each->get_name());
      if (each->get_name() == argument) next = each;
    }
    if (next == nullptr)
      return {words,
              fmt::format("there is no command \"{}\"{}", argument, supervisor::suggestion(argument, names))};
    words += (words.empty() ? "" : " ") + argument;
    command = next;
  }
  if (command->get_require_subcommand_min() == 0) return {};
  std::vector<std::string> names;
  for (const CLI::App* each : command->get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(each->get_name());
  return {words, fmt::format("say what to do: {}", fmt::join(names, ", "))};
}

int obey(int argc, char** argv, Outcome& outcome) {
  CLI::App app("Skerry gives every program its own network stack, in its own process.", "skerry");
  app.set_version_flag("--version", "skerry " SKERRY_VERSION);
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::simple);
  app.footer("Example: skerry run -- redis-server          (skerry COMMAND --help has more)");
  std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  std::vector<std::string> program;
  if (!arguments.empty() && arguments.front() == "run") program = split_program(arguments);
  for (const auto add :
       {add_up, add_down, add_ps, add_ss, add_top, add_rights, add_graph, add_capture, add_filter, add_why})
    add(app, outcome);
  add_run(app, outcome, std::move(program));
  for (CLI::App* command : app.get_subcommands({})) command->parse_complete_callback(clear_what_was_left);

  const auto chosen = [&] {
    const auto commands = app.get_subcommands();
    return commands.empty() ? std::string() : commands.front()->get_name();
  };
  if (arguments.empty()) {
    complain("", "say what to do: `skerry --help` lists the commands");
    return kWrongCommandLine;
  }
  if (const auto& [command, sentence] = wrong_subcommand(app, arguments); !sentence.empty()) {
    complain(command, sentence);
    return kWrongCommandLine;
  }
  try {
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
    app.parse(arguments);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // --help, --version
    const std::string name = words_of(app);
    complain(name, fmt::format("{}: `skerry {}--help` shows how it is used", first_sentence(e.what()),
                               name.empty() ? "" : name + " "));
    return name == "run" ? kRunFailed : kWrongCommandLine;
  }
  if (!outcome.complaint.empty()) complain(chosen(), outcome.complaint);
  return outcome.status;
}

}  // namespace

int execute(int argc, char** argv) {
  int status = 0, reason = 0;
  Outcome outcome;
  try {
    status = obey(argc, argv, outcome);
    errno = 0;
    std::cout.flush();  // CLI11 writes its help there
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0 || !std::cout) reason = errno != 0 ? errno : EIO;
  } catch (const std::system_error& error) {  // of fmt, in the middle of a long table
    reason = error.code().value();
  } catch (const nlohmann::json::exception&) {  // what a process says may be of any type
    complain("", "an answer is malformed: is another version of skerry running?");
    return kFailed;
  }
  if (reason == 0) return status;
  complain("", fmt::format("cannot write the output: {}", std::strerror(reason)));
  return std::max(status, outcome.unwritten);
}

}  // namespace skerry::ctl
