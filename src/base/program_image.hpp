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

// A dynamic program of Go, which says so in one of its notes: the first if Go's own linker made it, one
// behind those of the C linker if that did. What it does with sockets are system calls of its own, and not
// libc's functions.
template <class ReadAt>
bool is_made_by_go(const ReadAt& read_at) {
  constexpr char kOwner[] = "Go\0";
  Elf64_Ehdr header{};
  if (read_at(0, &header, sizeof header) != static_cast<int64_t>(sizeof header)) return false;
  int left = 64;  // the usual are four: who writes many cannot keep us here
  for (uint16_t index = 0; index < header.e_phnum; ++index) {
    Elf64_Phdr segment;
    if (read_at(header.e_phoff + index * sizeof segment, &segment, sizeof segment) !=
        static_cast<int64_t>(sizeof segment))
      return false;
    if (segment.p_type != PT_NOTE) continue;
    const uint64_t align = segment.p_align == 8 ? 8 : 4;
    const auto aligned = [align](uint64_t bytes) { return (bytes + align - 1) & ~(align - 1); };
    for (uint64_t at = 0; at < segment.p_filesz && left > 0; --left) {
      struct {
        Elf64_Nhdr head;
        char owner[sizeof kOwner];
      } note{};
      if (read_at(segment.p_offset + at, &note, sizeof note) != static_cast<int64_t>(sizeof note)) break;
      if (note.head.n_namesz == sizeof kOwner && std::memcmp(note.owner, kOwner, sizeof kOwner) == 0)
        return true;
      at += aligned(aligned(sizeof note.head + note.head.n_namesz) + note.head.n_descsz);
    }
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
