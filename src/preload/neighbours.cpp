#include "preload/neighbours.hpp"

#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

#include "preload/interpose.hpp"

namespace skerry::preload {
namespace {

// Linux arp_ioctl().
int answer_neighbour(const arpreq& asked) {
  const int flags = asked.arp_flags, hardware = asked.arp_ha.sa_family;
  if (asked.arp_pa.sa_family != AF_INET) return -EPFNOSUPPORT;
  if ((flags & ATF_PUBL) == 0 && (flags & (ATF_NETMASK | ATF_DONTPUB)) != 0) return -EINVAL;
  char name[sizeof asked.arp_dev + 1] = {};
  std::memcpy(name, asked.arp_dev, sizeof asked.arp_dev);
  const unsigned device = if_nametoindex(name);
  if (device == 0) return -ENODEV;
  const int kind = device == 1 ? ARPHRD_LOOPBACK : ARPHRD_ETHER;
  if ((flags & ATF_COM) != 0 && hardware != 0 && hardware != kind) return -EINVAL;
  return -ENXIO;
}

}  // namespace

bool is_neighbour_request(unsigned long request, bool is_inet) {
  switch (request) {
    case SIOCGARP:
    case SIOCSARP:
    case SIOCDARP:
    case SIOCADDRT:
    case SIOCDELRT:
    case SIOCSIFADDR:
    case SIOCSIFDSTADDR:
    case SIOCSIFNETMASK:
    case SIOCSIFBRDADDR:
      return is_inet;
    case SIOCSIFFLAGS:
    case SIOCSIFMTU:
    case SIOCSIFMETRIC:
    case SIOCSIFHWADDR:
    case SIOCSIFTXQLEN:
    case SIOCSIFNAME:
      return true;
    default:
      return false;
  }
}

int answer_neighbour_request(unsigned long request, const void* argument) {
  if (request != SIOCGARP) return -EPERM;
  return argument == nullptr ? -EFAULT : answer_neighbour(*static_cast<const arpreq*>(argument));
}

}  // namespace skerry::preload
