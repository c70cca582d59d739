// A memory with store buffers under a scheduler that tries every interleaving. Code templated on an atomics
// policy (src/shm/atomics.hpp) runs on it unchanged, each party on a fiber of its own.
//
// What a party stores goes to its private buffer and reaches memory later, at a moment the scheduler picks.
// Two stores to one word keep their order, a release store waits for all before it, other stores overtake
// each other. A fence and an exchange wait until the buffer is empty. Loads see the own buffer, then memory,
// and happen in program order. So this is weaker than x86 (stores are reordered) and stronger than C++ (loads
// are not): it finds a missing fence, a missing release and a missing second look, not a missing acquire.
//
// The search is depth first. A state is: memory, buffers, doorbells, and for each party the hash of all that
// it has observed, which determines where it is; a state seen before is not entered again. The scheduler
// cannot go back, so each branch runs again from the beginning.
//
// Read first: Sewell et al., "x86-TSO" (2010), for store buffers as a model.
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/check.hpp"
#include "base/siphash.hpp"

namespace skerry {

class Simulation {
 public:
  // A party's program. It talks through SimulatedAtomics and the calls below.
  using Party = std::function<void(Simulation&)>;

  struct Outcome {
    std::string failure;  // empty if no interleaving fails; else what the first failing one did wrong
    uint64_t states = 0;
    uint64_t runs = 0;
  };

  // Runs `parties` on `memory`, which is zeroed before each run, in every interleaving.
  static Outcome explore(std::vector<std::byte>& memory, const std::vector<Party>& parties) {
    Simulation simulation(memory, parties);
    return simulation.explore();
  }

  // For parties. A doorbell holds one ring; sleep() waits for it, then takes it back.
  void ring(size_t party) {
    yield(Op::kStep);
    bells_[party] = true;
  }
  void sleep() {
    yield(Op::kSleep);
    yield(Op::kStep);
    bells_[running_] = false;
  }
  void fail(const std::string& what) {
    if (failure_.empty()) failure_ = what;
  }
  uint64_t load(void* word, size_t bytes) {
    yield(Op::kStep);
    return observe(newest(offset(word), bytes));
  }
  void store(void* word, size_t bytes, uint64_t value, bool release) {
    fibers_[running_].buffer.push_back({offset(word), static_cast<uint32_t>(bytes), value, release});
  }
  void fence() { yield(Op::kDrained); }
  uint64_t exchange(void* word, size_t bytes, uint64_t value) {
    yield(Op::kDrained);
    const uint64_t old = newest(offset(word), bytes);
    write(offset(word), bytes, value);
    return observe(old);
  }

  static Simulation& current() { return *current_; }

 private:
  enum class Op { kStep, kDrained, kSleep, kDone };
  struct Store {
    uint32_t offset, bytes;
    uint64_t value;
    bool release;
  };
  struct Fiber {
    ucontext_t context;
    std::vector<char> stack;
    Op pending;
    std::vector<Store> buffer;
    uint64_t observed;
  };
  // What the scheduler may do next: let a party take its pending step, or move one buffered store to memory.
  struct Choice {
    size_t party;
    int store;  // -1: the party's step
  };

  Simulation(std::vector<std::byte>& memory, const std::vector<Party>& parties)
      : memory_(memory), parties_(parties), fibers_(parties.size()), bells_(parties.size()) {
    for (Fiber& fiber : fibers_) fiber.stack.resize(64 * 1024);
  }

  Outcome explore() {
    current_ = this;
    std::vector<uint32_t> path;  // which choice was taken at each point
    Outcome outcome;
    do {
      ++outcome.runs;
      run(path);
      outcome.failure = failure_;
      // Back to the last point with a choice left.
      while (!path.empty() && path.back() + 1 >= widths_[path.size() - 1]) path.pop_back();
      if (!path.empty()) ++path.back();
    } while (!path.empty() && outcome.failure.empty());
    outcome.states = seen_.size();
    current_ = nullptr;
    return outcome;
  }

  // One run: along `path` as far as it goes, then always the first choice, until the end or a known state.
  void run(std::vector<uint32_t>& path) {
    std::fill(memory_.begin(), memory_.end(), std::byte{0});
    touched_.clear();
    failure_.clear();
    widths_.resize(path.size());
    for (size_t party = 0; party < fibers_.size(); ++party) start(party);
    for (size_t depth = 0;; ++depth) {
      const std::vector<Choice> choices = enabled();
      if (choices.empty()) {
        for (const Fiber& fiber : fibers_)
          if (fiber.pending != Op::kDone) fail("everybody sleeps and nobody will ring");
      }
      if (choices.empty() || !failure_.empty()) break;
      if (depth == path.size()) {
        if (!seen_.insert(state()).second) break;
        path.push_back(0);
        widths_.push_back(static_cast<uint32_t>(choices.size()));
      } else {
        widths_[depth] = static_cast<uint32_t>(choices.size());
      }
      take(choices[path[depth]]);
    }
    abandon();
  }

  void start(size_t party) {
    Fiber& fiber = fibers_[party];
    fiber.buffer.clear();
    fiber.observed = party;
    bells_[party] = false;
    abandoned_ = false;
    ::getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = fiber.stack.size();
    fiber.context.uc_link = nullptr;
    ::makecontext(&fiber.context, &Simulation::enter, 0);
    running_ = party;
    ::swapcontext(&scheduler_, &fiber.context);
  }

