#include "supervisor/program_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/fd.hpp"
#include "base/program_image.hpp"

namespace skerry::supervisor {
namespace {

Error refusal(const std::string& path, const std::string& reason, int number) {
  return Error{path + " " + reason, number};
}

// Why Skerry's library would not be loaded into such a file; empty if it would.
std::string linking_defect(ProgramImage image) {
  switch (image) {
    case ProgramImage::dynamic:
    case ProgramImage::script:
      return {};
    case ProgramImage::static_alone:
      return "is statically linked, so Skerry's library cannot be loaded into it: use a dynamically linked "
             "build";
    case ProgramImage::other_machine:
      return "is not a 64-bit program for this machine, so Skerry's library cannot be loaded into it";
    case ProgramImage::damaged:
      return "has a damaged ELF header";
    case ProgramImage::unknown:
      break;
  }
  return "is neither an ELF program nor a script that begins with #!";
}

// What execve would make of it for privileges: the dynamic linker ignores LD_PRELOAD then.
std::string privilege_defect(const Fd& file, const struct stat& status) {
  const char* const ignored = ", and such programs ignore preloaded libraries: run a copy without it";
  if (status.st_mode & S_ISUID) return std::string("is a setuid program") + ignored;
  if ((status.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
    return std::string("is a setgid program") + ignored;
  if (::fgetxattr(file.get(), "security.capability", nullptr, 0) > 0)
    return std::string("carries file capabilities") + ignored;
  return {};
}

}  // namespace

Result<void> check_program_file(const std::string& path) {
  std::string at = path;
  for (int depth = 0; depth < kMaxInterpreters; ++depth) {
    const Fd file(::open(at.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status {};
    const bool readable = static_cast<bool>(file);
    if (!readable && errno != EACCES)
      return refusal(at, "cannot be run: " + std::string(std::strerror(errno)), errno);
    if (::stat(at.c_str(), &status) != 0)
      return refusal(at, "cannot be run: " + std::string(std::strerror(errno)), errno);
    if (!S_ISREG(status.st_mode)) return refusal(at, "is not a program", EACCES);
    if (::access(at.c_str(), X_OK) != 0) return refusal(at, "is not executable: use chmod +x", EACCES);
    if (!readable) return refusal(at, "cannot be read, so nobody can tell how it is linked", EACCES);
    if (const std::string defect = privilege_defect(file, status); !defect.empty())
      return refusal(at, defect, EPERM);

    const auto read_at = [&](uint64_t offset, void* to, size_t bytes) {
      return ::pread(file.get(), to, bytes, static_cast<off_t>(offset));
    };
    const ProgramImage image = program_image(read_at);
    if (const std::string defect = linking_defect(image); !defect.empty())
      return refusal(at, defect, ENOEXEC);
    if (image == ProgramImage::dynamic && is_made_by_go(read_at))
      return refusal(
          at,
          "is a Go program, whose system calls are its own, so Skerry's library cannot answer them "
          "and it would have no network",
          ENOEXEC);
    if (image == ProgramImage::dynamic) return {};
    std::array<char, kProgramHeadBytes> head{};
    const ssize_t length = read_at(0, head.data(), head.size());
    at = script_interpreter({head.data(), static_cast<size_t>(std::max<ssize_t>(length, 0))});
    if (at.empty()) return refusal(path, "names no interpreter behind its #!", ENOEXEC);
  }
  return refusal(path, "has an interpreter that has an interpreter, too many times over", ELOOP);
}

}  // namespace skerry::supervisor
