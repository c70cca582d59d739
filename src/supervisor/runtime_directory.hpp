// Where the running compositions of this user live: one directory each, RUNTIME/NAME, claimed by its
// supervisor.
//
// RUNTIME is what runtime_place.hpp says. Invariants: RUNTIME and all in it belongs to us and nobody else can
// write to it; a directory whose lock nobody holds is what a killed supervisor left. Directories come and go
// only under the lock of RUNTIME itself.
#pragma once

#include <string>
#include <vector>

#include "base/fd.hpp"
#include "base/result.hpp"

namespace skerry::supervisor {

// Made if absent, mode 0700. Errors: it is somebody else's, or others can write to it.
Result<std::string> runtime_directory();

// Path of a composition's control socket, whether it runs or not.
Result<std::string> control_path(const std::string& name);

// Names of the compositions that run, sorted.
Result<std::vector<std::string>> running_compositions();

// Removes what supervisors left that were killed; returns their compositions' names.
Result<std::vector<std::string>> clear_leftovers();

// The supervisor's claim on RUNTIME/NAME: held while the object lives, and the directory goes with it.
// Whoever starts a supervisor takes the claim and passes it on, so that nobody else can begin, or clear up,
// in between.
class RuntimeClaim {
 public:
  // Errors: system_error is EADDRINUSE if another supervisor has it.
  static Result<RuntimeClaim> take(const std::string& name);
  // In the process to which the claim's lock was passed. Errors: that is no claim on this name.
  static Result<RuntimeClaim> adopt(const std::string& name, Fd lock);
  int lock_fd() const { return lock_.get(); }
  // The process that has adopted it holds it alone now.
  void hand_over() { lock_.reset(); }

  RuntimeClaim(RuntimeClaim&&) = default;
  RuntimeClaim& operator=(RuntimeClaim&&) = delete;
  ~RuntimeClaim();

  const std::string& path() const { return path_; }
  std::string control_path() const { return path_ + "/control"; }
  // For a supervisor in the background: RUNTIME/NAME/log, empty.
  Result<Fd> open_log() const;

 private:
  RuntimeClaim(std::string path, Fd lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  Fd lock_;
};

}  // namespace skerry::supervisor
