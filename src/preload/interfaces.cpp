// netdevice(7), getifaddrs(3) and if_nametoindex(3) for the two interfaces of a cell. What they hand out for
// freeing lies in pages of its own, because nothing here may call malloc.
#include "preload/interfaces.hpp"

#include <ifaddrs.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "preload/interpose.hpp"
#include "sockets/client_state.hpp"

namespace skerry::preload {
namespace {

namespace client = sockets::client;
using client::state;
using client::system_call;
using client::word;

constinit Next<int(ifaddrs**)> next_getifaddrs{"getifaddrs"};
constinit Next<void(ifaddrs*)> next_freeifaddrs{"freeifaddrs"};
constinit Next<unsigned(const char*)> next_if_nametoindex{"if_nametoindex"};
constinit Next<char*(unsigned, char*)> next_if_indextoname{"if_indextoname"};
constinit Next<struct if_nameindex*()> next_if_nameindex{"if_nameindex"};
constinit Next<void(struct if_nameindex*)> next_if_freenameindex{"if_freenameindex"};

struct Interface {
  const char* name;
  unsigned index;
  unsigned flags;
  unsigned mtu;
  uint32_t address, netmask, broadcast;  // host byte order
  MacAddress mac;
  uint16_t hardware;
};

uint32_t netmask_of(uint32_t prefix_length) {
  return prefix_length == 0 ? 0 : UINT32_MAX << (32 - std::min(prefix_length, 32u));
}

struct Interfaces {
  Interface each[2];
};

Interfaces interfaces() {
  const sockets::Control& control = *state.control;
  const uint32_t netmask = netmask_of(control.prefix_length);
  return {{{"lo",
            1,
            IFF_UP | IFF_LOOPBACK | IFF_RUNNING,
            65536,
            INADDR_LOOPBACK,
            0xff000000,
            0,
            {},
            ARPHRD_LOOPBACK},
           {"eth0", 2, IFF_UP | IFF_BROADCAST | IFF_RUNNING | IFF_MULTICAST, control.mtu, control.address,
            netmask, control.address | ~netmask, control.mac, ARPHRD_ETHER}}};
}

sockaddr_in as_sockaddr(uint32_t address) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_addr.s_addr = htonl(address);
  return in;
}

void put_address(ifreq& request, uint32_t address) {
  const sockaddr_in in = as_sockaddr(address);
  std::memcpy(&request.ifr_addr, &in, sizeof in);
}

int list_addresses(ifconf& list) {
  const Interfaces all = interfaces();
  if (list.ifc_buf == nullptr) {
    list.ifc_len = static_cast<int>(sizeof(ifreq) * std::size(all.each));
    return 0;
  }
  int used = 0;
  for (const Interface& one : all.each) {
    if (used + static_cast<int>(sizeof(ifreq)) > list.ifc_len) break;
    ifreq entry{};
    std::strncpy(entry.ifr_name, one.name, IFNAMSIZ - 1);
    put_address(entry, one.address);
    std::memcpy(list.ifc_buf + used, &entry, sizeof entry);
    used += static_cast<int>(sizeof entry);
  }
  list.ifc_len = used;
  return 0;
}

int answer(const Interface& one, unsigned long request, ifreq& entry) {
  switch (request) {
    case SIOCGIFADDR:
    case SIOCGIFDSTADDR:  // of what leads to no single other one, its own
      put_address(entry, one.address);
      return 0;
    case SIOCGIFNETMASK:
      put_address(entry, one.netmask);
      return 0;
    case SIOCGIFBRDADDR:
      put_address(entry, one.broadcast);
      return 0;
    case SIOCGIFFLAGS:
      entry.ifr_flags = static_cast<short>(one.flags);
      return 0;
    case SIOCGIFINDEX:
      entry.ifr_ifindex = static_cast<int>(one.index);
      return 0;
    case SIOCGIFMTU:
      entry.ifr_mtu = static_cast<int>(one.mtu);
      return 0;
    case SIOCGIFMETRIC:
      entry.ifr_metric = 0;
      return 0;
    case SIOCGIFTXQLEN:
      entry.ifr_qlen = 1000;
      return 0;
    case SIOCGIFHWADDR:
      std::memset(&entry.ifr_hwaddr, 0, sizeof entry.ifr_hwaddr);
      entry.ifr_hwaddr.sa_family = one.hardware;
      std::memcpy(entry.ifr_hwaddr.sa_data, one.mac.bytes.data(), 6);
      return 0;
    case SIOCGIFNAME:
      std::memset(entry.ifr_name, 0, IFNAMSIZ);
      std::strncpy(entry.ifr_name, one.name, IFNAMSIZ - 1);
      return 0;
    case SIOCGIFMAP:
      std::memset(&entry.ifr_map, 0, sizeof entry.ifr_map);
      return 0;
    default:
      return -ENOTTY;
  }
}

// One interface twice, as getifaddrs() lists it: its hardware address and its IPv4 address.
struct Listed {
  ifaddrs packet, ip;
  sockaddr_ll hardware;
  sockaddr_in address, netmask, broadcast;
  char name[IFNAMSIZ];
};

void fill(Listed& listed, const Interface& one, ifaddrs* next) {
  std::strncpy(listed.name, one.name, IFNAMSIZ - 1);
  listed.hardware.sll_family = AF_PACKET;
  listed.hardware.sll_ifindex = static_cast<int>(one.index);
  listed.hardware.sll_hatype = one.hardware;
  listed.hardware.sll_halen = 6;
  std::memcpy(listed.hardware.sll_addr, one.mac.bytes.data(), 6);
  listed.address = as_sockaddr(one.address);
  listed.netmask = as_sockaddr(one.netmask);
  listed.broadcast = as_sockaddr(one.broadcast);
  listed.packet.ifa_next = &listed.ip;
  listed.packet.ifa_name = listed.ip.ifa_name = listed.name;
  listed.packet.ifa_flags = listed.ip.ifa_flags = one.flags;
  listed.packet.ifa_addr = reinterpret_cast<sockaddr*>(&listed.hardware);
  listed.ip.ifa_next = next;
  listed.ip.ifa_addr = reinterpret_cast<sockaddr*>(&listed.address);
  listed.ip.ifa_netmask = reinterpret_cast<sockaddr*>(&listed.netmask);
  if (one.flags & IFF_BROADCAST) listed.ip.ifa_broadaddr = reinterpret_cast<sockaddr*>(&listed.broadcast);
}

template <class T>
T* page() {
  static_assert(sizeof(T) <= 4096);
  const long mapped =
      system_call(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return mapped < 0 && mapped > -4096 ? nullptr : reinterpret_cast<T*>(mapped);
}

struct NameList {
  struct if_nameindex entries[3];
  char names[2][IFNAMSIZ];
};

}  // namespace

bool is_interface_request(unsigned long request, bool is_inet) {
  switch (request) {
    case SIOCGIFADDR:
    case SIOCGIFDSTADDR:
    case SIOCGIFNETMASK:
    case SIOCGIFBRDADDR:
      return is_inet;
    case SIOCGIFCONF:
    case SIOCGIFFLAGS:
    case SIOCGIFINDEX:
    case SIOCGIFMTU:
    case SIOCGIFMETRIC:
    case SIOCGIFTXQLEN:
    case SIOCGIFHWADDR:
    case SIOCGIFMAP:
    case SIOCGIFNAME:
      return true;
    default:
      return false;
  }
}

int answer_interface_request(unsigned long request, void* argument) {
  if (argument == nullptr) return -EFAULT;
  if (request == SIOCGIFCONF) return list_addresses(*static_cast<ifconf*>(argument));
  ifreq& entry = *static_cast<ifreq*>(argument);
  const Interfaces all = interfaces();
  for (const Interface& one : all.each) {
    const bool meant = request == SIOCGIFNAME ? entry.ifr_ifindex == static_cast<int>(one.index)
                                              : std::strncmp(entry.ifr_name, one.name, IFNAMSIZ) == 0;
    if (meant) return answer(one, request, entry);
  }
  return -ENODEV;
}

}  // namespace skerry::preload

