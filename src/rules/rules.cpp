#include "rules/rules.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "filter/load.hpp"
#include "rules/rows.hpp"

namespace skerry {
namespace {

using nlohmann::json;

// Nobody can change it while it is read, nor take it away.
bool is_sealed(const Fd& memory) {
  constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
  return (::fcntl(memory.get(), F_GET_SEALS) & kSeals) == kSeals;
}

}  // namespace

Result<filter::Ruleset> read_rules(const Fd& memory, filter::Place place, const Pause& pause) {
  struct stat facts;
  if (!is_sealed(memory) || ::fstat(memory.get(), &facts) != 0)
    return Error{"rules come in memory that is sealed, and this is none"};
  filter::Ruleset ruleset;
  if (const auto bytes = static_cast<size_t>(facts.st_size); bytes > 0) {
    void* const at = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, memory.get(), 0);
    if (at == MAP_FAILED) return Error{"cannot map the rules", errno};
    const auto refusal =
        filter::load({static_cast<const uint8_t*>(at), bytes}, ruleset, {.place = place}, pause);
    ::munmap(at, bytes);
    if (refusal) return Error{"the rules are refused: " + refusal->sentence, refusal->error};
  }
  return ruleset;
}

bool Rules::answers(std::string_view command) {
  constexpr std::string_view kKnown[] = {"rules", "why",         "elements", "change_elements",
                                         "reset", "begin_trace", "trace"};
  return std::find(std::begin(kKnown), std::end(kKnown), command) != std::end(kKnown);
}

Result<json> Rules::answer(std::string_view command, ControlMessage& request, TimeNs now) {
  const json& body = request.body;
  if (command == "rules") return table(body.value("first", size_t{0}), now);
  if (command == "why") return events(body, now);
  if (command == "elements") return elements(body, now);
  if (command == "reset") return reset(body);
  if (command == "trace") return trace(body, now);
  if (command == "begin_trace") {
    if (request.fds.size() != 1) return Error{"begin_trace needs rules in memory"};
    return begin_trace(request.fds.front(), now);
  }
  if (Result<void> done = change_elements(body, now); !done) return done.error();
  return json{{"ok", true}};
}

Result<void> Rules::load(Fd memory, TimeNs now) {
  return load(std::move(memory), now, Pause());
}

Result<void> Rules::load(Fd memory, TimeNs now, const Pause& pause) {
  Result<filter::Ruleset> ruleset = read_rules(memory, place_, pause);
  if (!ruleset) return ruleset.error();
  if (accept_) {
    if (Result<void> accepted = accept_(*ruleset); !accepted) return accepted;
  }
  filter::Engine engine(std::move(*ruleset), now, secret_, filter::Engine::Search::indexed, pause);
  filter::Engine old = in_force_.use(std::move(engine), now, secret_, pause);
  if (begun_) begun_(now);
  memory_ = std::move(memory);
  old.take_apart(pause);
  return {};
}

Result<json> Rules::begin_load(ControlMessage& request, TimeNs now, ControlServer& control) {
  if (request.fds.size() != 1) return Error{"load_rules needs rules in memory"};
  next_memory_ = std::move(request.fds.front());
  const Result<void> begun =
      slices_.begin([this, now](const Pause& pause) { loaded_ = load(std::move(next_memory_), now, pause); },
                    [this, &control] {
                      control.answer_later(loaded_ ? Result(json::object()) : Result<json>(loaded_.error()));
                    });
  if (!begun) return begun.error();
  control.defer();
  return json::object();
}

}  // namespace skerry
