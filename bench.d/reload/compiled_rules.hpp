// A ruleset that was compiled once, given to a stack or switch that runs, again and again.
#pragma once

#include <string>

#include "ctl/compile.hpp"
#include "ctl/rules_asked.hpp"
#include "supervisor/control_protocol.hpp"

namespace skerry::bench {

// Errors: the supervisor's, or that whose rules they are refused them.
inline Result<void> give(ctl::RulesAsked& asked, const ctl::CompiledRules& rules, const std::string& file) {
  supervisor::Request request = asked.request(supervisor::Command::load_rules);
  request.filter = file;
  request.filter_lines = rules.lines;
  const int fds[] = {rules.batch.get()};
  const Result<supervisor::ControlLine> line = asked.client.call(supervisor::format_request(request), fds);
  if (!line) return line.error();
  const auto reply = supervisor::parse_reply(line->line);
  return reply ? Result<void>{} : reply.error();
}

}  // namespace skerry::bench
