#include "preload/standard_streams.hpp"

#include <fcntl.h>
#include <stdio_ext.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "preload/interpose.hpp"
#include "sockets/client_descriptors.hpp"

namespace skerry::preload {
namespace {

namespace client = sockets::client;
using client::system_call;
using client::word;

constinit Next<int(FILE*)> next_number_of{"fileno"};
using Reopen = FILE*(const char*, const char*, FILE*);
constinit Next<Reopen> next_freopen{"freopen"};
constinit Next<Reopen> next_freopen64{"freopen64"};

// As large as libc's own for a socket.
constexpr size_t kBufferBytes = 4096;

struct Standard {
  const char* name;
  const char* mode;
  FILE** variable = nullptr;
  FILE* ours = nullptr;
  FILE* libcs = nullptr;  // what was in the variable; null: no socket has stood there
  bool closed = false;
};
constinit Standard standards[3] = {
    {.name = "stdin", .mode = "r"}, {.name = "stdout", .mode = "w"}, {.name = "stderr", .mode = "w"}};

constinit char buffers[3][kBufferBytes] = {};

int number_of(const Standard& standard) {
  return static_cast<int>(&standard - standards);
}

// First what libc's stream has read already.
ssize_t read_standard(void* cookie, char* buffer, size_t bytes) {
  const Standard& standard = *static_cast<Standard*>(cookie);
  if (standard.closed) return finish(ssize_t{-EBADF});
  FILE& before = *standard.libcs;
  const auto left = std::min(bytes, static_cast<size_t>(before._IO_read_end - before._IO_read_ptr));
  if (left == 0) return ::read(number_of(standard), buffer, bytes);
  std::memcpy(buffer, before._IO_read_ptr, left);
  before._IO_read_ptr += left;
  return static_cast<ssize_t>(left);
}

// All, or a stream that gets less than it gave has failed.
ssize_t write_standard(void* cookie, const char* bytes, size_t count) {
  const Standard& standard = *static_cast<Standard*>(cookie);
  size_t written = 0;
  while (written < count && !standard.closed) {
    const ssize_t now = ::write(number_of(standard), bytes + written, count - written);
    if (now < 0) break;
    written += static_cast<size_t>(now);
  }
  if (standard.closed) errno = EBADF;
  return static_cast<ssize_t>(written);
}

int seek_standard(void* cookie, off64_t* offset, int whence) {
  const long place = system_call(SYS_lseek, number_of(*static_cast<Standard*>(cookie)), *offset, whence);
  if (place >= 0) *offset = place;
  return place < 0 ? finish(static_cast<int>(place)) : 0;
}

// As libc's stream is buffered, or would be from its first byte on.
int buffering_of(FILE* stream, int fd) {
  if (__flbf(stream) != 0) return _IOLBF;
  const size_t bytes = __fbufsize(stream);
  return bytes == 1 || (bytes == 0 && fd == STDERR_FILENO) ? _IONBF : _IOFBF;
}

// What the program has printed and not flushed goes where its stream leads when it is.
void move_output(FILE* from, FILE* to) {
  if (ftrylockfile(from) != 0) return;  // another thread prints
  const size_t pending = __fpending(from);
  if (pending != 0 && fwrite_unlocked(from->_IO_write_base, 1, pending, to) == pending) __fpurge(from);
  funlockfile(from);
}

}  // namespace

void make_standard_streams() {
  next_number_of.resolve();
  next_freopen.resolve();
  next_freopen64.resolve();
  for (Standard& standard : standards) {
    standard.variable = static_cast<FILE**>(dlsym(RTLD_DEFAULT, standard.name));
    standard.ours =
        fopencookie(&standard, standard.mode, {read_standard, write_standard, seek_standard, nullptr});
  }
  for (int fd = 0; fd < 3; ++fd) given(fd);
}

void take_standard_stream(int fd) {
  Standard& standard = standards[fd];
  if (standard.ours == nullptr || standard.variable == nullptr) return;
  if (client::socket_of(fd) == sockets::kNoSocket) return;
  FILE* const before = *standard.variable;
  if (before == nullptr || before == standard.ours || next_number_of(before) != fd || fwide(before, 0) > 0)
    return;
  if (standard.libcs == nullptr) setvbuf(standard.ours, buffers[fd], buffering_of(before, fd), kBufferBytes);
  standard.libcs = before;
  if (fd != STDIN_FILENO) move_output(before, standard.ours);
  *standard.variable = standard.ours;
}

int standard_number(FILE* stream) {
  for (const Standard& standard : standards)
    if (standard.libcs != nullptr && standard.ours == stream) return number_of(standard);
  return -1;
}

int close_standard_stream(int fd) {
  if (standards[fd].closed) return finish(-EBADF);
  const int flushed = fflush(standards[fd].ours);
  const int error = errno;
  standards[fd].closed = true;
  const int closed = ::close(fd);
  if (flushed != 0) errno = error;
  return flushed != 0 ? flushed : closed;
}

namespace {

// libc puts the file on the stream's number by calls that are not ours, so the number is the kernel's before.
FILE* reopen(Next<Reopen>& next, const char* path, const char* mode, FILE* stream) {
  const int fd = standard_number(stream);
  if (fd < 0) return next(path, mode, stream);
  if (path == nullptr) {  // a socket cannot be opened again (freopen(3): then the stream is closed)
    close_standard_stream(fd);
    errno = ENXIO;
    return nullptr;
  }
  fflush(stream);
  const long null = system_call(SYS_openat, AT_FDCWD, word("/dev/null"), O_RDWR | O_CLOEXEC);
  if (null < 0) return nullptr;
  client::dup3(static_cast<int>(null), fd, 0);
  client::close_descriptor(static_cast<int>(null));
  *standards[fd].variable = standards[fd].libcs;
  return next(path, mode, standards[fd].libcs);
}

}  // namespace
}  // namespace skerry::preload

using namespace skerry::preload;

SKERRY_EXPORT FILE* freopen(const char* path, const char* mode, FILE* stream) {
  return reopen(next_freopen, path, mode, stream);
}

SKERRY_EXPORT FILE* freopen64(const char* path, const char* mode, FILE* stream) {
  return reopen(next_freopen64, path, mode, stream);
}