  // Thrown through the parties that a run leaves unfinished, so that what they own is destroyed.
  struct Abandoned {};

  static void enter() {
    Simulation& self = current();
    const size_t party = self.running_;
    try {
      self.parties_[party](self);
    } catch (const Abandoned&) {
    }
    self.fibers_[party].pending = Op::kDone;
    ::setcontext(&self.scheduler_);
  }

  void abandon() {
    abandoned_ = true;
    for (size_t party = 0; party < fibers_.size(); ++party)
      if (fibers_[party].pending != Op::kDone) resume(party);
  }

  void resume(size_t party) {
    running_ = party;
    ::swapcontext(&scheduler_, &fibers_[party].context);
  }

  void yield(Op op) {
    Fiber& fiber = fibers_[running_];
    fiber.pending = op;
    ::swapcontext(&fiber.context, &scheduler_);
    if (abandoned_) throw Abandoned{};
    observe(static_cast<uint64_t>(op));  // that it went on is part of where it is
  }

  std::vector<Choice> enabled() const {
    std::vector<Choice> choices;
    for (size_t party = 0; party < fibers_.size(); ++party) {
      const Fiber& fiber = fibers_[party];
      if (fiber.pending == Op::kStep || (fiber.pending == Op::kDrained && fiber.buffer.empty()) ||
          (fiber.pending == Op::kSleep && bells_[party]))
        choices.push_back({party, -1});
      for (size_t n = 0; n < fiber.buffer.size(); ++n) {
        const bool waits = std::any_of(
            fiber.buffer.begin(), fiber.buffer.begin() + static_cast<long>(n), [&](const Store& earlier) {
              return fiber.buffer[n].release || earlier.offset == fiber.buffer[n].offset;
            });
        if (!waits) choices.push_back({party, static_cast<int>(n)});
      }
    }
    return choices;
  }

  void take(const Choice& choice) {
    if (choice.store < 0) return resume(choice.party);
    std::vector<Store>& buffer = fibers_[choice.party].buffer;
    const Store store = buffer[static_cast<size_t>(choice.store)];
    buffer.erase(buffer.begin() + choice.store);
    write(store.offset, store.bytes, store.value);
  }

  uint32_t offset(const void* word) const {
    const std::ptrdiff_t at = static_cast<const std::byte*>(word) - memory_.data();
    CHECK(at >= 0 && at < static_cast<std::ptrdiff_t>(memory_.size()));
    return static_cast<uint32_t>(at);
  }
  uint64_t newest(uint32_t at, size_t bytes) const {
    const std::vector<Store>& buffer = fibers_[running_].buffer;
    for (size_t n = buffer.size(); n-- > 0;)
      if (buffer[n].offset == at) return buffer[n].value;
    uint64_t value = 0;
    std::memcpy(&value, memory_.data() + at, bytes);
    return value;
  }
  void write(uint32_t at, size_t bytes, uint64_t value) {
    std::memcpy(memory_.data() + at, &value, bytes);
    touched_[at] = value;
  }
  uint64_t observe(uint64_t value) {
    uint64_t& observed = fibers_[running_].observed;
    const uint64_t pair[2] = {observed, value};
    observed = siphash24({1, 2}, {reinterpret_cast<const uint8_t*>(pair), sizeof pair});
    return value;
  }

  uint64_t state() {
    std::vector<uint64_t>& words = state_words_;
    words.clear();
    for (const auto& [at, value] : touched_) words.insert(words.end(), {at, value});
    for (size_t party = 0; party < fibers_.size(); ++party) {
      const Fiber& fiber = fibers_[party];
      words.insert(words.end(), {fiber.observed, static_cast<uint64_t>(fiber.pending),
                                 static_cast<uint64_t>(bells_[party]), fiber.buffer.size()});
      for (const Store& store : fiber.buffer)
        words.insert(words.end(), {store.offset, store.value, store.release});
    }
    return siphash24({3, 4}, {reinterpret_cast<const uint8_t*>(words.data()), words.size() * 8});
  }

  inline static Simulation* current_ = nullptr;

  std::vector<std::byte>& memory_;
  const std::vector<Party>& parties_;
  std::vector<Fiber> fibers_;
  std::vector<char> bells_;
  ucontext_t scheduler_;
  size_t running_ = 0;
  bool abandoned_ = false;
  std::map<uint32_t, uint64_t> touched_;
  std::vector<uint32_t> widths_;
  std::vector<uint64_t> state_words_;
  std::unordered_set<uint64_t> seen_;
  std::string failure_;
};

struct SimulatedAtomics {
  template <class Word>
  static Word load_relaxed(Word* word) {
    return static_cast<Word>(Simulation::current().load(word, sizeof(Word)));
  }
  template <class Word>
  static Word load_acquire(Word* word) {
    return load_relaxed(word);
  }
  template <class Word>
  static void store_relaxed(Word* word, Word value) {
    Simulation::current().store(word, sizeof(Word), value, false);
  }
  template <class Word>
  static void store_release(Word* word, Word value) {
    Simulation::current().store(word, sizeof(Word), value, true);
  }
  template <class Word>
  static Word exchange(Word* word, Word value) {
    return static_cast<Word>(Simulation::current().exchange(word, sizeof(Word), value));
  }
  static void fence() { Simulation::current().fence(); }
};

}  // namespace skerry
