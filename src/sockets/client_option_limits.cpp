#include "sockets/client_option_limits.hpp"

#include <algorithm>
#include <cstring>

#include "sockets/client_stream.hpp"

namespace skerry::sockets::client {

bool read_int(const void* value, socklen_t length, int& number) {
  if (value == nullptr || length < sizeof number) return false;
  std::memcpy(&number, value, sizeof number);
  return true;
}

int read_number(const Option& option, const void* value, socklen_t length, int& number) {
  if (read_int(value, length, number)) return 0;
  if (option.level != IPPROTO_IP) return -EINVAL;
  const bool needs_a_byte = option.name == IP_FREEBIND || option.name == IP_TRANSPARENT ||
                            option.name == IP_MULTICAST_TTL || option.name == IP_MULTICAST_LOOP ||
                            option.name == IP_MULTICAST_ALL;
  if (length < 1 && needs_a_byte) return -EINVAL;
  number = length < 1 ? 0 : *static_cast<const uint8_t*>(value);
  return 0;
}

int as_kept(uint32_t socket, const Option& option, int number) {
  switch (option.where) {
    case kTimeToLive:
    case kHopLimit:
    case kMulticastTtl:
    case kMulticastHops:
      return number == -1 ? option.usual : number;
    case kTrafficClass:
      if (number == -1) return 0;
      return is_stream(socket) && number >= 0 && number <= 255 ? number & 0xfc : number;
    case kTypeOfService:
      return number & (is_stream(socket) ? 0xfc : 0xff);
    case kReceiveLow: {
      constexpr int kMost = 16 << 20;  // half of net.ipv4.tcp_rmem's greatest
      const auto set = static_cast<int>(get_place(socket, kReceiveBuffer));
      if (number < 0) number = INT32_MAX;
      return is_stream(socket) ? std::min(number, set != 0 ? set / 2 : kMost) : number;
    }
    case kDeferAccept: {
      uint32_t seconds = 0;
      time_outs_in(static_cast<uint32_t>(std::max(number, 0)), &seconds);
      return static_cast<int>(seconds);
    }
    case kFinTimeout:
      return number == 0 ? option.usual : std::clamp(number, -1, 120);  // TCP_FIN_TIMEOUT_MAX
    case kWindowClamp:
      return number == 0 ? 0 : std::max(number, 1152);  // half of SOCK_MIN_RCVBUF
    case kFastOpen:
      return std::min(number, 4096);  // net.core.somaxconn
    default:
      return number;
  }
}

int check_moment(uint32_t socket, const Option& option) {
  const uint32_t status = state.out[socket].status.load(std::memory_order_relaxed);
  const bool is_new = (status & (kConnecting | kConnected | kOver)) == 0;
  if (option.level == IPPROTO_IP && option.name == IP_MULTICAST_TTL && is_stream(socket)) return -EINVAL;
  if (option.level == IPPROTO_IPV6 && option.name == IPV6_MULTICAST_HOPS && is_stream(socket))
    return -ENOPROTOOPT;
  if (option.level == IPPROTO_IPV6 && option.name == IPV6_V6ONLY && state.names[socket].local.port != 0)
    return -EINVAL;
  if (option.level == IPPROTO_TCP && option.name == TCP_FASTOPEN && !is_new) return -EINVAL;
  return 0;
}

uint32_t time_outs_in(uint32_t seconds, uint32_t* rounded_up) {
  uint32_t count = 0, time_out = 1, passed = 0;
  for (; passed < seconds && count < 255; ++count) {
    passed += time_out;
    time_out = std::min(2 * time_out, 120u);
  }
  if (rounded_up != nullptr) *rounded_up = passed;
  return count;
}

}  // namespace skerry::sockets::client
