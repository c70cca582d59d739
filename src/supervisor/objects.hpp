// The objects of a plan as descriptors: everything that a process may be granted is made and held here, so
// that a process that comes back gets the same things, and so that what must not be used twice is made anew.
//
// Invariants: a region or session that a dead process used is never given to its successor (its indices are
// those of the dead); a descriptor handed out is borrowed until the object is renewed or dropped.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "base/result.hpp"
#include "supervisor/passt.hpp"
#include "supervisor/plan.hpp"

namespace skerry::supervisor {

class Objects {
 public:
  // `log_fd`: for what a device of another's make has to say.
  explicit Objects(int log_fd) : log_fd_(log_fd) {}

  // Makes the object; what there was under the name is closed. Of a listener nothing is made: it comes from
  // the cell, with adopt_listener(). Control sockets are not objects of ours: each start makes its own
  // (member.hpp).
  Result<void> create(const Object& object);
  void adopt_listener(const std::string& name, Fd listener);
  // Rules instead of those that there were; before the first ones there are none, which accept everything.
  // Errors: whoever made the memory can still change it.
  Result<void> adopt_rules(const std::string& name, Fd memory);
  void drop(const std::string& name);

  bool has(const std::string& name) const { return held_.contains(name); }
  // Borrowed; -1 if there is none. `access` chooses the end of a pipe or a pair.
  int descriptor(const std::string& name, Access access) const;
  // Of a passt; -1 if there is none.
  pid_t passt_of(const std::string& name) const;

 private:
  struct Held {
    Fd fd;                   // of a pipe: the read end; of a pair: the stack's
    Fd write;                // of a pipe or a pair
    std::vector<Fd> beside;  // granted to nobody, and there as long as the object is
    Passt passt;
  };
  int log_fd_;
  std::map<std::string, Held> held_;
};

// What tells an open file from all others while it is open; 0 if the descriptor is not open.
uint64_t inode_of(int fd);

}  // namespace skerry::supervisor
