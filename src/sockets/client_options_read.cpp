// Reading what client_option_table.hpp names, and the options whose value is more than a number.
#include <net/if.h>
#include <sys/time.h>

#include <algorithm>
#include <cstring>

#include "sockets/client_call.hpp"
#include "sockets/client_device.hpp"
#include "sockets/client_option_table.hpp"
#include "sockets/client_options.hpp"
#include "sockets/client_stream.hpp"
#include "sockets/client_tcp_info.hpp"
#include "sockets/session_info.hpp"

namespace skerry::sockets::client {
namespace {

int give(void* value, socklen_t* length, const void* from, size_t bytes) {
  const size_t copied = std::min<size_t>(*length, bytes);
  std::memcpy(value, from, copied);
  *length = static_cast<socklen_t>(copied);
  return 0;
}

int give_int(void* value, socklen_t* length, int number) {
  return give(value, length, &number, sizeof number);
}

int give_timeout(const std::atomic<uint64_t>& timeout_ns, void* value, socklen_t* length) {
  const uint64_t ns = timeout_ns.load(std::memory_order_relaxed);
  const timeval time{.tv_sec = static_cast<time_t>(ns / kSecond),
                     .tv_usec = static_cast<suseconds_t>(ns % kSecond / kMicrosecond)};
  return give(value, length, &time, sizeof time);
}

// What a stream has where nothing was set is the connection's to choose.
int give_buffer(uint32_t socket, int name, void* value, socklen_t* length) {
  const bool receive = name == SO_RCVBUF;
  if (const uint32_t set = get_place(socket, receive ? kReceiveBuffer : kSendBuffer); set != 0)
    return give_int(value, length, static_cast<int>(set));
  if (!is_stream(socket)) return give_int(value, length, 212992);
  Request request{.op = Op::info, .socket = socket};
  if (const int result = call(request); result < 0) return result;
  const uint64_t both = request.value[kInfoBuffers];
  const auto bytes = static_cast<int>(receive ? (both >> 32) * 2 : both & UINT32_MAX);
  return give_int(value, length, bytes != 0 ? bytes : receive ? 131072 : 16384);
}

int give_discovery(uint32_t socket, void* value, socklen_t* length) {
  const uint64_t bits = state.names[socket].option_bits.load(std::memory_order_relaxed);
  for (const Discovery& one : kDiscovery)
    if (one.bits == (bits & (kWhole | kMayBeCut | kTrustsLink))) return give_int(value, length, one.mode);
  return -EINVAL;
}

int give_path_mtu(uint32_t socket, void* value, socklen_t* length) {
  Request request{.op = Op::info, .socket = socket};
  if (!(state.out[socket].status.load(std::memory_order_relaxed) & kConnected)) return -ENOTCONN;
  const auto known = is_stream(socket) && call(request) >= 0 ? request.value[kInfoPath] & UINT32_MAX : 0;
  return give_int(value, length, static_cast<int>(known != 0 ? known : state.control->mtu));
}

int give_max_segment(uint32_t socket, void* value, socklen_t* length) {
  Request request{.op = Op::info, .socket = socket};
  if (const int result = call(request); result < 0) return result;
  const auto mss = static_cast<int>(request.value[kInfoMss] >> 32);
  return give_int(value, length, mss > 0 ? mss : 536);
}

int give_socket_level(uint32_t socket, int name, void* value, socklen_t* length) {
  const uint32_t status = state.out[socket].status.load(std::memory_order_relaxed);
  const bool stream = status & kStream;
  switch (name) {
    case SO_ERROR:
      return give_int(value, length, -take_error(socket));
    case SO_TYPE:
      return give_int(value, length, stream ? SOCK_STREAM : SOCK_DGRAM);
    case SO_PROTOCOL:
      return give_int(value, length, stream ? IPPROTO_TCP : IPPROTO_UDP);
    case SO_DOMAIN:
      return give_int(value, length, state.names[socket].v6 ? AF_INET6 : AF_INET);
    case SO_ACCEPTCONN:
      return give_int(value, length, status & kListening ? 1 : 0);
    case SO_RCVTIMEO_OLD:
    case SO_RCVTIMEO_NEW:
      return give_timeout(state.names[socket].receive_timeout_ns, value, length);
    case SO_SNDTIMEO_OLD:
    case SO_SNDTIMEO_NEW:
      return give_timeout(state.names[socket].send_timeout_ns, value, length);
    case SO_RCVBUF:
    case SO_SNDBUF:
      return give_buffer(socket, name, value, length);
    case SO_BINDTODEVICE: {
      if (bound_interface(socket) == 0) {
        *length = 0;
        return 0;
      }
      return *length < IFNAMSIZ ? -EINVAL : give(value, length, kNetworkDevice, sizeof kNetworkDevice);
    }
    case SO_BINDTOIFINDEX:
      return give_int(value, length, bound_interface(socket));
    case SO_PEERCRED: {  // of what is no Unix socket
      const ucred nobody{.pid = 0, .uid = UINT32_MAX, .gid = UINT32_MAX};
      return give(value, length, &nobody, sizeof nobody);
    }
    case SO_COOKIE: {  // no other socket's, as long as the stack lives
      const uint64_t life = state.out[socket].life.load(std::memory_order_relaxed);
      const uint64_t cookie = (life << 32 | socket) + 1;
      return *length < sizeof cookie ? -EINVAL : give(value, length, &cookie, sizeof cookie);
    }
    case SO_LINGER: {
      const linger how{.l_onoff = has_option(socket, kOptLinger),
                       .l_linger = static_cast<int>(get_place(socket, kLingerSeconds))};
      return give(value, length, &how, sizeof how);
    }
    default:
      return -ENOPROTOOPT;
  }
}

int give_special(uint32_t socket, int level, int name, void* value, socklen_t* length) {
  if (level == SOL_SOCKET) return give_socket_level(socket, name, value, length);
  if (is_discovery(level, name)) return give_discovery(socket, value, length);
  if (level == IPPROTO_IP && name == IP_OPTIONS) {
    *length = 0;
    return 0;
  }
  if (level == IPPROTO_IP && name == IP_MTU) return give_path_mtu(socket, value, length);
  if (level != IPPROTO_TCP) return -ENOPROTOOPT;
  if (name == TCP_INFO) return give_tcp_info(socket, value, length);
  if (name == TCP_MAXSEG) return give_max_segment(socket, value, length);
  if (name == TCP_ULP) {
    *length = 0;
    return 0;
  }
  if (name == TCP_CONGESTION) return give(value, length, "cubic\0\0\0\0\0\0\0\0\0\0", 16);
  return -ENOPROTOOPT;
}

}  // namespace

int get_option(uint32_t socket, int level, int name, void* value, socklen_t* length) {
  if (value == nullptr || length == nullptr) return -EFAULT;
  if (static_cast<int>(*length) < 0) return -EINVAL;
  if (!knows_level(socket, level)) return state.names[socket].v6 ? -ENOPROTOOPT : -EOPNOTSUPP;
  const Option* option = find_option(level, name);
  if (option == nullptr) return give_special(socket, level, name, value, length);
  int number = option->usual;
  if (option->kind == Kind::bit) number ^= has_option(socket, option->where) ? 1 : 0;
  if (option->kind == Kind::number || option->kind == Kind::kept)
    if (const uint32_t set = get_place(socket, static_cast<uint32_t>(option->where)); set != 0)
      number = static_cast<int>(set) ^ (option->kind == Kind::kept ? option->usual : 0);
  const bool as_byte =
      level == IPPROTO_IP && *length > 0 && *length < sizeof number && number >= 0 && number <= 255;
  return give(value, length, &number, as_byte ? 1 : sizeof number);
}

}  // namespace skerry::sockets::client
