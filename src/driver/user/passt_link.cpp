#include "driver/user/passt_link.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "driver/user/reset.hpp"
#include "link/segmentation.hpp"
#include "wire/arp.hpp"
#include "wire/ethernet.hpp"

namespace skerry {

Result<PasstLink> PasstLink::create(Fd socket, const Guest& guest, uint32_t mtu) {
  const auto failed = [] {
    const int number = errno;
    return Error{std::string("cannot use the socket to passt: ") + std::strerror(number), number};
  };
  const int flags = ::fcntl(socket.get(), F_GETFL);
  if (flags < 0 || ::fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK) != 0) return failed();
  Fd wake(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event interest{};
  interest.events = EPOLLIN;
  if (!wake || ::epoll_ctl(wake.get(), EPOLL_CTL_ADD, socket.get(), &interest) != 0) return failed();
  PasstLink link(std::move(socket), std::move(wake), guest, mtu);
  link.introduce(guest);
  return link;
}

PasstLink::PasstLink(Fd socket, Fd wake, const Guest& guest, uint32_t mtu)
    : socket_(std::move(socket)),
      wake_(std::move(wake)),
      gateway_(guest.gateway),
      memory_(std::make_unique_for_overwrite<uint8_t[]>(kSlots * kSlotBytes)) {
  facts_.mtu = mtu;
  facts_.max_frame = kMaxFrame;
  facts_.takes_unfinished = true;
  facts_.segments_tcp4 = true;
}

void PasstLink::introduce(const Guest& guest) {
  Frame frame = *allocate(EthernetHeader::kBytes + ArpPacket::kBytes);
  const Bytes bytes = data(frame);
  constexpr MacAddress kBroadcast{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
  EthernetHeader{kBroadcast, guest.mac, EtherType::kArp}.emit(bytes.data());
  ArpPacket{ArpOperation::kRequest, guest.mac, guest.address, {}, guest.gateway}.emit(bytes.data() +
                                                                                      EthernetHeader::kBytes);
  put(frame);
  flush();
}

std::optional<Frame> PasstLink::allocate(uint32_t bytes) {
  if (bytes > facts_.max_frame) return std::nullopt;
  const std::optional<uint32_t> slot = slots_.allocate();
  if (!slot) {
    ++counters_.tx_no_memory;
    return std::nullopt;
  }
  return plain_frame(*slot, bytes, 0);
}

void PasstLink::give_back(const Frame& frame) {
  if (frame.slot >= kSlots)
    stream_.give_back();
  else
    slots_.release(frame.slot);
}

bool PasstLink::is_for_passt(ConstBytes frame) const {
  const auto ethernet = EthernetHeader::parse(frame);
  if (!ethernet || ethernet->type != EtherType::kArp) return true;
  const auto arp = ArpPacket::parse(frame.subspan(EthernetHeader::kBytes));
  return arp && arp->target == gateway_;
}

size_t PasstLink::send(std::span<const Frame> frames) {
  for (const Frame& frame : frames) {
    if (gone_) {
      ++refused_;
      give_back(frame);
    } else if (!is_for_passt(data(frame))) {
      ++kept_from_passt_;
      give_back(frame);
    } else if (frame.length > FrameStream::kMaxFrame) {
      put_in_halves(frame);
    } else {
      put(frame);
    }
  }
  flush();
  return frames.size();
}

void PasstLink::put(Frame frame) {
  const Bytes bytes = data(frame);
  finish_checksum(frame, bytes);
  store_be32(bytes.data() - FrameStream::kLengthBytes, frame.length);
  waiting_.push_back(frame);
}

// The longest super-frames are a few bytes too long for passt.
void PasstLink::put_in_halves(const Frame& frame) {
  Frame marks = frame;
  marks.gso_size = kHalfSuperFrame;
  const auto cutter = (frame.flags & kSegmentTcp4) != 0 ? TcpSegmenter::create(marks, data(frame))
                                                        : std::optional<TcpSegmenter>();
  const uint32_t halves = cutter ? cutter->segments() : 0;
  if (halves == 0 || halves > slots_.capacity() - slots_.allocated()) {
    ++refused_;
    return give_back(frame);
  }
  for (uint32_t n = 0; n < halves; ++n) {
    const Frame half = *allocate(cutter->segment_bytes(n));
    cutter->write(n, data(half).data());
    put(half);
  }
  give_back(frame);
}

// Gives the socket as much as it takes. One system call a batch.
void PasstLink::flush() {
  while (!waiting_.empty() && !gone_) {
    std::array<iovec, kBatch> parts;
    size_t count = 0, offered = 0;
    for (const Frame& frame : waiting_) {
      if (count == parts.size()) break;
      const size_t done = count == 0 ? begun_ : 0;
      const size_t left = FrameStream::kLengthBytes + frame.length - done;
      parts[count++] = {address(frame.slot) - FrameStream::kLengthBytes + done, left};
      offered += left;
    }
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = count;
    const ssize_t sent = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return;
    if (sent < 0) return end();
    begun_ += static_cast<size_t>(sent);
    while (!waiting_.empty() && begun_ >= FrameStream::kLengthBytes + waiting_.front().length) {
      const Frame frame = waiting_.front();
      begun_ -= FrameStream::kLengthBytes + frame.length;
      ++counters_.tx_frames;
      counters_.tx_bytes += frame.length;
      give_back(frame);
      waiting_.pop_front();
    }
    if (static_cast<size_t>(sent) < offered) return;
  }
}

void PasstLink::end() {
  gone_ = true;
  refused_ += waiting_.size();
  for (const Frame& frame : waiting_) give_back(frame);
  waiting_.clear();
}

void PasstLink::receive(FrameBatch& batch) {
  // A bound, because one who sends a byte at a time must not keep us here.
  constexpr int kReads = 4;
  for (int reads = 0; reads <= kReads && !gone_; ++reads) {
    while (batch.room() > 0) {
      const std::optional<FrameStream::Piece> piece = stream_.next();
      if (!piece) break;
      complete_reset({stream_.at(piece->at), piece->length});
      batch.push(plain_frame(kSlots + piece->at, piece->length, 0));
      ++counters_.rx_frames;
      counters_.rx_bytes += piece->length;
    }
    if (stream_.broken()) {
      ++counters_.faults;
      return end();
    }
    if (batch.room() == 0 || reads == kReads) return;
    const Bytes room = stream_.room();
    if (room.empty()) return;
    const ssize_t got = ::recv(socket_.get(), room.data(), room.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return end();
    stream_.filled(static_cast<size_t>(got));
  }
}

// Looks once more: an edge-triggered wait does not end for what was there before.
bool PasstLink::arm() {
  flush();
  if (gone_) return true;
  if (watches_room_ == waiting_.empty()) {
    watches_room_ = !waiting_.empty();
    epoll_event interest{};
    interest.events = EPOLLIN | (watches_room_ ? EPOLLOUT : 0U);
    CHECK(::epoll_ctl(wake_.get(), EPOLL_CTL_MOD, socket_.get(), &interest) == 0);
  }
  pollfd device{socket_.get(), POLLIN, 0};
  return !stream_.has_next() && ::poll(&device, 1, 0) == 0;
}

}  // namespace skerry
