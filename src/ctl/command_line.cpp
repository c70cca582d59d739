// The command line as a whole: which commands there are, and how a wrong one is answered.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <system_error>

#include "ctl/command.hpp"
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
  fmt::print(stderr, "skerry{}{}: {}\n", command.empty() ? "" : " ", command, sentence);
}

// What a killed supervisor left is nobody's: whichever command comes next removes it and says so.
void clear_what_was_left() {
  const Result<std::vector<std::string>> cleared = supervisor::clear_leftovers();
  if (!cleared) return;  // the command itself will meet the same error and say it
  for (const std::string& name : *cleared) {
    fmt::print(stderr, "skerry: removed what \"{}\" left when its supervisor was killed\n", name);
  }
}

int obey(int argc, char** argv) {
  CLI::App app("Skerry gives every program its own network stack, in its own process.", "skerry");
  app.set_version_flag("--version", "skerry " SKERRY_VERSION);
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::simple);
  app.footer("Example: skerry run -- redis-server          (skerry COMMAND --help has more)");
  Outcome outcome;
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
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  const std::string& first = arguments.front();
  if (!first.starts_with('-') && std::find(names.begin(), names.end(), first) == names.end()) {
    complain("", fmt::format("there is no command \"{}\"{}", first, supervisor::suggestion(first, names)));
    return kWrongCommandLine;
  }
  try {
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
    app.parse(arguments);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // --help, --version
    const std::string name = chosen();
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
  try {
    status = obey(argc, argv);
    errno = 0;
    std::cout.flush();  // CLI11 writes its help there
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0 || !std::cout) reason = errno != 0 ? errno : EIO;
  } catch (const std::system_error& error) {  // of fmt, in the middle of a long table
    reason = error.code().value();
  }
  if (reason == 0) return status;
  complain("", fmt::format("cannot write the output: {}", std::strerror(reason)));
  return status != 0 ? status : kFailed;
}

}  // namespace skerry::ctl
