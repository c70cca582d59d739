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

constexpr DurationNs kLookEvery = kSecond;
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

Result<AfxdpLink> AfxdpLink::create(std::vector<Fd> sockets, const Fd& sockets_by_queue,
                                    const std::string& interface, uint32_t mtu) {
  std::vector<XdpQueue> queues;
  for (Fd& socket : sockets) {
    const auto number = static_cast<uint32_t>(queues.size());
    Result<XdpQueue> queue = XdpQueue::create(std::move(socket), sockets_by_queue, interface, number);
    if (!queue) return queue.error();
    queues.push_back(std::move(*queue));
  }
  return AfxdpLink(std::move(queues), mtu, is_veth(interface));
}

AfxdpLink::AfxdpLink(std::vector<XdpQueue> queues, uint32_t mtu, bool wire_in_memory)
    : queues_(std::move(queues)), wire_in_memory_(wire_in_memory) {
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
  if (state_ != State::up) look();
  for (const Frame& frame : frames) {
    const bool needs_help = (frame.flags & (kChecksumNeeded | kSegmentTcp4)) != 0;
    if (needs_help || state_ != State::up) {
      ++(needs_help ? refused_ : down_);
      give_back(frame);
      continue;
    }
    queues_.front().put_tx(frame.slot, frame.length);
    ++counters_.tx_frames;
    counters_.tx_bytes += frame.length;
  }
  if (state_ == State::up) transmit();
  return frames.size();
}

void AfxdpLink::transmit() {
  tx_waits_ = !queues_.front().transmit();
  if (tx_waits_) note(errno);
}

// Sends nothing and takes nothing: it tells how the interface is, and wakes a NIC that sleeps over its ring.
void AfxdpLink::look() {
  const bool fine = ::recvfrom(queues_.front().fd(), nullptr, 0, MSG_DONTWAIT, nullptr, nullptr) >= 0;
  note(fine ? 0 : errno);
}

// What the kernel says of the interface.
void AfxdpLink::note(int error) {
  const State before = state_;
  if (gone()) return;
  state_ = error == ENXIO || error == ENODEV ? State::gone : error == ENETDOWN ? State::down : State::up;
  flaps_ += before == State::up && state_ == State::down;
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
  look_again_ = kNever;
  if (gone()) return true;
  look();
  if (tx_waits_ && state_ == State::up) transmit();
  if (gone()) return false;  // whoever wants to know is to look once more before he sleeps
  for (const XdpQueue& queue : queues_) {
    if (queue.rx().ready() > 0) return false;
  }
  look_again_ = now() + (tx_waits_ && state_ == State::up ? kRetryAfter : kLookEvery);
  return true;
}

std::vector<int> AfxdpLink::wake_fds() const {
  std::vector<int> fds;
  for (const XdpQueue& queue : queues_) fds.push_back(queue.fd());
  return fds;
}

}  // namespace skerry
