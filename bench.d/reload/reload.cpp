// Gives a stack or switch that runs two rulesets in turn, each compiled once, as fast as it takes them:
//
//   bench-reload PROGRAM|--switch NAME RULES OTHER-RULES TIMES
//
// Prints how long all of it took and the slowest one, in milliseconds. tests/programs/filter_reload_test.py
// says what becomes of the traffic meanwhile.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "compiled_rules.hpp"

namespace {

using namespace skerry;
using Clock = std::chrono::steady_clock;

double milliseconds(Clock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

// `words`: RULES OTHER-RULES TIMES
Result<void> run(const ctl::WhoseRules& whose, char** words) {
  Result<ctl::RulesAsked> asked = ctl::find_rules(whose);
  if (!asked) return asked.error();
  const std::array rules{ctl::compile_rules(words[0], "", asked->place),
                         ctl::compile_rules(words[1], "", asked->place)};
  for (const auto& one : rules)
    if (!one) return one.error();
  Clock::duration slowest{};
  const Clock::time_point begin = Clock::now();
  for (long i = 0; i < std::atol(words[2]); ++i) {
    const Clock::time_point before = Clock::now();
    if (Result<void> done = bench::give(*asked, *rules[i % 2], words[i % 2]); !done) return done;
    slowest = std::max(slowest, Clock::now() - before);
  }
  std::printf("%.1f %.2f\n", milliseconds(Clock::now() - begin), milliseconds(slowest));
  return {};
}

}  // namespace

int main(int count, char** words) {
  const bool of_switch = count == 6 && std::strcmp(words[1], "--switch") == 0;
  if (count != 5 && !of_switch) {
    std::fputs("usage: bench-reload PROGRAM|--switch NAME RULES OTHER-RULES TIMES\n", stderr);
    return 2;
  }
  ctl::WhoseRules whose;
  (of_switch ? whose.vswitch : whose.stack) = words[of_switch ? 2 : 1];
  const Result<void> done = run(whose, words + (of_switch ? 3 : 2));
  if (!done) std::fprintf(stderr, "bench-reload: %s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
