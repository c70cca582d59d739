#include "driver/afxdp/afxdp_link.hpp"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "link/unfinished.hpp"

namespace skerry {
namespace {

constexpr DurationNs kRetryAfter = kMillisecond;

TimeNs now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<TimeNs>(time.tv_sec) * kSecond + static_cast<TimeNs>(time.tv_nsec);
}

bool is_veth(const std::string& interface) {
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ethtool_drvinfo driver{};
  driver.cmd = ETHTOOL_GDRVINFO;
  ifreq request{};
  interface.copy(request.ifr_name, sizeof request.ifr_name - 1);
  request.ifr_data = reinterpret_cast<char*>(&driver);
  return ::ioctl(socket.get(), SIOCETHTOOL, &request) == 0 && std::strcmp(driver.driver, "veth") == 0;
}

}  // namespace

Result<AfxdpLink> AfxdpLink::create(std::vector<Fd> sockets, const Fd& sockets_by_queue, InterfaceWatch watch,
                                    const std::string& interface, uint32_t mtu) {
  std::vector<XdpQueue> queues;
  for (Fd& socket : sockets) {
    const auto number = static_cast<uint32_t>(queues.size());
    Result<XdpQueue> queue = XdpQueue::create(std::move(socket), sockets_by_queue, interface, number);
    if (!queue) return queue.error();
    queues.push_back(std::move(*queue));
  }
  return AfxdpLink(std::move(queues), std::move(watch), mtu, is_veth(interface));
}

AfxdpLink::AfxdpLink(std::vector<XdpQueue> queues, InterfaceWatch watch, uint32_t mtu, bool wire_in_memory)
    : queues_(std::move(queues)), watch_(std::move(watch)), wire_in_memory_(wire_in_memory) {
  CHECK(!queues_.empty());
  facts_.mtu = mtu;
  facts_.max_frame = mtu + 14;
}

std::optional<Frame> AfxdpLink::allocate(uint32_t bytes) {
  if (bytes > facts_.max_frame) return std::nullopt;
  const std::optional<uint32_t> slot = queues_.front().take_tx_slot();
  if (!slot) {
    ++counters_.tx_no_memory;
    return std::nullopt;
  }
  return plain_frame(*slot, bytes, 0);
}

size_t AfxdpLink::send(std::span<const Frame> frames) {
  if (!carrier().up()) watch_.look();
  const bool up = carrier().up();
  for (const Frame& frame : frames) {
    const bool needs_help = (frame.flags & (kChecksumNeeded | kSegmentTcp4)) != 0;
    if (needs_help || !up) {
      ++(needs_help ? refused_ : down_);
      give_back(frame);
      continue;
    }
    queues_.front().put_tx(frame.slot, frame.length);
    ++counters_.tx_frames;
    counters_.tx_bytes += frame.length;
  }
  if (up) transmit();
  return frames.size();
}

void AfxdpLink::transmit() {
  tx_waits_ = !queues_.front().transmit();
  if (tx_waits_) watch_.look();  // its interface has gone down, probably
}

void AfxdpLink::receive(FrameBatch& batch) {
  for (uint32_t number = 0; number < queues_.size(); ++number) {
    XdpQueue& queue = queues_[number];
    const uint32_t count = std::min(queue.rx().ready(), batch.room());
    if (count == 0) continue;
    for (uint32_t n = 0; n < count; ++n) {
      const xdp_desc received = queue.rx().take();
      const auto slot = static_cast<uint32_t>(received.addr / XdpQueue::kSlotBytes);
      Frame frame = plain_frame(number * XdpQueue::kSlots + slot, received.len,
                                static_cast<uint16_t>(received.addr % XdpQueue::kSlotBytes));
      if (wire_in_memory_) unfinished_ += mark_unfinished_checksum(frame, data(frame));
      batch.push(frame);
      counters_.rx_bytes += frame.length;
    }
    counters_.rx_frames += count;
    queue.rx().publish_taken();
  }
}

bool AfxdpLink::arm() {
  try_again_ = kNever;
  if (gone()) return true;
  if (tx_waits_ && carrier().up()) transmit();
  for (XdpQueue& queue : queues_) {
    if (queue.rx().ready() > 0) return false;
    queue.wake_receiver();
  }
  if (tx_waits_ && carrier().up()) try_again_ = now() + kRetryAfter;
  return true;
}

std::vector<int> AfxdpLink::wake_fds() const {
  std::vector<int> fds;
  for (const XdpQueue& queue : queues_) fds.push_back(queue.fd());
  return fds;
}

}  // namespace skerry
