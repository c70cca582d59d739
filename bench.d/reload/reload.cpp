// Gives a stack that runs two rulesets in turn, each compiled once, as fast as it takes them:
//
//   bench-reload PROGRAM RULES OTHER-RULES TIMES
//
// Prints how long all of it took and the slowest one, in milliseconds. tests/programs/filter_reload_test.py
// says what becomes of the traffic meanwhile.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "ctl/compile.hpp"
#include "ctl/stack_asked.hpp"
#include "supervisor/control_protocol.hpp"

namespace {

using namespace skerry;
using Clock = std::chrono::steady_clock;

double milliseconds(Clock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

Result<void> load(ctl::StackAsked& asked, const ctl::CompiledRules& rules, const char* file) {
  const int fds[] = {rules.batch.get()};
  const Result<supervisor::ControlLine> line =
      asked.client.call(supervisor::format_request({.command = supervisor::Command::load_rules,
                                                    .program = asked.program,
                                                    .filter = file,
                                                    .filter_lines = rules.lines}),
                        fds);
  if (!line) return line.error();
  const auto reply = supervisor::parse_reply(line->line);
  return reply ? Result<void>{} : reply.error();
}

Result<void> run(char** words) {
  Result<ctl::StackAsked> asked = ctl::find_stack(words[1], "");
  if (!asked) return asked.error();
  const std::array rules{ctl::compile_rules(words[2]), ctl::compile_rules(words[3])};
  for (const auto& one : rules)
    if (!one) return one.error();
  Clock::duration slowest{};
  const Clock::time_point begin = Clock::now();
  for (long i = 0; i < std::atol(words[4]); ++i) {
    const Clock::time_point before = Clock::now();
    if (Result<void> done = load(*asked, *rules[i % 2], words[2 + i % 2]); !done) return done;
    slowest = std::max(slowest, Clock::now() - before);
  }
  std::printf("%.1f %.2f\n", milliseconds(Clock::now() - begin), milliseconds(slowest));
  return {};
}

}  // namespace

int main(int count, char** words) {
  if (count != 5) {
    std::fputs("usage: bench-reload PROGRAM RULES OTHER-RULES TIMES\n", stderr);
    return 2;
  }
  const Result<void> done = run(words);
  if (!done) std::fprintf(stderr, "bench-reload: %s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
