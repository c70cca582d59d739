// Record: what passes through a Link, both ways, as a capture file. It can stay around a link for good: while
// no capture runs it costs one predictable branch a batch. A capture that cannot be written ends by itself
// and is counted; traffic never waits for it and is never lost by it.
//
// Frames are recorded as they pass: a super-frame is one frame, and a checksum left to the link shows as
// wrong, as it does in captures of a NIC with offloads.
#pragma once

#include <algorithm>
#include <concepts>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "link/link.hpp"
#include "link/pcapng.hpp"

namespace skerry {

// `Clock` is any callable that returns the time to stamp frames with: nanoseconds since 1970 for files that
// people read, simulated time in a simulation.
template <Link Inner, std::invocable Clock>
class Record {
 public:
  // `inner` must outlive this.
  Record(Inner& inner, Clock clock) : inner_(inner), clock_(std::move(clock)) {}

  // Begins a capture: allocates room for one batch and writes the file's beginning. `sink` must live until
  // stop(). False if not even that could be written.
  bool start(CaptureSink& sink, std::string_view interface_name) {
    sink_ = &sink;
    const size_t largest = std::max<size_t>(inner_.facts().max_frame, kMaxFrame) + kPcapngPacketOverheadBytes;
    staging_.resize(std::max(kBatch * largest, kPcapngFileHeaderBytes));
    write(pcapng_file_header(staging_.data(), interface_name));
    return sink_ != nullptr;
  }
  void stop() { sink_ = nullptr; }
  bool recording() const { return sink_ != nullptr; }
  uint64_t failures() const { return failures_; }  // captures that ended because the sink failed

  std::optional<Frame> allocate(uint32_t bytes) { return inner_.allocate(bytes); }

  size_t send(std::span<const Frame> frames) {
    if (!recording()) [[likely]]
      return inner_.send(frames);
    // As many at a time as there is room to copy. The link must not seem to take less than without a capture.
    size_t sent = 0;
    while (sent < frames.size()) {
      const auto some = frames.subspan(sent, std::min<size_t>(frames.size() - sent, kBatch));
      const size_t taken = recording() ? send_recorded(some) : inner_.send(some);
      sent += taken;
      if (taken < some.size()) break;
    }
    return sent;
  }

  void receive(FrameBatch& batch) {
    const uint32_t before = batch.count;
    inner_.receive(batch);
    if (!recording()) [[likely]]
      return;
    const TimeNs now = clock_();
    size_t bytes = 0;
    for (const Frame& frame : batch.view().subspan(before))
      bytes += pcapng_packet(staging_.data() + bytes, now, CaptureDirection::kInbound, inner_.data(frame));
    write(bytes);
  }

  Bytes data(const Frame& frame) { return inner_.data(frame); }
  void give_back(const Frame& frame) { inner_.give_back(frame); }
  bool arm() { return inner_.arm(); }
  void disarm() { inner_.disarm(); }
  Carrier carrier() const { return inner_.carrier(); }
  void tell(Carrier carrier) { inner_.tell(carrier); }
  const LinkFacts& facts() const { return inner_.facts(); }

  // Those of the wrapped link, where it has them.
  const LinkCounters& counters() const { return inner_.counters(); }
  int wake_fd() const { return inner_.wake_fd(); }
  void drain() { inner_.drain(); }
  bool closed() const { return inner_.closed(); }

 private:
  // At most kBatch frames. Once sent, the bytes are the neighbour's: so copy before, and keep of the copy
  // what was taken.
  size_t send_recorded(std::span<const Frame> frames) {
    const TimeNs now = clock_();
    size_t ends[kBatch + 1] = {0};
    for (size_t n = 0; n < frames.size(); ++n)
      ends[n + 1] = ends[n] + pcapng_packet(staging_.data() + ends[n], now, CaptureDirection::kOutbound,
                                            inner_.data(frames[n]));
    const size_t sent = inner_.send(frames);
    write(ends[sent]);
    return sent;
  }

  void write(size_t bytes) {
    if (bytes == 0 || sink_->write({staging_.data(), bytes})) return;
    ++failures_;
    sink_ = nullptr;
  }

  Inner& inner_;
  Clock clock_;
  CaptureSink* sink_ = nullptr;
  std::vector<uint8_t> staging_;
  uint64_t failures_ = 0;
};

}  // namespace skerry
