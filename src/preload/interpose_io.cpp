// read, write, recv, send and their relatives.
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>

#include "preload/interpose.hpp"
#include "preload/standard_streams.hpp"
#include "sockets/client_message.hpp"
#include "sockets/client_passing.hpp"
#include "sockets/client_splice.hpp"

namespace skerry::preload {
namespace {

namespace client = sockets::client;
using sockets::kNoSocket;

constinit Next<ssize_t(int, void*, size_t)> next_read{"read"};
constinit Next<ssize_t(int, const void*, size_t)> next_write{"write"};
constinit Next<ssize_t(int, const iovec*, int)> next_readv{"readv"};
constinit Next<ssize_t(int, const iovec*, int)> next_writev{"writev"};
constinit Next<ssize_t(int, void*, size_t, int)> next_recv{"recv"};
constinit Next<ssize_t(int, void*, size_t, int, sockaddr*, socklen_t*)> next_recvfrom{"recvfrom"};
constinit Next<ssize_t(int, msghdr*, int)> next_recvmsg{"recvmsg"};
constinit Next<int(int, mmsghdr*, unsigned, int, timespec*)> next_recvmmsg{"recvmmsg"};
constinit Next<ssize_t(int, const void*, size_t, int)> next_send{"send"};
constinit Next<ssize_t(int, const void*, size_t, int, const sockaddr*, socklen_t)> next_sendto{"sendto"};
constinit Next<ssize_t(int, const msghdr*, int)> next_sendmsg{"sendmsg"};
constinit Next<int(int, mmsghdr*, unsigned, int)> next_sendmmsg{"sendmmsg"};
constinit Next<ssize_t(int, int, off_t*, size_t)> next_sendfile{"sendfile"};
constinit Next<ssize_t(int, off64_t*, int, off64_t*, size_t, unsigned)> next_splice{"splice"};
constinit Next<ssize_t(int, const iovec*, int, off_t, int)> next_preadv2{"preadv2"};
constinit Next<ssize_t(int, const iovec*, int, off_t, int)> next_pwritev2{"pwritev2"};

ssize_t receive_one(uint32_t socket, void* buffer, size_t bytes, int flags) {
  const iovec piece{.iov_base = buffer, .iov_len = bytes};
  pthread_testcancel();
  return finish(client::receive(socket, &piece, 1, flags));
}

ssize_t send_one(uint32_t socket, const void* buffer, size_t bytes, int flags) {
  const iovec piece{.iov_base = const_cast<void*>(buffer), .iov_len = bytes};
  pthread_testcancel();
  return finish(client::send(socket, &piece, 1, flags));
}

// Sockets that came with it may have the lowest numbers.
void take_sockets(msghdr* message, int flags) {
  client::receive_sockets(message, flags);
  if (message->msg_controllen != 0)
    for (int fd = 0; fd < 3; ++fd) given(fd);
}

// A vector of no bytes gives 0 before any socket is asked (Linux do_iter_readv_writev()).
bool is_nothing(const iovec* pieces, int count) {
  return count >= 0 &&
         std::all_of(pieces, pieces + count, [](const iovec& piece) { return piece.iov_len == 0; });
}

}  // namespace

void resolve_io() {
  next_read.resolve();
  next_write.resolve();
  next_readv.resolve();
  next_writev.resolve();
  next_recv.resolve();
  next_recvfrom.resolve();
  next_recvmsg.resolve();
  next_recvmmsg.resolve();
  next_send.resolve();
  next_sendto.resolve();
  next_sendmsg.resolve();
  next_sendmmsg.resolve();
  next_sendfile.resolve();
  next_splice.resolve();
  next_preadv2.resolve();
  next_pwritev2.resolve();
}

}  // namespace skerry::preload

using namespace skerry::preload;

SKERRY_EXPORT ssize_t read(int fd, void* buffer, size_t bytes) {
  const uint32_t socket = client::socket_of(fd);
  if (socket == kNoSocket) return next_read(fd, buffer, bytes);
  return bytes == 0 ? 0 : receive_one(socket, buffer, bytes, 0);  // recv() of nothing waits all the same
}

SKERRY_EXPORT ssize_t write(int fd, const void* buffer, size_t bytes) {
  const uint32_t socket = client::socket_of(fd);
  return socket == kNoSocket ? next_write(fd, buffer, bytes) : send_one(socket, buffer, bytes, 0);
}

