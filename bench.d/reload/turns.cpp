// Rulesets that take turns in the stack of a program under load, to see what they cost it:
//
//   bench-turns PROGRAM SETTLE_MS MEASURE_MS ROUNDS RULES...
//
// Each is compiled once; in a round each has a turn, the order turned round each time. A turn is a load, a
// time to settle, in which what was is taken apart and flows are remembered again, and the time that counts.
// Where each request comes in a packet and acknowledges the answer before it, packets are requests. Prints a
// line a turn: the index of the rules, packets that the stack received, and in nanoseconds how long
// it took and the processor time of program, stack and switch together and of the stack alone.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "compiled_rules.hpp"
#include "ctl/rates.hpp"
#include "ctl/running.hpp"

namespace {

using namespace skerry;
using Milliseconds = std::chrono::milliseconds;

struct Seen {
  uint64_t time_ns = 0, packets = 0, cpu_ns = 0, stack_cpu_ns = 0;
};

Result<Seen> look(ctl::RulesAsked& asked) {
  const Result<nlohmann::json> answer = ctl::ask(asked.client, {.command = supervisor::Command::top});
  if (!answer) return answer.error();
  const Result<ctl::Sample> sample = ctl::parse_sample(*answer);
  if (!sample) return sample.error();
  Seen seen{.time_ns = sample->time_ns};
  for (const auto& [name, process] : sample->processes) {
    if (name == asked.program || name == asked.process() || process.kind == "vswitch")
      seen.cpu_ns += process.cpu_ns;
    if (name != asked.process()) continue;
    seen.stack_cpu_ns = process.cpu_ns;
    const auto packets = process.counters.find("ip.packets_in");
    if (packets != process.counters.end()) seen.packets = packets->second;
  }
  return seen;
}

struct Times {
  Milliseconds settle, measure;
};

Result<void> turn(ctl::RulesAsked& asked, const ctl::CompiledRules& rules, size_t index, const char* file,
                  const Times& times) {
  if (Result<void> given = bench::give(asked, rules, file); !given) return given;
  std::this_thread::sleep_for(times.settle);
  const Result<Seen> before = look(asked);
  if (!before) return before.error();
  std::this_thread::sleep_for(times.measure);
  const Result<Seen> after = look(asked);
  if (!after) return after.error();
  fmt::print("{} {} {} {} {}\n", index, after->packets - before->packets, after->time_ns - before->time_ns,
             after->cpu_ns - before->cpu_ns, after->stack_cpu_ns - before->stack_cpu_ns);
  std::fflush(stdout);
  return {};
}

Result<void> run(const char* program, const Times& times, long rounds,
                 const std::vector<const char*>& files) {
  Result<ctl::RulesAsked> asked = ctl::find_rules({.stack = program, .vswitch = "", .net = ""});
  if (!asked) return asked.error();
  std::vector<ctl::CompiledRules> rules;
  for (const char* file : files) {
    Result<ctl::CompiledRules> compiled = ctl::compile_rules(file, asked->allow_rules, asked->place);
    if (!compiled) return compiled.error();
    rules.push_back(std::move(*compiled));
  }
  for (long round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < rules.size(); ++i) {
      const size_t index = round % 2 == 0 ? i : rules.size() - 1 - i;
      if (Result<void> done = turn(*asked, rules[index], index, files[index], times); !done) return done;
    }
  }
  return {};
}

}  // namespace

int main(int count, char** words) {
  if (count < 6) {
    std::fputs("usage: bench-turns PROGRAM SETTLE_MS MEASURE_MS ROUNDS RULES...\n", stderr);
    return 2;
  }
  const Times times{Milliseconds(std::atol(words[2])), Milliseconds(std::atol(words[3]))};
  const Result<void> done = run(words[1], times, std::atol(words[4]), {words + 5, words + count});
  if (!done) std::fprintf(stderr, "bench-turns: %s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
