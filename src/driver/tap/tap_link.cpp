#include "driver/tap/tap_link.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.hpp"
#include "driver/tap/virtio_header.hpp"

namespace skerry {

Result<TapLink> TapLink::create(Fd device, InterfaceWatch watch, uint32_t mtu) {
  const int flags = ::fcntl(device.get(), F_GETFL);
  if (flags < 0 || ::fcntl(device.get(), F_SETFL, flags | O_NONBLOCK) != 0)
    return Error{std::string("cannot use the TAP device: ") + std::strerror(errno), errno};
  return TapLink(std::move(device), std::move(watch), mtu);
}

TapLink::TapLink(Fd device, InterfaceWatch watch, uint32_t mtu)
    : device_(std::move(device)),
      watch_(std::move(watch)),
      memory_(std::make_unique_for_overwrite<uint8_t[]>(kSlots * kSlotBytes)) {
  facts_.mtu = mtu;
  facts_.max_frame = kMaxFrame;
  facts_.takes_unfinished = true;
  facts_.segments_tcp4 = true;
  for (uint32_t slot = kSlots; slot > 0; --slot) free_.push_back(slot - 1);
}

std::optional<Frame> TapLink::allocate(uint32_t bytes) {
  if (bytes > facts_.max_frame) return std::nullopt;
  if (free_.empty()) {
    ++counters_.tx_no_memory;
    return std::nullopt;
  }
  Frame frame;
  frame.slot = free_.back();
  frame.length = bytes;
  free_.pop_back();
  return frame;
}

size_t TapLink::send(std::span<const Frame> frames) {
  for (const Frame& frame : frames) {
    VirtioNetHeader header = header_for(frame);
    const Bytes bytes = data(frame);
    const iovec parts[] = {{&header, sizeof header}, {bytes.data(), bytes.size()}};
    if (::writev(device_.get(), parts, 2) < 0) {
      ++refused_;
      gone_ = gone_ || errno == EBADFD;
    } else {
      ++counters_.tx_frames;
      counters_.tx_bytes += frame.length;
    }
    give_back(frame);
  }
  return frames.size();
}

void TapLink::receive(FrameBatch& batch) {
  for (uint32_t reads = 0; reads < kBatch && batch.room() > 0 && !free_.empty(); ++reads) {
    const uint32_t slot = free_.back();
    VirtioNetHeader header;
    const iovec parts[] = {{&header, sizeof header}, {address(slot), kSlotBytes}};
    const ssize_t got = ::readv(device_.get(), parts, 2);
    if (got < 0) {
      gone_ = gone_ || errno == EBADFD;
      return;
    }
    const auto length = static_cast<size_t>(got) - std::min(static_cast<size_t>(got), sizeof header);
    std::optional<Frame> frame = marks_from(header, static_cast<uint32_t>(length), kSlotBytes);
    if (!frame) {
      ++refused_;
      continue;
    }
    frame->slot = slot;
    free_.pop_back();
    batch.push(*frame);
    ++counters_.rx_frames;
    counters_.rx_bytes += frame->length;
  }
}

bool TapLink::arm() {
  pollfd device{device_.get(), POLLIN, 0};
  return ::poll(&device, 1, 0) == 0 || (device.revents & POLLIN) == 0;
}

}  // namespace skerry