SKERRY_EXPORT ssize_t readv(int fd, const iovec* pieces, int count) {
  const uint32_t socket = client::socket_of(fd);
  if (socket == kNoSocket) return next_readv(fd, pieces, count);
  if (is_nothing(pieces, count)) return 0;
  pthread_testcancel();
  return finish(client::receive(socket, pieces, static_cast<size_t>(count), 0));
}

SKERRY_EXPORT ssize_t writev(int fd, const iovec* pieces, int count) {
  const uint32_t socket = client::socket_of(fd);
  if (socket == kNoSocket) return next_writev(fd, pieces, count);
  if (is_nothing(pieces, count)) return 0;
  pthread_testcancel();
  return finish(client::send(socket, pieces, static_cast<size_t>(count), 0));
}

SKERRY_EXPORT ssize_t recv(int fd, void* buffer, size_t bytes, int flags) {
  const uint32_t socket = client::socket_of(fd);
  return socket == kNoSocket ? next_recv(fd, buffer, bytes, flags)
                             : receive_one(socket, buffer, bytes, flags);
}

SKERRY_EXPORT ssize_t recvfrom(int fd, void* buffer, size_t bytes, int flags, sockaddr* address,
                               socklen_t* length) {
  const uint32_t socket = client::socket_of(fd);
  if (socket == kNoSocket) return next_recvfrom(fd, buffer, bytes, flags, address, length);
  const iovec piece{.iov_base = buffer, .iov_len = bytes};
  pthread_testcancel();
  return finish(client::receive(socket, &piece, 1, flags, address, length));
}

SKERRY_EXPORT ssize_t recvmsg(int fd, msghdr* message, int flags) {
  const uint32_t socket = client::socket_of(fd);
  if (socket != kNoSocket) {
    pthread_testcancel();
    return finish(client::receive_message(socket, message, flags));
  }
  const ssize_t result = next_recvmsg(fd, message, flags);
  if (result >= 0) take_sockets(message, flags);
  return result;
}

SKERRY_EXPORT int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
  const uint32_t socket = client::socket_of(fd);
  if (socket != kNoSocket) {
    pthread_testcancel();
    return finish(client::receive_messages(socket, messages, count, flags, timeout));
  }
  const int result = next_recvmmsg(fd, messages, count, flags, timeout);
  for (int i = 0; i < result; ++i) take_sockets(&messages[i].msg_hdr, flags);
  return result;
}

SKERRY_EXPORT ssize_t send(int fd, const void* buffer, size_t bytes, int flags) {
  const uint32_t socket = client::socket_of(fd);
  return socket == kNoSocket ? next_send(fd, buffer, bytes, flags) : send_one(socket, buffer, bytes, flags);
}

SKERRY_EXPORT ssize_t sendto(int fd, const void* buffer, size_t bytes, int flags, const sockaddr* address,
                             socklen_t length) {
  const uint32_t socket = client::socket_of(fd);
  if (socket == kNoSocket) return next_sendto(fd, buffer, bytes, flags, address, length);
  const iovec piece{.iov_base = const_cast<void*>(buffer), .iov_len = bytes};
  pthread_testcancel();
  return finish(client::send(socket, &piece, 1, flags, address, length));
}

SKERRY_EXPORT ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  const uint32_t socket = client::socket_of(fd);
  if (socket != kNoSocket) {
    pthread_testcancel();
    return finish(client::send_message(socket, message, flags));
  }
  if (!client::passes_sockets(message)) return next_sendmsg(fd, message, flags);
  const client::Passing passing(*message);
  return passing.error() != 0 ? finish(ssize_t{passing.error()}) : next_sendmsg(fd, passing.message(), flags);
}

SKERRY_EXPORT int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  const uint32_t socket = client::socket_of(fd);
  if (socket != kNoSocket) {
    pthread_testcancel();
    return finish(client::send_messages(socket, messages, count, flags));
  }
  bool passes = false;
  for (unsigned i = 0; i < count; ++i) passes = passes || client::passes_sockets(&messages[i].msg_hdr);
  if (!passes) return next_sendmmsg(fd, messages, count, flags);
  unsigned sent = 0;
  for (; sent < count; ++sent) {
    const ssize_t result = sendmsg(fd, &messages[sent].msg_hdr, flags);
    if (result < 0) return sent > 0 ? static_cast<int>(sent) : -1;
    messages[sent].msg_len = static_cast<unsigned>(result);
  }
  return static_cast<int>(sent);
}

