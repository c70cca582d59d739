#include "driver/afxdp/xdp_queue.hpp"

#include <linux/bpf.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace skerry {
namespace {

constexpr int kBindTries = 200;
constexpr useconds_t kBindPauseUs = 10'000;

bool set(int socket, int option, uint32_t value) {
  return ::setsockopt(socket, SOL_XDP, option, &value, sizeof value) == 0;
}

template <class Entry>
bool map_ring(XdpRing<Entry>& ring, int socket, const xdp_ring_offset& at, uint64_t page, uint32_t places) {
  Mapping memory = map_memory(at.desc + places * sizeof(Entry), MAP_SHARED, socket, page);
  if (!memory) return false;
  ring = XdpRing<Entry>(std::move(memory), at, places);
  return true;
}

// EBUSY: the socket that had the queue before is closed, and the kernel is still at it.
bool bind_patiently(int socket, unsigned index, uint32_t queue) {
  sockaddr_xdp address{};
  address.sxdp_family = AF_XDP;
  address.sxdp_flags = XDP_USE_NEED_WAKEUP;  // without copies where the interface's driver can, else with
  address.sxdp_ifindex = index;
  address.sxdp_queue_id = queue;
  for (int tries = 0; tries < kBindTries; ++tries) {
    if (::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return true;
    if (errno != EBUSY) return false;
    ::usleep(kBindPauseUs);
  }
  return false;
}

bool enter_in_map(const Fd& map, uint32_t queue, int socket) {
  bpf_attr attributes{};
  attributes.map_fd = static_cast<uint32_t>(map.get());
  attributes.key = reinterpret_cast<uintptr_t>(&queue);
  attributes.value = reinterpret_cast<uintptr_t>(&socket);
  return ::syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &attributes, sizeof attributes) == 0;
}

}  // namespace

Result<XdpQueue> XdpQueue::create(Fd socket, const Fd& sockets_by_queue, const std::string& interface,
                                  uint32_t number) {
  const auto failed = [&](const char* what) {
    const int error = errno;
    return Error{std::string("cannot ") + what + " queue " + std::to_string(number) + " of '" + interface +
                     "': " + std::strerror(error),
                 error};
  };
  XdpQueue queue;
  queue.socket_ = std::move(socket);
  const int fd = queue.fd();
  queue.memory_ = map_memory(kSlots * size_t{kSlotBytes}, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (!queue.memory_) return failed("make memory for");
  xdp_umem_reg memory{};
  memory.addr = reinterpret_cast<uintptr_t>(queue.memory_.get());
  memory.len = kSlots * uint64_t{kSlotBytes};
  memory.chunk_size = kSlotBytes;
  if (::setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &memory, sizeof memory) != 0)
    return failed("register memory for");
  if (!set(fd, XDP_UMEM_FILL_RING, kRxSlots) || !set(fd, XDP_UMEM_COMPLETION_RING, kTxSlots) ||
      !set(fd, XDP_RX_RING, kRxSlots) || !set(fd, XDP_TX_RING, kTxSlots))
    return failed("make the rings of");
  xdp_mmap_offsets at{};
  socklen_t bytes = sizeof at;
  if (::getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &bytes) != 0 ||
      !map_ring(queue.fill_, fd, at.fr, XDP_UMEM_PGOFF_FILL_RING, kRxSlots) ||
      !map_ring(queue.completed_, fd, at.cr, XDP_UMEM_PGOFF_COMPLETION_RING, kTxSlots) ||
      !map_ring(queue.rx_, fd, at.rx, XDP_PGOFF_RX_RING, kRxSlots) ||
      !map_ring(queue.tx_, fd, at.tx, XDP_PGOFF_TX_RING, kTxSlots))
    return failed("map the rings of");
  for (uint32_t index = 0; index < kRxSlots; ++index) queue.fill_.put(uint64_t{index} * kSlotBytes);
  queue.fill_.publish();
  if (!bind_patiently(fd, ::if_nametoindex(interface.c_str()), number)) return failed("bind to");
  if (!enter_in_map(sockets_by_queue, number, fd)) return failed("receive from");
  return queue;
}

std::optional<uint32_t> XdpQueue::take_tx_slot() {
  if (to_send_in_.allocated() == kTxSlots) reclaim();
  const std::optional<uint32_t> index = to_send_in_.allocate();
  return index ? std::optional(kRxSlots + *index) : std::nullopt;
}

void XdpQueue::reclaim() {
  uint32_t ready = completed_.ready();
  if (ready == 0) return;
  for (; ready > 0; --ready)
    to_send_in_.release(static_cast<uint32_t>(completed_.take() / kSlotBytes) - kRxSlots);
  completed_.publish_taken();
}

void XdpQueue::give_back(uint32_t index) {
  if (index >= kRxSlots) return to_send_in_.release(index - kRxSlots);
  fill_.put(uint64_t{index} * kSlotBytes);
  fill_.publish();
}

void XdpQueue::put_tx(uint32_t index, uint32_t bytes) {
  tx_.put({.addr = uint64_t{index} * kSlotBytes, .len = bytes, .options = 0});
}

void XdpQueue::wake_receiver() {
  if (fill_.kernel_sleeps()) ::recvfrom(fd(), nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
}

bool XdpQueue::transmit() {
  reclaim();
  tx_.publish();
  // A call sends so many frames and no more; go on while it sends any.
  for (uint32_t before = tx_.waiting(); before > 0; before = tx_.waiting()) {
    if (!tx_.kernel_sleeps()) return true;
    const bool sent = ::sendto(fd(), nullptr, 0, MSG_DONTWAIT, nullptr, 0) >= 0;
    if (tx_.waiting() == before) return sent;
  }
  return true;
}

xdp_statistics XdpQueue::statistics() const {
  xdp_statistics counted{};
  socklen_t bytes = sizeof counted;
  ::getsockopt(fd(), SOL_XDP, XDP_STATISTICS, &counted, &bytes);
  return counted;
}

}  // namespace skerry
