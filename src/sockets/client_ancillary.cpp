#include "sockets/client_ancillary.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/time.h>

#include <algorithm>
#include <cstring>

#include "sockets/client_options.hpp"
#include "sockets/client_stream.hpp"

namespace skerry::sockets::client {
namespace {

constexpr int kInterface = 2;  // eth0, as getifaddrs() numbers it

template <class T>
T value_of(cmsghdr* header) {
  T value;
  std::memcpy(&value, CMSG_DATA(header), sizeof value);
  return value;
}

bool holds(const cmsghdr* header, size_t bytes) {
  return header->cmsg_len == CMSG_LEN(bytes);
}

// Linux ip_route_output_key_hash_rcu(): nothing leaves from an address that is another's.
int set_source(Outfit& outfit, IpAddress source) {
  if (!source.is_loopback() && source != IpAddress::v4(state.control->address)) return -ENETUNREACH;
  outfit.source = source;
  return 0;
}

// Linux ip_cmsg_send().
int read_ip(cmsghdr* header, Outfit& outfit) {
  switch (header->cmsg_type) {
    case IP_PKTINFO: {
      if (!holds(header, sizeof(in_pktinfo))) return -EINVAL;
      const auto info = value_of<in_pktinfo>(header);
      if (info.ipi_spec_dst.s_addr == 0) return 0;
      return set_source(outfit, IpAddress::v4(ntohl(info.ipi_spec_dst.s_addr)));
    }
    case IP_TTL: {
      if (!holds(header, sizeof(int))) return -EINVAL;
      const int ttl = value_of<int>(header);
      if (ttl < 1 || ttl > 255) return -EINVAL;
      outfit.ttl = static_cast<uint8_t>(ttl);
      return 0;
    }
    case IP_TOS: {
      if (!holds(header, sizeof(int)) && !holds(header, 1)) return -EINVAL;
      const int service = holds(header, 1) ? value_of<uint8_t>(header) : value_of<int>(header);
      if (service < 0 || service > 255) return -EINVAL;
      outfit.type_of_service = static_cast<uint8_t>(service);
      return 0;
    }
    default:
      return -EINVAL;
  }
}

int read_one(uint32_t socket, cmsghdr* header, Outfit& outfit) {
  if (header->cmsg_level == SOL_SOCKET)
    return header->cmsg_type == SCM_RIGHTS || header->cmsg_type == SCM_CREDENTIALS ? 0 : -EINVAL;
  if (is_stream(socket)) return 0;                        // tcp_sendmsg() reads no other level
  if (header->cmsg_level == IPPROTO_UDP) return -EINVAL;  // segments (UDP_SEGMENT) would be one datagram here
  if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO && state.names[socket].v6) {
    if (header->cmsg_len < CMSG_LEN(sizeof(in6_pktinfo))) return -EINVAL;
    const auto info = value_of<in6_pktinfo>(header);
    IpAddress source;
    std::memcpy(source.bytes.data(), &info.ipi6_addr, 16);
    return source.is_v4() ? set_source(outfit, source) : -EINVAL;
  }
  return header->cmsg_level == IPPROTO_IP ? read_ip(header, outfit) : 0;
}

}  // namespace

Outfit read_outfit(uint32_t socket, const msghdr& message) {
  Outfit outfit;
  auto* headers = const_cast<msghdr*>(&message);
  const char* end = static_cast<const char*>(message.msg_control) + message.msg_controllen;
  for (cmsghdr* header = CMSG_FIRSTHDR(headers); header != nullptr && outfit.error == 0;
       header = CMSG_NXTHDR(headers, header)) {
    const auto left = static_cast<size_t>(end - reinterpret_cast<const char*>(header));
    const bool fits = header->cmsg_len >= sizeof *header && header->cmsg_len <= left;
    outfit.error = fits ? read_one(socket, header, outfit) : -EINVAL;
  }
  return outfit;
}

