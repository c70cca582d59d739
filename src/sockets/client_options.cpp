// Setting what client_option_table.hpp names, and the options whose value is more than a number; telling the
// stack.
#include "sockets/client_options.hpp"

#include <sys/time.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "sockets/client_call.hpp"
#include "sockets/client_datagram.hpp"
#include "sockets/client_device.hpp"
#include "sockets/client_option_limits.hpp"
#include "sockets/client_option_table.hpp"
#include "sockets/client_stream.hpp"

namespace skerry::sockets::client {
namespace {

void set_place(uint32_t socket, uint32_t place, uint32_t value) {
  std::atomic<uint64_t>& both = state.names[socket].option_values[place / 2];
  const uint32_t shift = place % 2 * 32;
  uint64_t old = both.load(std::memory_order_relaxed);
  while (
      !both.compare_exchange_weak(old, (old & ~(uint64_t{UINT32_MAX} << shift)) | uint64_t{value} << shift)) {
  }
}

void set_bit(uint32_t socket, uint64_t bit, bool on) {
  std::atomic<uint64_t>& bits = state.names[socket].option_bits;
  if (on)
    bits.fetch_or(bit, std::memory_order_relaxed);
  else
    bits.fetch_and(~bit, std::memory_order_relaxed);
}

int tell_stack(uint32_t socket) {
  Request request{.op = Op::set_options, .socket = socket};
  request.value[kOptionBits] = state.names[socket].option_bits.load(std::memory_order_relaxed) & kForStack;
  for (uint32_t place = kKeepIdle; place <= kSendBuffer; ++place)
    request.value[kOptionKeepIdle + place] = get_place(socket, place);
  request.value[kOptionReceiveBuffer] /= 2;
  const PacketMarks marks = marks_of(socket);
  request.value[kOptionMarks] = marks.ttl | uint64_t{marks.type_of_service} << 8;
  request.value[kOptionSynRetries] = get_place(socket, kSynCount);
  request.value[kOptionDeferAccept] = time_outs_in(get_place(socket, kDeferAccept));
  request.value[kOptionReceiveLow] = get_place(socket, kReceiveLow);
  return call(request);
}

int set_timeout(std::atomic<uint64_t>& timeout_ns, const void* value, socklen_t length) {
  timeval time{};
  if (length < sizeof time) return -EINVAL;
  std::memcpy(&time, value, sizeof time);
  if (time.tv_usec < 0 || time.tv_usec >= 1'000'000) return -EDOM;
  const auto seconds = static_cast<uint64_t>(time.tv_sec);
  if (time.tv_sec < 0)
    timeout_ns = 1;
  else if (seconds >= kFarAway / kSecond)
    timeout_ns = 0;  // never
  else
    timeout_ns = seconds * kSecond + static_cast<uint64_t>(time.tv_usec) * kMicrosecond;
  return 0;
}

// Linux doubles what is asked, for its own bookkeeping, and getsockopt shows the double (socket(7)); the
// least and the most are SOCK_MIN_RCVBUF, SOCK_MIN_SNDBUF and the usual net.core.rmem_max and wmem_max. What
// is kept is the double. Half of a receive buffer is window (tcp_adv_win_scale), all of a send buffer is for
// data.
int set_buffer(uint32_t socket, uint32_t place, int bytes) {
  constexpr int kMost = 212992;
  const int least = place == kReceiveBuffer ? 2304 : 4608;
  const int asked = bytes < 0 ? kMost : std::min(bytes, kMost);
  set_place(socket, place, static_cast<uint32_t>(std::max(asked * 2, least)));
  return tell_stack(socket);
}

// ip(7). Streams always find the path's MTU out.
int set_discovery(uint32_t socket, int mode) {
  for (const Discovery& one : kDiscovery) {
    if (one.mode != mode) continue;
    for (const uint64_t bit : {uint64_t{kWhole}, uint64_t{kMayBeCut}, uint64_t{kTrustsLink}})
      set_bit(socket, bit, (one.bits & bit) != 0);
    return tell_stack(socket);
  }
  return -EINVAL;
}

// So that who looks for input need not look here.
void show_low_water(uint32_t socket) {
  std::atomic<uint32_t>& flags = state.in[socket].flags;
  if (is_stream(socket) && least_input(socket) > 1)
    flags.fetch_or(kLowWater, std::memory_order_relaxed);
  else
    flags.fetch_and(~uint32_t{kLowWater}, std::memory_order_relaxed);
}

int set_flag(uint32_t socket, const Option& option, int number) {
  if (option.most != 0 && (number < option.least || number > option.most)) return -EINVAL;
  // Of the two ways to tell the time one holds, and none after either was switched off.
  constexpr uint64_t kTimes = uint64_t{kTimestamp} | kTimestampNs;
  if (option.where & kTimes) set_bit(socket, kTimes, false);
  set_bit(socket, option.where, (number != 0) != (option.usual != 0));
  if (option.where == kOptUdpCork && number == 0) send_what_is_kept_back(socket);
  return 0;
}

int set_number(uint32_t socket, const Option& option, int number) {
  number = as_kept(socket, option, number);
  if (number < option.least || number > option.most)
    return option.where == kPriority ? -EPERM : -EINVAL;  // higher ones are for who has privileges
  const auto kept = static_cast<uint32_t>(option.kind == Kind::kept ? number ^ option.usual : number);
  set_place(socket, static_cast<uint32_t>(option.where), kept);
  if (option.where == kReceiveLow) show_low_water(socket);
  return 0;
}

// Less is refused before anything else is looked at.
bool needs_an_int(int level, int name) {
  if (level == SOL_SOCKET) return name != SO_BINDTODEVICE;
  if (level == IPPROTO_TCP) return name != TCP_CONGESTION && name != TCP_ULP;
  return level == IPPROTO_UDP;
}

int set_special(uint32_t socket, int level, int name, const void* value, socklen_t length) {
  int number = 0;
  if (is_discovery(level, name)) {
    if (!read_int(value, length, number)) return -EINVAL;
    return set_discovery(socket, number);
  }
  if (level == SOL_SOCKET && (name == SO_RCVTIMEO_OLD || name == SO_RCVTIMEO_NEW))
    return set_timeout(state.names[socket].receive_timeout_ns, value, length);
  if (level == SOL_SOCKET && (name == SO_SNDTIMEO_OLD || name == SO_SNDTIMEO_NEW))
    return set_timeout(state.names[socket].send_timeout_ns, value, length);
  if (level == SOL_SOCKET && name == SO_BINDTODEVICE) return bind_to_device(socket, value, length);
  if (level == SOL_SOCKET && name == SO_BINDTOIFINDEX)
    return read_int(value, length, number) ? bind_to_interface(socket, number) : -EINVAL;
  if (level == SOL_SOCKET && name == SO_LINGER) {
    linger how{};
    if (length < sizeof how) return -EINVAL;
    std::memcpy(&how, value, sizeof how);
    set_place(socket, kLingerSeconds, static_cast<uint32_t>(how.l_linger));
    set_bit(socket, kOptLinger, how.l_onoff != 0);
    set_bit(socket, kResetsOnClose, how.l_onoff != 0 && how.l_linger == 0);
    return 0;
  }
  if (level == SOL_SOCKET && (name == SO_RCVBUFFORCE || name == SO_SNDBUFFORCE)) return -EPERM;
  if (level == SOL_SOCKET && (name == SO_RCVBUF || name == SO_SNDBUF)) {
    if (!read_int(value, length, number)) return -EINVAL;
    return set_buffer(socket, name == SO_RCVBUF ? kReceiveBuffer : kSendBuffer, number);
  }
  if (level == IPPROTO_TCP && name == TCP_MAXSEG) {
    if (!read_int(value, length, number)) return -EINVAL;
    if (number != 0 && (number < 88 || number > 32767)) return -EINVAL;
    set_place(socket, kMaxSegment, static_cast<uint32_t>(number));
    return tell_stack(socket);
  }
  if (level == IPPROTO_TCP && (name == TCP_CONGESTION || name == TCP_ULP)) {
    if (length < 1) return -EINVAL;
    const std::string_view asked(static_cast<const char*>(value),
                                 strnlen(static_cast<const char*>(value), length));
    return name == TCP_CONGESTION && asked == "cubic" ? 0 : -ENOENT;
  }
  if (level == IPPROTO_IP && name == IP_OPTIONS && length == 0) return 0;  // there are none
  return -ENOPROTOOPT;
}

}  // namespace

int set_option(uint32_t socket, int level, int name, const void* value, socklen_t length) {
  constexpr int kNothing = 0;
  if (static_cast<int>(length) < 0) return -EINVAL;
  if (!knows_level(socket, level)) return -ENOPROTOOPT;
  if (length < sizeof(int) && needs_an_int(level, name)) return -EINVAL;
  const Option* const option = find_option(level, name);
  if (value == nullptr && length != 0 && level != IPPROTO_IPV6) {  // there no value is 0, whatever its length
    const bool is_known = option != nullptr || is_discovery(level, name) || name == IP_OPTIONS;
    return level == IPPROTO_IP && !is_known ? -ENOPROTOOPT : -EFAULT;
  }
  if (value == nullptr) value = &kNothing;
  if (option == nullptr) return set_special(socket, level, name, value, length);
  if (const int result = check_moment(socket, *option); result != 0) return result;
  int number = 0;
  if (const int result = read_number(*option, value, length, number); result != 0) return result;
  if (option->kind == Kind::constant) return number == 0 ? -option->least : -option->most;
  int result = 0;
  if (option->kind == Kind::bit) result = set_flag(socket, *option, number);
  if (option->kind == Kind::number || option->kind == Kind::kept)
    result = set_number(socket, *option, number);
  if (result != 0) return result;
  return option->to_stack ? tell_stack(socket) : 0;
}

void inherit_options(uint32_t listener, uint32_t accepted) {
  SocketNames& from = state.names[listener];
  SocketNames& to = state.names[accepted];
  to.v6 = from.v6;
  to.receive_timeout_ns = from.receive_timeout_ns.load(std::memory_order_relaxed);
  to.send_timeout_ns = from.send_timeout_ns.load(std::memory_order_relaxed);
  to.option_bits = from.option_bits.load(std::memory_order_relaxed) | kAccepted;
  bool known_to_stack = has_option(listener, kForStack);
  for (size_t i = 0; i < std::size(to.option_values); ++i)
    to.option_values[i] = from.option_values[i].load(std::memory_order_relaxed);
  for (const Option& option : kOptions)
    if (option.kind == Kind::number && option.to_stack)
      known_to_stack = known_to_stack || get_place(listener, static_cast<uint32_t>(option.where)) != 0;
  for (const uint32_t place : {kMaxSegment, kReceiveBuffer, kSendBuffer})
    known_to_stack = known_to_stack || get_place(listener, place) != 0;
  show_low_water(accepted);
  if (known_to_stack) tell_stack(accepted);
}

bool is_v6_only(uint32_t socket) {
  return state.names[socket].v6 != 0 && has_option(socket, kOptV6Only);
}

uint64_t bind_flags(uint32_t socket) {
  return (has_option(socket, kOptReuseAddress) ? uint64_t{kReuseAddress} : 0) |
         (has_option(socket, kOptReusePort) ? uint64_t{kReusePort} : 0) |
         (is_v6_only(socket) ? uint64_t{kV6Only} : 0);
}

uint32_t least_input(uint32_t socket) {
  return std::max(get_place(socket, kReceiveLow), 1u);
}

uint32_t enough_input(uint32_t socket) {
  const uint32_t set = get_place(socket, kReceiveBuffer) / 2;
  const uint32_t ring = ring_bytes(socket);
  return std::min(least_input(socket), (set != 0 ? std::min(set, ring) : ring) / 2);
}

PacketMarks marks_of(uint32_t socket) {
  return {static_cast<uint8_t>(get_place(socket, kTimeToLive)),
          static_cast<uint8_t>(get_place(socket, kTypeOfService))};
}

DurationNs lingers_ns(uint32_t socket) {
  return has_option(socket, kOptLinger) ? get_place(socket, kLingerSeconds) * kSecond : 0;
}

bool aborts_on_close(uint32_t socket) {
  return has_option(socket, kResetsOnClose);
}

}  // namespace skerry::sockets::client
