// Whose rules are meant by a command that speaks with who has them: a stack, or a switch.
#pragma once

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "ctl/compile.hpp"
#include "supervisor/control_socket.hpp"

namespace skerry::ctl {

// As the command line says it.
struct WhoseRules {
  std::string stack;    // the program's name, as "redis", or the stack's, as "redis.stack";
  std::string vswitch;  // or the network's, as "lan", or "lan.vswitch"
  std::string net;      // the composition; may be empty if only one that runs has it
};
// The command's first word STACK, or --switch NAME in its place, and --net.
void add_whose_rules(CLI::App& command, WhoseRules& whose);

struct RulesAsked {
  supervisor::ControlClient client;  // of the supervisor that runs it
  std::string program, network;      // whose stack, or whose switch
  std::string allow_rules;           // that hold beside any others; empty if it has no allow-list
  RulesPlace place;

  const std::string& name() const { return program.empty() ? network : program; }
  // Process::name
  std::string process() const { return request(supervisor::Command::rules).whose_rules(); }
  supervisor::Request request(supervisor::Command command) const {
    supervisor::Request request{.command = command};
    request.program = program;
    request.network = network;
    return request;
  }
};

// Errors: what there is instead; which have one of that name, if several do; who does not answer.
Result<RulesAsked> find_rules(const WhoseRules& whose);

// One question about those rules (rules/rules.hpp), one answer.
Result<nlohmann::json> ask_filter(RulesAsked& asked, nlohmann::json question, std::span<const int> fds = {});
// The same again and again, until all its rows are there; "rows" of the answer has them all.
Result<nlohmann::json> ask_for_all(RulesAsked& asked, nlohmann::json question);

}  // namespace skerry::ctl
