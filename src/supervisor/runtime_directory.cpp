#include "supervisor/runtime_directory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "supervisor/runtime_place.hpp"

namespace skerry::supervisor {

namespace {

// Makes it if absent. A directory that somebody else could write to would let him answer in our name.
Result<void> own_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    const int number = errno;
    return Error{fmt::format("cannot make the directory {}: {}", path, std::strerror(number)), number};
  }
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0 || !S_ISDIR(found.st_mode) || found.st_uid != ::geteuid() ||
      (found.st_mode & 022) != 0) {
    return Error{
        fmt::format("{} is not a directory that only you can write to: remove it and try again", path),
        EPERM};
  }
  return {};
}

// An exclusive lock on a file, made if absent; empty if another process holds it and we shall not wait.
Result<Fd> lock_file(const std::string& path, bool wait) {
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) {
    const int number = errno;
    return Error{fmt::format("cannot make {}: {}", path, std::strerror(number)), number};
  }
  while (::flock(fd.get(), LOCK_EX | (wait ? 0 : LOCK_NB)) != 0) {
    if (errno != EINTR) return Fd();
  }
  return fd;
}

Error in_use(const std::string& name) {
  return {fmt::format("\"{}\" runs already: `skerry down {}` ends it", name, name), EADDRINUSE};
}

bool is_lock_of(const std::string& path, const Fd& lock) {
  struct stat held {};
  struct stat found {};
  return ::fstat(lock.get(), &held) == 0 && ::stat((path + "/lock").c_str(), &found) == 0 &&
         held.st_dev == found.st_dev && held.st_ino == found.st_ino;
}

struct Locked {
  std::string place;
  Fd lock;
};

Result<Locked> lock_runtime() {
  Result<std::string> place = runtime_directory();
  if (!place) return place.error();
  Result<Fd> lock = lock_file(*place + "/lock", true);
  if (!lock) return lock.error();
  return Locked{std::move(*place), std::move(*lock)};
}

// Directories of compositions, and whether a supervisor has claimed them.
std::vector<std::pair<std::string, bool>> directories(const std::string& place) {
  std::vector<std::pair<std::string, bool>> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(place, error)) {
    if (!entry.is_directory(error)) continue;
    const Result<Fd> lock = lock_file(entry.path().string() + "/lock", false);
    found.emplace_back(entry.path().filename().string(), lock && !*lock);
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

Result<std::string> runtime_directory() {
  std::string place = runtime_place();
  if (const Result<void> made = own_directory(place); !made) return made.error();
  return place;
}

Result<std::string> control_path(const std::string& name) {
  const Result<std::string> place = runtime_directory();
  if (!place) return place.error();
  return *place + "/" + name + "/control";
}

Result<std::vector<std::string>> running_compositions() {
  const Result<Locked> locked = lock_runtime();
  if (!locked) return locked.error();
  std::vector<std::string> names;
  for (const auto& [name, claimed] : directories(locked->place)) {
    if (claimed) names.push_back(name);
  }
  return names;
}

Result<std::vector<std::string>> clear_leftovers() {
  const Result<Locked> locked = lock_runtime();
  if (!locked) return locked.error();
  std::vector<std::string> names;
  for (const auto& [name, claimed] : directories(locked->place)) {
    if (claimed) continue;
    std::error_code error;
    std::filesystem::remove_all(locked->place + "/" + name, error);
    names.push_back(name);
  }
  return names;
}

Result<RuntimeClaim> RuntimeClaim::take(const std::string& name) {
  const Result<Locked> locked = lock_runtime();
  if (!locked) return locked.error();
  const std::string path = locked->place + "/" + name;
  if (const Result<void> made = own_directory(path); !made) return made.error();
  Result<Fd> lock = lock_file(path + "/lock", false);
  if (!lock) return lock.error();
  if (!*lock) return in_use(name);
  return RuntimeClaim(path, std::move(*lock));
}

Result<RuntimeClaim> RuntimeClaim::adopt(const std::string& name, Fd lock) {
  const Result<std::string> place = runtime_directory();
  if (!place) return place.error();
  std::string path = *place + "/" + name;
  if (!is_lock_of(path, lock)) return Error{fmt::format("nobody passed the claim on \"{}\" on to us", name)};
  ::fcntl(lock.get(), F_SETFD, FD_CLOEXEC);
  return RuntimeClaim(std::move(path), std::move(lock));
}

Result<Fd> RuntimeClaim::open_log() const {
  Fd log(
      ::open((path_ + "/log").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!log) {
    const int number = errno;
    return Error{fmt::format("cannot make {}/log: {}", path_, std::strerror(number)), number};
  }
  return log;
}

RuntimeClaim::~RuntimeClaim() {
  if (!lock_) return;
  const Result<Locked> locked = lock_runtime();
  // Whoever had it from us may have removed it, and somebody else made his own since.
  if (!is_lock_of(path_, lock_)) return;
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}

}  // namespace skerry::supervisor
