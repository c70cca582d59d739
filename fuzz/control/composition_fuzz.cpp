// A composition may be any text: it has mistakes, each with a sentence, or becomes a sound plan that survives
// JSON.
#include <cstdlib>
#include <string_view>

#include "supervisor/composition.hpp"

using namespace skerry::supervisor;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Machine machine{.root = true,
                        .cores = {0, 1},
                        .host_subnets = {{"eth0", {0xc0a80100, 24}}},
                        .find_program = [](const std::string& name, const std::string&) -> ProgramFile {
                          return {"/usr/bin/" + name, true};
                        },
                        .exists = [](const std::string&) { return true; }};
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Reading reading = read_composition(text, "/srv/fuzz.toml", machine);
  for (const Mistake& mistake : reading.mistakes) check(!mistake.sentence.empty());
  if (reading.mistakes.empty()) {
    check(check_plan(reading.plan).empty());
    check(bool(plan_from_json(plan_to_json(reading.plan))));
  }
  return 0;
}
