// Work that is done a little at a time beside something more urgent, without being cut into pieces by hand:
// it has a stack of its own, so that it can stop anywhere, and go on there later. All of it happens in one
// thread.
//
// Read first: makecontext(3), docs/decisions/0015-long-work-on-a-stack-of-its-own.md. Invariant: below the
// stack lies memory that nobody may touch, so who needs more than there is ends the process. No exception
// leaves the work.
#pragma once

#include <functional>
#include <memory>

#include "base/result.hpp"

namespace skerry {

class Fiber {
 public:
  static constexpr size_t kStackBytes = size_t{1} << 20;  // touched as used

  // Nothing is done before the first resume().
  static Result<Fiber> create(std::function<void()> work);

  // Begins the work or goes on with it, until it gives way. False: it is done.
  bool resume();
  // Called by the work: back to who resumed it.
  void give_way();
  // For a process that ends: the work stops where it is, and what it holds is not freed.
  void abandon();

  Fiber(Fiber&&) noexcept;
  Fiber& operator=(Fiber&&) = delete;
  // What was begun and is not abandoned is done to its end.
  ~Fiber();

 private:
  struct State;
  explicit Fiber(std::unique_ptr<State> state);
  static void enter();

  std::unique_ptr<State> state_;  // stays where it is
};

}  // namespace skerry