void Ancillary::add(int level, int type, const void* data, size_t bytes) {
  const size_t used = message_.msg_controllen;
  const size_t length = std::min(room_ - used, CMSG_LEN(bytes));  // the rest is cut off (put_cmsg)
  if (length < CMSG_LEN(bytes)) message_.msg_flags |= MSG_CTRUNC;
  if (message_.msg_control == nullptr || length < sizeof(cmsghdr)) return;
  auto* header = reinterpret_cast<cmsghdr*>(static_cast<char*>(message_.msg_control) + used);
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = length;
  std::memcpy(CMSG_DATA(header), data, length - CMSG_LEN(0));
  message_.msg_controllen = std::min(room_, used + CMSG_SPACE(bytes));
}

void Ancillary::add_time(uint32_t socket, uint64_t arrival_ns) {
  if (arrival_ns == 0) return;
  if (has_option(socket, kTimestamp)) {
    const timeval time{.tv_sec = static_cast<time_t>(arrival_ns / kSecond),
                       .tv_usec = static_cast<suseconds_t>(arrival_ns % kSecond / kMicrosecond)};
    add(SOL_SOCKET, SO_TIMESTAMP_OLD, &time, sizeof time);
  }
  if (has_option(socket, kTimestampNs)) {
    const timespec time = to_timespec(arrival_ns);
    add(SOL_SOCKET, SO_TIMESTAMPNS_OLD, &time, sizeof time);
  }
}

// Linux tcp_inq_hint(): a byte that is not there says that the end is to be read.
void Ancillary::add_input_left(uint32_t socket) {
  if (!has_option(socket, kOptInputLeft)) return;
  const SocketOut& out = state.out[socket];
  const uint32_t status = out.status.load(std::memory_order_acquire);
  const auto left = static_cast<int>(out.rx_written.load(std::memory_order_acquire) -
                                     state.in[socket].rx_read.load(std::memory_order_relaxed));
  const int told = left == 0 && status & kPeerClosed ? 1 : left;
  add(IPPROTO_TCP, TCP_CM_INQ, &told, sizeof told);
}

void Ancillary::add_packet(uint32_t socket, const DatagramHeader& header) {
  add_time(socket, header.arrival_ns);
  const uint32_t drops = state.out[socket].rx_drops.load(std::memory_order_relaxed);
  if (drops != 0 && has_option(socket, kOptReceiveDrops)) add(SOL_SOCKET, SO_RXQ_OVFL, &drops, sizeof drops);
  if (has_option(socket, kOptV6PacketInfo)) {
    in6_pktinfo info{};
    info.ipi6_ifindex = header.local.is_loopback() ? 1 : kInterface;
    std::memcpy(&info.ipi6_addr, header.local.bytes.data(), 16);
    add(IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
  }
  if (has_option(socket, kOptPacketInfo)) {
    in_pktinfo info{};
    info.ipi_ifindex = header.local.is_loopback() ? 1 : kInterface;
    info.ipi_addr.s_addr = info.ipi_spec_dst.s_addr = htonl(header.local.is_v4() ? header.local.as_v4() : 0);
    add(IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
  }
  if (has_option(socket, kOptReceiveTtl)) {
    const int ttl = header.ttl;
    add(IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
  }
  if (has_option(socket, kOptReceiveTos))
    add(IPPROTO_IP, IP_TOS, &header.type_of_service, sizeof header.type_of_service);
  if (has_option(socket, kOptOriginalDestination)) {
    sockaddr_in destination{};
    destination.sin_family = AF_INET;
    destination.sin_port = htons(state.names[socket].local.port);
    destination.sin_addr.s_addr = htonl(header.local.is_v4() ? header.local.as_v4() : 0);
    add(IPPROTO_IP, IP_ORIGDSTADDR, &destination, sizeof destination);
  }
}

}  // namespace skerry::sockets::client