SKERRY_EXPORT ssize_t sendfile(int to, int from, off_t* offset, size_t bytes) {
  const uint32_t socket = client::socket_of(to);
  if (socket == kNoSocket) return next_sendfile(to, from, offset, bytes);
  return finish(client::send_file(socket, from, offset, bytes));
}

// off_t has 64 bits on every platform we build for.
SKERRY_EXPORT ssize_t sendfile64(int to, int from, off64_t* offset, size_t bytes) {
  return sendfile(to, from, offset, bytes);
}

SKERRY_EXPORT ssize_t splice(int from, off64_t* from_offset, int to, off64_t* to_offset, size_t bytes,
                             unsigned flags) {
  if (client::socket_of(from) == kNoSocket && client::socket_of(to) == kNoSocket)
    return next_splice(from, from_offset, to, to_offset, bytes, flags);
  pthread_testcancel();
  return finish(client::splice(from, from_offset != nullptr, to, to_offset != nullptr, bytes, flags));
}

// From where the file is (offset -1) preadv2() and pwritev2() are readv() and writev() with flags; nothing
// else is for sockets.
static bool is_known(int flags) {  // Linux kiocb_set_rw_flags()
  return (flags & ~(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND)) == 0;
}

SKERRY_EXPORT ssize_t preadv2(int fd, const iovec* pieces, int count, off_t offset, int flags) {
  const uint32_t socket = client::socket_of(fd);
  if (socket == kNoSocket || offset != -1) return next_preadv2(fd, pieces, count, offset, flags);
  if (is_nothing(pieces, count)) return 0;
  if (!is_known(flags)) return finish(ssize_t{-EOPNOTSUPP});
  pthread_testcancel();
  return finish(
      client::receive(socket, pieces, static_cast<size_t>(count), flags & RWF_NOWAIT ? MSG_DONTWAIT : 0));
}

SKERRY_EXPORT ssize_t pwritev2(int fd, const iovec* pieces, int count, off_t offset, int flags) {
  const uint32_t socket = client::socket_of(fd);
  if (socket == kNoSocket || offset != -1) return next_pwritev2(fd, pieces, count, offset, flags);
  if (is_nothing(pieces, count)) return 0;
  if (!is_known(flags)) return finish(ssize_t{-EOPNOTSUPP});
  pthread_testcancel();
  return finish(
      client::send(socket, pieces, static_cast<size_t>(count), flags & RWF_NOWAIT ? MSG_DONTWAIT : 0));
}

SKERRY_EXPORT ssize_t preadv64v2(int fd, const iovec* pieces, int count, off64_t offset, int flags) {
  return preadv2(fd, pieces, count, offset, flags);
}

SKERRY_EXPORT ssize_t pwritev64v2(int fd, const iovec* pieces, int count, off64_t offset, int flags) {
  return pwritev2(fd, pieces, count, offset, flags);
}

// The fortified names (-D_FORTIFY_SOURCE): the compiler adds how large the buffer is.
extern "C" [[noreturn]] void __chk_fail();

SKERRY_EXPORT ssize_t __read_chk(int fd, void* buffer, size_t bytes, size_t room) {
  if (bytes > room) __chk_fail();
  return read(fd, buffer, bytes);
}

SKERRY_EXPORT ssize_t __recv_chk(int fd, void* buffer, size_t bytes, size_t room, int flags) {
  if (bytes > room) __chk_fail();
  return recv(fd, buffer, bytes, flags);
}

SKERRY_EXPORT ssize_t __recvfrom_chk(int fd, void* buffer, size_t bytes, size_t room, int flags,
                                     sockaddr* address, socklen_t* length) {
  if (bytes > room) __chk_fail();
  return recvfrom(fd, buffer, bytes, flags, address, length);
}

// libc offers these under a second name, too.
SKERRY_ALSO(ssize_t, read, (int, void*, size_t));
SKERRY_ALSO(ssize_t, write, (int, const void*, size_t));
SKERRY_ALSO(ssize_t, send, (int, const void*, size_t, int));
