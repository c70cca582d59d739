// What every command of `skerry` has: options that it adds to the command line, and an outcome.
//
// Exit status: 0 done, 1 it did not work, 2 the command line is wrong. `skerry filter diff` ends as diff(1).
// `skerry run` returns the program's own, 125 for a failure of ours, 126 and 127 as shells do, 128 + n after
// signal n.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace skerry::ctl {

inline constexpr int kFailed = 1, kWrongCommandLine = 2;
inline constexpr int kRunFailed = 125, kRunNotExecutable = 126, kRunNotFound = 127;

struct Outcome {
  int status = 0;
  std::string complaint;    // sentences for stderr, one a line; empty if there are none
  int unwritten = kFailed;  // the status if the output cannot be written, unless the other is higher
};

inline Outcome failed(const Error& error) {
  return {kFailed, error.message};
}

// Each adds its subcommand; when it is the chosen one, `outcome` says how it went.
void add_up(CLI::App& app, Outcome& outcome);
void add_down(CLI::App& app, Outcome& outcome);
void add_ps(CLI::App& app, Outcome& outcome);
void add_ss(CLI::App& app, Outcome& outcome);
void add_top(CLI::App& app, Outcome& outcome);
void add_rights(CLI::App& app, Outcome& outcome);
void add_graph(CLI::App& app, Outcome& outcome);
void add_run(CLI::App& app, Outcome& outcome, std::vector<std::string> program);
void add_capture(CLI::App& app, Outcome& outcome);
void add_filter(CLI::App& app, Outcome& outcome);
void add_why(CLI::App& app, Outcome& outcome);

// Of the arguments from "run" on: cuts off and returns the program and its arguments, which begin after `--`
// or with the first word that is neither an option nor an option's value. They are the program's and not for
// us to read.
std::vector<std::string> split_program(std::vector<std::string>& arguments);

// Reads the command line, does what it says, and returns the exit status.
int execute(int argc, char** argv);

}  // namespace skerry::ctl
