// ioctl(2) of sockets: socket(7), tcp(7), udp(7).
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <cstring>

#include "sockets/client_call.hpp"
#include "sockets/client_datagram.hpp"
#include "sockets/client_options.hpp"
#include "sockets/client_signals.hpp"
#include "sockets/client_urgent.hpp"
#include "sockets/session_info.hpp"

namespace skerry::sockets::client {
namespace {

constexpr unsigned kSocketRequests = 0x89;  // Linux SOCK_IOC_TYPE

// When the datagram that was read last came. Who asks first gets the time of now, and from then on they are
// noted (Linux sock_gettstamp()). What comes of streams is not.
int last_arrival(uint32_t socket, TimeNs& came) {
  SocketIn& in = state.in[socket];
  const uint32_t before = in.flags.fetch_or(kNotesArrival, std::memory_order_relaxed);
  if (is_stream(socket) || in.rx_read.load(std::memory_order_relaxed) == 0) return -ENOENT;
  came = before & kNotesArrival ? state.names[socket].arrival_ns.load(std::memory_order_relaxed) : 0;
  if (came != 0) return 0;
  timespec now{};
  system_call(SYS_clock_gettime, CLOCK_REALTIME, word(&now));
  came = static_cast<TimeNs>(now.tv_sec) * kSecond + static_cast<TimeNs>(now.tv_nsec);
  state.names[socket].arrival_ns.store(came, std::memory_order_relaxed);
  return 0;
}

}  // namespace

int control(uint32_t socket, unsigned long request, void* argument) {
  const SocketOut& out = state.out[socket];
  SocketIn& in = state.in[socket];
  const auto give = [&](const auto& value) {
    if (argument == nullptr) return -EFAULT;
    std::memcpy(argument, &value, sizeof value);
    return 0;
  };
  const auto answer = [&](uint32_t number) { return give(number); };
  // To Linux the rest is about an interface, whose name it reads first, if it is a request of sockets at all.
  const int not_here = argument == nullptr && _IOC_TYPE(request) == kSocketRequests ? -EFAULT : -ENOTTY;
  switch (request) {
    case FIONREAD:
      if (out.status & kListening) return -EINVAL;
      if (!is_stream(socket)) return answer(next_datagram_bytes(socket));
      return answer(has_urgent(socket) ? input_to_mark(socket, out.rx_written - in.rx_read)
                                       : out.rx_written - in.rx_read);
    case SIOCOUTQ:
      if (out.status & kListening) return -EINVAL;
      return answer(in.tx_written - out.tx_acked);
    case SIOCOUTQNSD: {  // what has not been sent yet
      if (!is_stream(socket)) return not_here;
      if (out.status & kListening) return -EINVAL;
      Request info{.op = Op::info, .socket = socket};
      if (const int result = call(info); result < 0) return result;
      return answer(static_cast<uint32_t>(info.value[kInfoPeerWindow]));
    }
    case SIOCGSTAMP_OLD:
    case SIOCGSTAMP_NEW:
    case SIOCGSTAMPNS_OLD:
    case SIOCGSTAMPNS_NEW: {
      TimeNs came = 0;
      if (const int result = last_arrival(socket, came); result < 0) return result;
      timespec time = to_timespec(came);
      if (request == SIOCGSTAMP_OLD || request == SIOCGSTAMP_NEW) time.tv_nsec /= 1000;  // a timeval
      return give(time);
    }
    case SIOCATMARK:
      return is_stream(socket) ? answer(at_mark(socket)) : not_here;
    case FIONBIO:
    case FIOASYNC: {
      if (argument == nullptr) return -EFAULT;
      int on = 0;
      std::memcpy(&on, argument, sizeof on);
      const uint32_t flag = request == FIONBIO ? kNonBlocking : kAsync;
      const uint32_t before = on ? in.flags.fetch_or(flag, std::memory_order_relaxed)
                                 : in.flags.fetch_and(~flag, std::memory_order_relaxed);
      if (flag == kNonBlocking) return 0;
      const int result = set_async(socket, on);
      if (result < 0 && on && !(before & kAsync))
        in.flags.fetch_and(~uint32_t{kAsync}, std::memory_order_relaxed);
      return result;
    }
    case FIOSETOWN:
    case SIOCSPGRP: {
      if (argument == nullptr) return -EFAULT;
      int owner = 0;
      std::memcpy(&owner, argument, sizeof owner);
      return set_owner(socket, owner);
    }
    case FIOGETOWN:
    case SIOCGPGRP:
      return answer(static_cast<uint32_t>(owner_number(owner_of(socket))));
    default:
      return not_here;
  }
}

}  // namespace skerry::sockets::client
