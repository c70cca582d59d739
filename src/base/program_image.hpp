// What execve(2) finds in a file: whether the dynamic linker comes with it (elf(5), PT_INTERP), because it is
// the dynamic linker that loads a preloaded library. Allocates nothing.
#pragma once

#include <elf.h>

#include <cstdint>
#include <cstring>
#include <string_view>

namespace skerry {

enum class ProgramImage {
  dynamic,
  static_alone,   // no dynamic linker comes
  other_machine,  // not a 64-bit program for this one
  damaged,
  script,  // begins with #!
  unknown,
};

inline constexpr int kMaxInterpreters = 4;        // of each other, as execve(2)
inline constexpr size_t kProgramHeadBytes = 256;  // so much of a script execve(2) reads

// `read_at(offset, to, bytes)`: how many bytes it read there.
template <class ReadAt>
ProgramImage program_image(const ReadAt& read_at) {
#if defined(__x86_64__)
  constexpr uint16_t kMachine = EM_X86_64;
#else
  constexpr uint16_t kMachine = EM_AARCH64;
#endif
  constexpr uint16_t kMaxSegments = 512;
  Elf64_Ehdr header{};
  const int64_t length = read_at(0, &header, sizeof header);
  const char* const magic = reinterpret_cast<const char*>(header.e_ident);
  if (length >= 2 && std::memcmp(magic, "#!", 2) == 0) return ProgramImage::script;
  if (length < SELFMAG || std::memcmp(magic, ELFMAG, SELFMAG) != 0) return ProgramImage::unknown;
  if (length < static_cast<int64_t>(sizeof header)) return ProgramImage::damaged;
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != kMachine)
    return ProgramImage::other_machine;
  if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum > kMaxSegments) return ProgramImage::damaged;
  for (uint16_t index = 0; index < header.e_phnum; ++index) {
    Elf64_Phdr segment;
    const auto bytes = static_cast<int64_t>(sizeof segment);
    if (read_at(header.e_phoff + index * sizeof segment, &segment, sizeof segment) != bytes)
      return ProgramImage::damaged;
    if (segment.p_type == PT_INTERP) return ProgramImage::dynamic;
  }
  return ProgramImage::static_alone;
}

// A dynamic program of Go, by the name of a section that Go's linker makes: so also one that the C linker put
// together of its pieces, and one without the note of a build identity (-ldflags=-buildid=). What it does
// with sockets are system calls of its own, and not libc's functions.
template <class ReadAt>
bool is_made_by_go(const ReadAt& read_at) {
  constexpr char kName[] = ".go.buildinfo";
  constexpr uint16_t kMaxSections = 512;  // the usual are forty: who writes many cannot keep us here
  Elf64_Ehdr header{};
  const auto section_at = [&](uint64_t index, Elf64_Shdr& section) {
    return read_at(header.e_shoff + index * sizeof section, &section, sizeof section) ==
           static_cast<int64_t>(sizeof section);
  };
  Elf64_Shdr names, section;
  if (read_at(0, &header, sizeof header) != static_cast<int64_t>(sizeof header)) return false;
  if (!section_at(header.e_shstrndx, names)) return false;
  for (uint16_t index = 0; index < header.e_shnum && index < kMaxSections; ++index) {
    char name[sizeof kName];
    if (!section_at(index, section)) return false;
    if (read_at(names.sh_offset + section.sh_name, name, sizeof name) == static_cast<int64_t>(sizeof name) &&
        std::memcmp(name, kName, sizeof name) == 0)
      return true;
  }
  return false;
}

// The path behind "#!" in the first bytes of a script, without its argument; empty if there is none.
inline std::string_view script_interpreter(std::string_view head) {
  head.remove_prefix(head.size() < 2 ? head.size() : 2);
  const size_t end = head.find_first_of(std::string_view("\n\0", 2));
  if (end != std::string_view::npos) head.remove_suffix(head.size() - end);
  const size_t begin = head.find_first_not_of(" \t");
  head.remove_prefix(begin == std::string_view::npos ? head.size() : begin);
  const size_t argument = head.find_first_of(" \t");
  if (argument != std::string_view::npos) head.remove_suffix(head.size() - argument);
  return head;
}

}  // namespace skerry
