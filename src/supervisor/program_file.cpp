#include "supervisor/program_file.hpp"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/fd.hpp"

namespace skerry::supervisor {
namespace {

constexpr int kMaxInterpreters = 4;  // as execve(2)
constexpr uint16_t kMaxSegments = 512;

Error refusal(const std::string& path, const std::string& reason, int number) {
  return Error{path + " " + reason, number};
}

template <class Value>
bool read_at(const Fd& file, uint64_t offset, Value& value) {
  return ::pread(file.get(), &value, sizeof value, static_cast<off_t>(offset)) ==
         static_cast<ssize_t>(sizeof value);
}

// The path behind "#!", without its argument.
std::string interpreter_of(std::string line) {
  line.resize(line.find_first_of("\n\0", 0, 2) == std::string::npos ? line.size()
                                                                    : line.find_first_of("\n\0", 0, 2));
  const size_t begin = line.find_first_not_of(" \t", 2);
  if (begin == std::string::npos) return {};
  return line.substr(begin, line.find_first_of(" \t", begin) - begin);
}

// Why the dynamic linker would not start this ELF file; empty if it would.
std::string linking_defect(const Fd& file) {
  Elf64_Ehdr header;
  if (!read_at(file, 0, header)) return "is too short for a program";
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != EM_X86_64)
    return "is not a 64-bit program for this machine, so Skerry's library cannot be loaded into it";
  if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum > kMaxSegments)
    return "has a damaged ELF header";
  for (uint16_t index = 0; index < header.e_phnum; ++index) {
    Elf64_Phdr segment;
    if (!read_at(file, header.e_phoff + index * sizeof segment, segment)) return "has a damaged ELF header";
    if (segment.p_type == PT_INTERP) return {};
  }
  return "is statically linked, so Skerry's library cannot be loaded into it: use a dynamically linked build";
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

    std::array<char, 256> head{};
    const ssize_t length = ::pread(file.get(), head.data(), head.size(), 0);
    if (length >= 4 && std::memcmp(head.data(), ELFMAG, SELFMAG) == 0) {
      const std::string defect = linking_defect(file);
      if (!defect.empty()) return refusal(at, defect, ENOEXEC);
      return {};
    }
    if (length < 2 || head[0] != '#' || head[1] != '!')
      return refusal(at, "is neither an ELF program nor a script that begins with #!", ENOEXEC);
    at = interpreter_of(std::string(head.data(), static_cast<size_t>(length)));
    if (at.empty()) return refusal(path, "names no interpreter behind its #!", ENOEXEC);
  }
  return refusal(path, "has an interpreter that has an interpreter, too many times over", ELOOP);
}

}  // namespace skerry::supervisor
