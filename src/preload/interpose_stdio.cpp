// FILE* on a socket. libc's own streams read and write their descriptor by calls that nobody can interpose,
// and below our descriptor lies the anchor, which must not hear the program's bytes. So a stream on a socket
// is one of fopencookie(3), whose bytes go through the session.
// Of stdin, stdout and stderr, which libc made itself: standard_streams.hpp.
#include <stdio.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <cstdarg>

#include "preload/growing_table.hpp"
#include "preload/interpose.hpp"
#include "preload/standard_streams.hpp"
#include "sockets/client_descriptors.hpp"
#include "sockets/client_message.hpp"

namespace skerry::preload {
namespace {

namespace client = sockets::client;
using client::system_call;
using client::word;
using sockets::kNoSocket;

constinit Next<FILE*(int, const char*)> next_fdopen{"fdopen"};
constinit Next<int(int, const char*, va_list)> next_vdprintf{"vdprintf"};
constinit Next<int(FILE*)> next_fileno{"fileno"};

// Streams that are open on sockets: where the cookie of each points, and what fileno() looks through.
struct Stream {
  std::atomic<bool> taken;
  std::atomic<FILE*> file;
  int fd;
};
constinit GrowingTable<Stream> streams;
constinit std::atomic<uint32_t> streams_open = 0;

Stream* claim(int fd) {
  Stream* const stream = streams.claim([](Stream& one) { return !one.taken.exchange(true); });
  if (stream == nullptr) return nullptr;
  stream->fd = fd;
  streams_open.fetch_add(1);
  return stream;
}

void let_go(Stream& stream) {
  stream.file.store(nullptr);
  streams_open.fetch_sub(1);
  stream.taken.store(false);
}

// The whole text or as much as goes: a stream that gets less than it gave has failed.
ssize_t send_all(int fd, const char* bytes, size_t count) {
  size_t sent = 0;
  while (sent < count) {
    const uint32_t socket = client::socket_of(fd);
    if (socket == kNoSocket) {
      errno = EBADF;
      break;
    }
    const iovec piece{.iov_base = const_cast<char*>(bytes) + sent, .iov_len = count - sent};
    const ssize_t now = finish(client::send(socket, &piece, 1, 0));
    if (now < 0) break;
    sent += static_cast<size_t>(now);
  }
  return static_cast<ssize_t>(sent);
}

ssize_t read_stream(void* cookie, char* buffer, size_t bytes) {
  const uint32_t socket = client::socket_of(static_cast<Stream*>(cookie)->fd);
  if (socket == kNoSocket) return finish(ssize_t{-EBADF});
  const iovec piece{.iov_base = buffer, .iov_len = bytes};
  return finish(client::receive(socket, &piece, 1, 0));
}

ssize_t write_stream(void* cookie, const char* bytes, size_t count) {
  return send_all(static_cast<Stream*>(cookie)->fd, bytes, count);
}

int seek_stream(void*, off64_t*, int) {
  return finish(-ESPIPE);
}

int close_stream(void* cookie) {
  Stream& stream = *static_cast<Stream*>(cookie);
  const int fd = stream.fd;
  let_go(stream);
  return finish(client::close(fd));
}

int file_number(FILE* file) {
  if (streams_open.load(std::memory_order_relaxed) > 0) {
    const auto is_it = [&](const Stream& one) { return one.file.load(std::memory_order_relaxed) == file; };
    if (const Stream* const stream = streams.find(is_it); stream != nullptr) return stream->fd;
  }
  const int standard = standard_number(file);
  return standard >= 0 ? standard : next_fileno(file);
}

// Formats into memory first: on the stack where it fits, else in pages of its own.
int print(int fd, const char* format, va_list arguments) {
  char few[1024];
  va_list again;
  va_copy(again, arguments);
  const int length = vsnprintf(few, sizeof few, format, arguments);
  const auto bytes = static_cast<size_t>(length);
  ssize_t sent = -1;
  if (length >= 0 && bytes < sizeof few) {
    sent = send_all(fd, few, bytes);
  } else if (length >= 0) {
    const long mapped = system_call(SYS_mmap, 0, static_cast<long>(bytes + 1), PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped < 0 && mapped > -4096) {
      errno = ENOMEM;
    } else {
      char* many = reinterpret_cast<char*>(mapped);
      vsnprintf(many, bytes + 1, format, again);
      sent = send_all(fd, many, bytes);
      system_call(SYS_munmap, mapped, static_cast<long>(bytes + 1));
    }
  }
  va_end(again);
  return length >= 0 && sent == length ? length : -1;
}

int print_anywhere(int fd, const char* format, va_list arguments) {
  return client::socket_of(fd) == kNoSocket ? next_vdprintf(fd, format, arguments)
                                            : print(fd, format, arguments);
}

}  // namespace

void resolve_stdio() {
  next_fdopen.resolve();
  next_vdprintf.resolve();
  next_fileno.resolve();
}

}  // namespace skerry::preload

using namespace skerry::preload;

SKERRY_EXPORT FILE* fdopen(int fd, const char* mode) noexcept {
  if (client::socket_of(fd) == kNoSocket) return next_fdopen(fd, mode);
  Stream* const stream = claim(fd);
  if (stream == nullptr) {
    errno = ENOMEM;
    return nullptr;
  }
  FILE* const file = fopencookie(stream, mode, {read_stream, write_stream, seek_stream, close_stream});
  if (file == nullptr)
    let_go(*stream);
  else
    stream->file.store(file);
  return file;
}

SKERRY_EXPORT int fileno(FILE* file) noexcept {
  return file_number(file);
}

SKERRY_EXPORT int fileno_unlocked(FILE* file) noexcept {
  return file_number(file);
}

SKERRY_EXPORT int vdprintf(int fd, const char* format, va_list arguments) {
  return print_anywhere(fd, format, arguments);
}

SKERRY_EXPORT int dprintf(int fd, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int result = print_anywhere(fd, format, arguments);
  va_end(arguments);
  return result;
}

// The fortified names (-D_FORTIFY_SOURCE): `flag` says how strictly the format is checked.
SKERRY_EXPORT int __vdprintf_chk(int fd, int, const char* format, va_list arguments) {
  return print_anywhere(fd, format, arguments);
}

SKERRY_EXPORT int __dprintf_chk(int fd, int, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int result = print_anywhere(fd, format, arguments);
  va_end(arguments);
  return result;
}
