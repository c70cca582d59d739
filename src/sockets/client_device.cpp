#include "sockets/client_device.hpp"

#include <net/if.h>

#include <algorithm>
#include <cstring>

#include "sockets/client_options.hpp"

namespace skerry::sockets::client {
namespace {

constexpr int kLoopback = 1, kNetwork = 2;  // as getifaddrs() numbers them

}  // namespace

int bind_to_device(uint32_t socket, const void* name, socklen_t length) {
  char asked[IFNAMSIZ] = {};
  std::memcpy(asked, name, std::min<size_t>(length, sizeof asked - 1));
  if (asked[0] == 0) return bind_to_interface(socket, 0);
  if (std::strcmp(asked, "lo") == 0) return bind_to_interface(socket, kLoopback);
  return std::strcmp(asked, kNetworkDevice) == 0 ? bind_to_interface(socket, kNetwork) : -ENODEV;
}

// Who is bound and has no privileges stays so (Linux sock_bindtoindex_locked()).
int bind_to_interface(uint32_t socket, int index) {
  if (index < 0) return -EINVAL;
  if (index > kNetwork) return -ENODEV;
  if (bound_interface(socket) != 0 || index == kLoopback) return -EPERM;
  if (index == kNetwork)
    state.names[socket].option_bits.fetch_or(kOptBoundToNetwork, std::memory_order_relaxed);
  return 0;
}

int bound_interface(uint32_t socket) {
  return has_option(socket, kOptBoundToNetwork) ? kNetwork : 0;
}

}  // namespace skerry::sockets::client
