#include "sockets/client_error_queue.hpp"

#include <linux/errqueue.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "sockets/client_address.hpp"
#include "sockets/client_ancillary.hpp"
#include "sockets/client_call.hpp"
#include "sockets/client_pieces.hpp"

namespace skerry::sockets::client {
namespace {

// What Linux puts behind sock_extended_err: SO_EE_OFFENDER.
struct Report {
  sock_extended_err error;
  sockaddr_in offender;
};
struct Report6 {
  sock_extended_err error;
  sockaddr_in6 offender;
};

template <class Kind>
void add_report(const DatagramError& error, bool v6, int level, int type, Ancillary& ancillary) {
  Kind report{};
  report.error.ee_errno = static_cast<uint32_t>(error.error);
  report.error.ee_origin = SO_EE_ORIGIN_ICMP;
  report.error.ee_type = error.type;
  report.error.ee_code = error.code;
  report.error.ee_info = error.info;
  socklen_t length = sizeof report.offender;
  to_sockaddr({error.offender, 0}, v6, reinterpret_cast<sockaddr*>(&report.offender), &length);
  ancillary.add(level, type, &report, sizeof report);
}

}  // namespace

ssize_t receive_error(uint32_t socket, msghdr& message) {
  if (state.out[socket].errors_queued.load(std::memory_order_acquire) == 0) return -EAGAIN;
  Request request{.op = Op::take_error, .socket = socket};
  if (const int result = call(request); result < 0) return result;
  DatagramError error;
  std::memcpy(&error, request.value, sizeof error);

  constexpr uint32_t kRoom = 128;  // as a ring that nothing wraps in
  static_assert(sizeof error.payload <= kRoom);
  uint8_t payload[kRoom] = {};
  const size_t bytes = std::min<size_t>(error.payload_bytes, sizeof error.payload);
  std::memcpy(payload, error.payload, bytes);
  Pieces to(message.msg_iov, message.msg_iovlen);
  const size_t copied = std::min(bytes, to.left());
  to.from_ring(payload, kRoom, 0, copied);

  message.msg_flags |= MSG_ERRQUEUE | (copied < bytes ? MSG_TRUNC : 0);
  const bool v6 = state.names[socket].v6 != 0;
  to_sockaddr(error.destination, v6, static_cast<sockaddr*>(message.msg_name), &message.msg_namelen);
  Ancillary ancillary(message);
  DatagramHeader header;
  header.local = error.local;
  header.arrival_ns = error.arrival_ns;
  header.ttl = error.ttl;
  header.type_of_service = error.type_of_service;
  ancillary.add_packet(socket, header);
  if (v6)
    add_report<Report6>(error, v6, IPPROTO_IPV6, IPV6_RECVERR, ancillary);
  else
    add_report<Report>(error, v6, IPPROTO_IP, IP_RECVERR, ancillary);
  return static_cast<ssize_t>(copied);
}

}  // namespace skerry::sockets::client
