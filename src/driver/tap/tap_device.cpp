#include "driver/tap/tap_device.hpp"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "driver/tap/virtio_header.hpp"

namespace skerry {
namespace {

Result<ifreq> request_for(const std::string& name) {
  ifreq request{};
  if (name.empty() || name.size() >= sizeof request.ifr_name)
    return Error{"an interface's name has 1 to 15 characters, not '" + name + "'"};
  std::memcpy(request.ifr_name, name.data(), name.size());
  return request;
}

void put_address(sockaddr& field, uint32_t address) {
  sockaddr_in value{};
  value.sin_family = AF_INET;
  value.sin_addr.s_addr = htonl(address);
  std::memcpy(&field, &value, sizeof field);
}

}  // namespace

Result<Fd> open_tap(const std::string& name) {
  Result<ifreq> request = request_for(name);
  if (!request) return request.error();
  const auto failed = [&](const char* what) {
    const int number = errno;
    return Error{std::string(what) + " the TAP interface '" + name + "': " + std::strerror(number), number};
  };
  Fd device(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!device) return failed("cannot open /dev/net/tun for");
  request->ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  if (::ioctl(device.get(), TUNSETIFF, &*request) != 0) return failed("cannot create");
  const int header_bytes = sizeof(VirtioNetHeader);
  if (::ioctl(device.get(), TUNSETVNETHDRSZ, &header_bytes) != 0) return failed("cannot set the header of");
  if (::ioctl(device.get(), TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) != 0)
    return failed("cannot offer checksums and segmentation to");
  return device;
}

Result<void> set_up_interface(const std::string& name, uint32_t address, uint8_t prefix_bits, uint32_t mtu) {
  const Result<ifreq> fresh = request_for(name);
  if (!fresh) return fresh.error();
  const auto failed = [&](const char* what) {
    const int number = errno;
    return Error{std::string("cannot set ") + what + " of '" + name + "': " + std::strerror(number), number};
  };
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return failed("the address");
  ifreq request = *fresh;
  request.ifr_mtu = static_cast<int>(mtu);
  if (::ioctl(socket.get(), SIOCSIFMTU, &request) != 0) return failed("the MTU");
  request = *fresh;
  put_address(request.ifr_addr, address);
  if (::ioctl(socket.get(), SIOCSIFADDR, &request) != 0) return failed("the address");
  request = *fresh;
  put_address(request.ifr_netmask, prefix_bits == 0 ? 0 : ~uint32_t{0} << (32 - prefix_bits));
  if (::ioctl(socket.get(), SIOCSIFNETMASK, &request) != 0) return failed("the netmask");
  request = *fresh;
  request.ifr_flags = IFF_UP;
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) return failed("the state");
  return {};
}

}  // namespace skerry
