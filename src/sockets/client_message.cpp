#include "sockets/client_message.hpp"

#include <limits.h>
#include <sys/stat.h>

#include "sockets/client_address.hpp"
#include "sockets/client_ancillary.hpp"
#include "sockets/client_datagram.hpp"
#include "sockets/client_error_queue.hpp"
#include "sockets/client_options.hpp"
#include "sockets/client_setup.hpp"
#include "sockets/client_stream.hpp"

namespace skerry::sockets::client {
namespace {

Endpoint peer_of(const DatagramHeader& header) {
  return {.address = header.peer, .port = header.peer_port};
}

// That of a socket that reads no more: nobody sent it.
bool is_end(const Received& received) {
  return received.header.peer.is_unspecified();
}

// Linux __copy_msghdr().
int check(const msghdr& message) {
  if (message.msg_name != nullptr && static_cast<int>(message.msg_namelen) < 0) return -EINVAL;
  return message.msg_iovlen > IOV_MAX ? -EMSGSIZE : 0;
}

ssize_t receive_of_stream(uint32_t socket, msghdr& message, int flags) {
  Pieces to(message.msg_iov, message.msg_iovlen);
  const ssize_t result = receive_stream(socket, to, flags);
  if (result < 0) return result;
  if ((flags & MSG_OOB) && result > 0) message.msg_flags |= MSG_OOB;
  message.msg_namelen = 0;
  Ancillary ancillary(message);
  if (result > 0 && !(flags & MSG_OOB))
    ancillary.add_time(socket, state.names[socket].arrival_ns.load(std::memory_order_relaxed));
  ancillary.add_input_left(socket);
  return result;
}

ssize_t receive_of_datagrams(uint32_t socket, msghdr& message, int flags) {
  Pieces to(message.msg_iov, message.msg_iovlen);
  const Received received = receive_datagram(socket, to, flags);
  if (received.result < 0) return received.result;
  message.msg_flags |= received.flags;
  Ancillary ancillary(message);
  if (is_end(received)) {
    message.msg_namelen = 0;
    return 0;
  }
  to_sockaddr(peer_of(received.header), state.names[socket].v6 != 0, static_cast<sockaddr*>(message.msg_name),
              &message.msg_namelen);
  ancillary.add_packet(socket, received.header);
  return received.result;
}

ssize_t send_to(uint32_t socket, Pieces& pieces, const sockaddr* address, socklen_t length,
                const Outfit& outfit, int flags) {
  FromPieces from{pieces};
  // A connected stream ignores the address (tcp_sendmsg). Where Linux does not open fast it says so.
  if (is_stream(socket)) {
    if (flags & MSG_FASTOPEN) return -EOPNOTSUPP;
    if (outfit.error == 0) return send_stream(socket, from, flags);
    Pieces nothing(nullptr, 0);  // what the connection has to say comes first
    FromPieces from_nothing{nothing};
    const ssize_t sent = send_stream(socket, from_nothing, flags);
    return sent < 0 ? sent : outfit.error;
  }
  take_any_port(socket);
  bool v6 = state.names[socket].v6 != 0;
  if (v6 && address != nullptr && length >= sizeof(sa_family_t)) {  // udpv6_sendmsg
    if (address->sa_family == AF_INET && is_v6_only(socket)) return -ENETUNREACH;
    if (address->sa_family == AF_UNSPEC)
      address = nullptr;
    else if (address->sa_family == AF_INET)
      v6 = false;
    else if (address->sa_family != AF_INET6)
      return -EINVAL;
  }
  if (address == nullptr) return send_datagram(socket, from, nullptr, outfit, flags);
  Endpoint to;
  int wrong = from_sockaddr(address, length, v6, to);
  if (wrong < 0 && v6) return wrong;
  if (wrong == 0) wrong = destination(socket, to);
  // While something is kept back nobody reads where the rest shall go (udp_sendmsg).
  if (wrong < 0 && !keeps_something(socket)) return wrong;
  return send_datagram(socket, from, &to, outfit, flags);
}

// The rest of the file is one datagram; where there is no rest, nothing is asked of the socket.
ssize_t send_file_as_datagram(uint32_t socket, FromFile& from) {
  struct stat about {};
  if (const long result = system_call(SYS_fstat, from.file, word(&about)); result < 0) return result;
  if (S_ISDIR(about.st_mode)) return -EISDIR;
  if (from.position >= about.st_size) return 0;
  from.bytes_left = std::min(from.bytes_left, static_cast<size_t>(about.st_size - from.position));
  return send_datagram(socket, from, nullptr, {}, 0);
}

}  // namespace

ssize_t receive(uint32_t socket, const iovec* pieces, size_t count, int flags, sockaddr* address,
                socklen_t* length) {
  if (count > IOV_MAX) return -EINVAL;
  Pieces to(pieces, count);
  if (is_stream(socket)) {
    const ssize_t result = receive_stream(socket, to, flags);
    if (address != nullptr && length != nullptr && result >= 0) *length = 0;  // tcp_recvmsg gives no name
    return result;
  }
  if (flags & MSG_ERRQUEUE) {
    msghdr message{};
    message.msg_name = address;
    message.msg_namelen = length == nullptr ? 0 : *length;
    message.msg_iov = const_cast<iovec*>(pieces);
    message.msg_iovlen = count;
    const ssize_t result = receive_error(socket, message);
    if (result >= 0 && address != nullptr && length != nullptr) *length = message.msg_namelen;
    return result;
  }
  const Received received = receive_datagram(socket, to, flags);
  if (received.result >= 0 && is_end(received) && length != nullptr) *length = 0;
  if (received.result >= 0 && !is_end(received))
    to_sockaddr(peer_of(received.header), state.names[socket].v6 != 0, address, length);
  return received.result;
}

ssize_t receive_message(uint32_t socket, msghdr* message, int flags) {
  if (message == nullptr) return -EFAULT;
  if (const int wrong = check(*message); wrong != 0) return wrong;
  msghdr told = *message;  // a call that fails leaves the program's as it was
  told.msg_flags = flags & MSG_CMSG_CLOEXEC;
  const ssize_t result = is_stream(socket)      ? receive_of_stream(socket, told, flags)
                         : flags & MSG_ERRQUEUE ? receive_error(socket, told)
                                                : receive_of_datagrams(socket, told, flags);
  if (result < 0) return result;
  if (message->msg_name != nullptr) message->msg_namelen = told.msg_namelen;
  message->msg_controllen = told.msg_controllen;
  message->msg_flags = told.msg_flags;
  return result;
}

int receive_messages(uint32_t socket, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
  TimeNs deadline = kNever;
  if (timeout != nullptr) {
    const auto seconds = static_cast<uint64_t>(timeout->tv_sec);
    const auto nanoseconds = static_cast<uint64_t>(timeout->tv_nsec);
    if (timeout->tv_sec < 0 || nanoseconds >= kSecond) return -EINVAL;
    if (seconds < kFarAway / kSecond) deadline = monotonic_ns() + seconds * kSecond + nanoseconds;
  }
  if (!(flags & MSG_ERRQUEUE))
    if (const int error = take_error(socket); error != 0) return error;  // before what is there (do_recvmmsg)
  unsigned done = 0;
  int call_flags = flags & ~MSG_WAITFORONE;
  while (done < count) {
    const ssize_t result = receive_message(socket, &messages[done].msg_hdr, call_flags);
    if (result < 0 && done == 0) return static_cast<int>(result);
    if (result < 0) {
      if (result != -EAGAIN && result != -EINTR)  // the next call tells (do_recvmmsg)
        state.out[socket].error.store(static_cast<int32_t>(-result), std::memory_order_relaxed);
      break;
    }
    messages[done++].msg_len = static_cast<unsigned>(result);
    call_flags |= kNotTheFirst;
    if (flags & MSG_WAITFORONE) call_flags |= MSG_DONTWAIT;
    if (deadline == kNever) continue;
    const TimeNs now = monotonic_ns();
    *timeout = to_timespec(deadline > now ? deadline - now : 0);
    if (now >= deadline) break;
  }
  return static_cast<int>(done);
}

ssize_t send(uint32_t socket, const iovec* pieces, size_t count, int flags, const sockaddr* address,
             socklen_t length) {
  if (count > IOV_MAX) return -EINVAL;
  Pieces from(pieces, count);
  return send_to(socket, from, address, length, {}, flags);
}

ssize_t send_message(uint32_t socket, const msghdr* message, int flags) {
  if (message == nullptr) return -EFAULT;
  if (const int wrong = check(*message); wrong != 0) return wrong;
  Pieces from(message->msg_iov, message->msg_iovlen);
  const Outfit outfit = message->msg_controllen > 0 ? read_outfit(socket, *message) : Outfit{};
  const void* const name = message->msg_namelen != 0 ? message->msg_name : nullptr;
  return send_to(socket, from, static_cast<const sockaddr*>(name), message->msg_namelen, outfit, flags);
}

int send_messages(uint32_t socket, mmsghdr* messages, unsigned count, int flags) {
  unsigned done = 0;
  while (done < count) {
    const ssize_t result =
        send_message(socket, &messages[done].msg_hdr, done > 0 ? flags | kNotTheFirst : flags);
    if (result < 0) return done > 0 ? static_cast<int>(done) : static_cast<int>(result);
    messages[done++].msg_len = static_cast<unsigned>(result);
  }
  return static_cast<int>(done);
}

ssize_t send_file(uint32_t socket, int file, off_t* offset, size_t bytes) {
  if (bytes == 0) return 0;
  const off_t position = offset != nullptr ? *offset : system_call(SYS_lseek, file, 0, SEEK_CUR);
  if (position < 0) return position == -EBADF ? -EBADF : -EINVAL;
  FromFile from{file, position, bytes};
  const ssize_t sent = is_stream(socket) ? send_stream(socket, from, 0) : send_file_as_datagram(socket, from);
  if (sent == -EISDIR) return -EINVAL;
  if (sent <= 0) return sent;
  if (offset != nullptr)
    *offset = position + sent;
  else
    system_call(SYS_lseek, file, position + sent, SEEK_SET);
  return sent;
}

}  // namespace skerry::sockets::client