using namespace skerry::preload;

SKERRY_EXPORT int getifaddrs(ifaddrs** list) noexcept {
  if (!state.attached) return next_getifaddrs(list);
  struct Both {
    Listed each[2];
  };
  Both* both = page<Both>();
  if (both == nullptr) return finish(-ENOMEM);
  const Interfaces all = interfaces();
  fill(both->each[1], all.each[1], nullptr);
  fill(both->each[0], all.each[0], &both->each[1].packet);
  *list = &both->each[0].packet;
  return 0;
}

SKERRY_EXPORT void freeifaddrs(ifaddrs* list) noexcept {
  if (!state.attached) return next_freeifaddrs(list);
  if (list != nullptr) system_call(SYS_munmap, word(list), 4096);
}

SKERRY_EXPORT unsigned if_nametoindex(const char* name) noexcept {
  if (!state.attached) return next_if_nametoindex(name);
  for (const Interface& one : interfaces().each)
    if (std::strcmp(one.name, name) == 0) return one.index;
  errno = ENODEV;
  return 0;
}

SKERRY_EXPORT char* if_indextoname(unsigned index, char* name) noexcept {
  if (!state.attached) return next_if_indextoname(index, name);
  for (const Interface& one : interfaces().each)
    if (one.index == index) return std::strcpy(name, one.name);
  errno = ENXIO;
  return nullptr;
}

SKERRY_EXPORT struct if_nameindex* if_nameindex() noexcept {
  if (!state.attached) return next_if_nameindex();
  NameList* list = page<NameList>();
  if (list == nullptr) {
    errno = ENOBUFS;
    return nullptr;
  }
  const Interfaces all = interfaces();
  for (int i = 0; i < 2; ++i) {
    std::strcpy(list->names[i], all.each[i].name);
    list->entries[i] = {.if_index = all.each[i].index, .if_name = list->names[i]};
  }
  return list->entries;
}

SKERRY_EXPORT void if_freenameindex(struct if_nameindex* list) noexcept {
  if (!state.attached) return next_if_freenameindex(list);
  if (list != nullptr) system_call(SYS_munmap, word(list), 4096);
}
