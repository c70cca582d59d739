// Which programs `skerry run --strict` lets a process start.
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "base/program_image.hpp"
#include "preload/strict.hpp"
#include "sockets/client_handlers.hpp"
#include "sockets/client_system.hpp"

namespace skerry::preload {
namespace {

namespace client = sockets::client;
using client::system_call;
using client::word;

struct Path {
  char text[4096];  // PATH_MAX
};

// False if it is too long, which exec() tells itself.
bool set(Path& path, std::string_view folder, std::string_view name) {
  const size_t slash = folder.empty() ? 0 : 1;
  if (folder.size() + slash + name.size() >= sizeof path.text) return false;
  std::memcpy(path.text, folder.data(), folder.size());
  if (slash != 0) path.text[folder.size()] = '/';
  std::memcpy(path.text + folder.size() + slash, name.data(), name.size());
  path.text[folder.size() + slash + name.size()] = 0;
  return true;
}

// The dynamic loader has no loader of its own, but loads the library into what it is given. Which file it is,
// this program says, whose loader it is too.
bool is_loader(long file) {
  const auto* const segments = reinterpret_cast<const Elf64_Phdr*>(getauxval(AT_PHDR));
  const Elf64_Phdr *itself = nullptr, *loader = nullptr;
  for (unsigned long i = 0; i < getauxval(AT_PHNUM); ++i) {
    if (segments[i].p_type == PT_PHDR) itself = &segments[i];
    if (segments[i].p_type == PT_INTERP) loader = &segments[i];
  }
  if (itself == nullptr || loader == nullptr) return false;
  const char* const path = reinterpret_cast<const char*>(segments) - itself->p_vaddr + loader->p_vaddr;
  struct stat here, there;
  return fstat(static_cast<int>(file), &here) == 0 && stat(path, &there) == 0 &&
         here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

// Of what cannot be read, and of what is no program, exec() knows more.
bool is_static(int folder, const char* path) {
  const client::NoHandlers none;  // who leaves here would leave the file open
  Path interpreter;
  for (int depth = 0; depth < kMaxInterpreters; ++depth) {
    const bool is_open = path[0] == 0;  // execveat(2) with AT_EMPTY_PATH
    // Opening a FIFO or a device does something, which execve(2) does not: it refuses them.
    struct stat about;
    if (!is_open && (fstatat(folder, path, &about, 0) != 0 || !S_ISREG(about.st_mode))) return false;
    const long file = is_open ? folder : system_call(SYS_openat, folder, word(path), O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    const auto read_at = [&](uint64_t offset, void* to, size_t bytes) {
      return system_call(SYS_pread64, file, word(to), static_cast<long>(bytes), static_cast<long>(offset));
    };
    const ProgramImage image = program_image(read_at);
    const bool loads_nothing = image == ProgramImage::static_alone && !is_loader(file);
    char head[kProgramHeadBytes];
    const long length = image == ProgramImage::script ? read_at(0, head, sizeof head) : 0;
    if (!is_open) client::close_descriptor(static_cast<int>(file));
    if (length <= 0) return loads_nothing;
    const std::string_view next = script_interpreter({head, static_cast<size_t>(length)});
    if (next.empty() || !set(interpreter, {}, next)) return false;
    folder = AT_FDCWD;
    path = interpreter.text;
  }
  return false;
}

}  // namespace

bool may_start(int folder, const char* path) {
  if (!is_strict() || path == nullptr || !is_static(folder, path)) return true;
  char before[] = "skerry: --strict: ", behind[] =
                                            " is statically linked, so its sockets would go past "
                                            "libskerry-preload.so, and it is not started\n";
  const iovec sentence[] = {
      {before, sizeof before - 1}, {const_cast<char*>(path), std::strlen(path)}, {behind, sizeof behind - 1}};
  writev(STDERR_FILENO, sentence, 3);
  errno = EACCES;
  return false;
}

bool may_start_by_name(const char* file) {
  if (!is_strict() || file == nullptr || *file == 0) return true;
  if (std::strchr(file, '/') != nullptr) return may_start(AT_FDCWD, file);
  const char* places = getenv("PATH");
  if (places == nullptr) places = "/bin:/usr/bin";
  for (const char* end; *places != 0; places = *end == 0 ? end : end + 1) {
    end = strchrnul(places, ':');
    Path path;
    if (!set(path, end == places ? "." : std::string_view(places, static_cast<size_t>(end - places)), file))
      continue;
    struct stat about;
    const bool is_file = stat(path.text, &about) == 0 && S_ISREG(about.st_mode);
    if (is_file && system_call(SYS_faccessat, AT_FDCWD, word(path.text), X_OK) == 0)
      return may_start(AT_FDCWD, path.text);
  }
  return true;
}

}  // namespace skerry::preload
