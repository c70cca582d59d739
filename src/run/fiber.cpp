#include "run/fiber.hpp"

#include <sys/mman.h>
#include <ucontext.h>

#include <cerrno>
#include <utility>

#include "base/check.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define SKERRY_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SKERRY_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define SKERRY_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SKERRY_TSAN 1
#endif
#endif

#ifdef SKERRY_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef SKERRY_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace skerry {

namespace {

constexpr size_t kGuardBytes = size_t{64} << 10;  // no function takes so much at once

// One of the two stacks between which control goes to and fro, as a sanitizer wants to know it.
struct Side {
  ucontext_t context{};
  const void* bottom = nullptr;
  size_t bytes = 0;
  void* sanitizer = nullptr;
};

#ifdef SKERRY_ASAN
void leave(Side& from, const Side& to, bool for_good) {
  ::__sanitizer_start_switch_fiber(for_good ? nullptr : &from.sanitizer, to.bottom, to.bytes);
}
// `other`: where control came from.
void arrive(const Side& here, Side& other) {
  ::__sanitizer_finish_switch_fiber(here.sanitizer, &other.bottom, &other.bytes);
}
#elif defined(SKERRY_TSAN)
void leave(Side&, const Side& to, bool) {
  ::__tsan_switch_to_fiber(to.sanitizer, 0);
}
void arrive(const Side&, Side&) {}
#else
void leave(Side&, const Side&, bool) {}
void arrive(const Side&, Side&) {}
#endif

}  // namespace

struct Fiber::State {
  std::function<void()> work;
  void* memory = nullptr;  // the guard, then the stack
  Side inside, outside;
  bool done = false;

  ~State() {
#ifdef SKERRY_TSAN
    ::__tsan_destroy_fiber(inside.sanitizer);
#endif
    ::munmap(memory, kGuardBytes + kStackBytes);
  }
};

namespace {

// makecontext() passes numbers only; there is one thread, and this is looked at at once.
thread_local void* entered = nullptr;

}  // namespace

Fiber::Fiber(std::unique_ptr<State> state) : state_(std::move(state)) {}
Fiber::Fiber(Fiber&&) noexcept = default;

Result<Fiber> Fiber::create(std::function<void()> work) {
  void* const memory = ::mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) return Error{"cannot make a stack for what is done in pieces", errno};
  if (::mprotect(memory, kGuardBytes, PROT_NONE) != 0) {
    const int error = errno;
    ::munmap(memory, kGuardBytes + kStackBytes);
    return Error{"cannot guard a stack for what is done in pieces", error};
  }
  auto state = std::make_unique<State>();
  state->work = std::move(work);
  state->memory = memory;
  Side& inside = state->inside;
  uint8_t* const stack = static_cast<uint8_t*>(memory) + kGuardBytes;
  inside.bottom = stack;
  inside.bytes = kStackBytes;
  CHECK(::getcontext(&inside.context) == 0);
  inside.context.uc_stack.ss_sp = stack;
  inside.context.uc_stack.ss_size = kStackBytes;
  inside.context.uc_link = nullptr;
  ::makecontext(&inside.context, &Fiber::enter, 0);
#ifdef SKERRY_TSAN
  inside.sanitizer = ::__tsan_create_fiber(0);
#endif
  return Fiber(std::move(state));
}

void Fiber::enter() {
  State& state = *static_cast<State*>(entered);
  arrive(state.inside, state.outside);
  state.work();
  state.work = nullptr;
  state.done = true;
  leave(state.inside, state.outside, true);
  ::setcontext(&state.outside.context);
}

bool Fiber::resume() {
  State& state = *state_;
  if (state.done) return false;
  entered = &state;
#ifdef SKERRY_TSAN
  state.outside.sanitizer = ::__tsan_get_current_fiber();
#endif
  leave(state.outside, state.inside, false);
  CHECK(::swapcontext(&state.outside.context, &state.inside.context) == 0);
  arrive(state.outside, state.inside);
  return !state.done;
}

void Fiber::give_way() {
  State& state = *state_;
  leave(state.inside, state.outside, false);
  CHECK(::swapcontext(&state.inside.context, &state.outside.context) == 0);
  arrive(state.inside, state.outside);
}

void Fiber::abandon() {
  state_.reset();
}

Fiber::~Fiber() {
  while (state_ != nullptr && resume()) {
  }
}

}  // namespace skerry
