// What setsockopt() said, as far as the stack has to know it.
#include <algorithm>

#include "sockets/server.hpp"

namespace skerry::sockets {
namespace {

constexpr uint64_t kUsualBuffer = 212992;  // of datagrams, bytes: net.core.rmem_default

}  // namespace

void Server::set_options(TimeNs now, const Call& request) {
  const uint32_t id = request.socket;
  Socket& socket = sockets_[id];
  const uint64_t bits = request.value[kOptionBits];
  socket.rules = {.marks = {},
                  .may_broadcast = (bits & kBroadcast) != 0,
                  .whole = (bits & kWhole) != 0,
                  .may_be_cut = (bits & kMayBeCut) != 0,
                  .trusts_link = (bits & kTrustsLink) != 0};
  socket.receives_errors = (bits & kReceiveErrors) != 0;
  const uint64_t buffer = 2 * request.value[kOptionReceiveBuffer];  // as the kernel counts
  socket.receive_buffer = buffer < kUsualBuffer ? static_cast<uint32_t>(buffer) : 0;
  socket.counts_held = false;
  if (socket.kind == Kind::stream) {
    set_stream_options(now, request);
  } else if (!socket.receives_errors) {
    errors_.forget(id);
    view_.out(id).errors_queued.store(0);
  }
}

// What is there may be worth a read now (Linux tcp_set_rcvlowat()).
void Server::tell_if_enough(uint32_t id, uint32_t receive_low) {
  const uint32_t waiting = tcp_.rx_written(id) - view_.in(id).rx_read.load(std::memory_order_relaxed);
  if (waiting != 0 && waiting >= receive_low) wakeups_.touch(id);
}

void Server::set_stream_options(TimeNs now, const Call& request) {
  const uint64_t* value = request.value;
  tcp::Options options = tcp_.options(request.socket);
  const uint32_t low_before = options.receive_low;
  const uint64_t bits = value[kOptionBits];
  options.no_delay = (bits & kNoDelay) != 0;
  options.cork = (bits & kCork) != 0;
  options.keep_alive = (bits & kKeepAlive) != 0;
  options.quick_ack = (bits & kQuickAck) != 0;
  // Linux's ranges (tcp(7)): 1 to 32767 seconds, 1 to 127 probes. 0 leaves the default.
  if (value[kOptionKeepIdle] != 0)
    options.keep_idle = std::min<uint64_t>(value[kOptionKeepIdle], 32767) * kSecond;
  if (value[kOptionKeepInterval] != 0) {
    options.keep_interval = std::min<uint64_t>(value[kOptionKeepInterval], 32767) * kSecond;
  }
  if (value[kOptionKeepCount] != 0) {
    options.keep_count = static_cast<uint32_t>(std::min<uint64_t>(value[kOptionKeepCount], 127));
  }
  options.user_timeout = std::min<uint64_t>(value[kOptionUserTimeout], UINT32_MAX) * kMillisecond;
  options.max_segment = static_cast<uint16_t>(std::min<uint64_t>(value[kOptionMaxSegment], 65495));
  const uint64_t ring = std::max(view_.size().stream_bytes, view_.size().long_bytes);
  options.receive_buffer = static_cast<uint32_t>(std::min(value[kOptionReceiveBuffer], ring));
  options.send_buffer = static_cast<uint32_t>(std::min(value[kOptionSendBuffer], ring));
  const uint64_t marks = value[kOptionMarks];
  options.ttl = (marks & 255) != 0 ? static_cast<uint8_t>(marks) : tcp::Options{}.ttl;
  options.type_of_service = static_cast<uint8_t>(marks >> 8);
  options.syn_retries = value[kOptionSynRetries] == 0
                            ? tcp::Options{}.syn_retries
                            : static_cast<uint32_t>(std::min<uint64_t>(value[kOptionSynRetries], 127));
  options.defer_accept = static_cast<uint32_t>(std::min<uint64_t>(value[kOptionDeferAccept], 255));
  options.receive_low = static_cast<uint32_t>(std::min(value[kOptionReceiveLow], ring));
  options.receive_errors = (bits & kReceiveErrors) != 0;
  tcp_.set_options(now, request.socket, options);
  Socket& socket = sockets_[request.socket];
  socket.notes_arrival = (bits & (kTimestamp | kTimestampNs)) != 0;
  if (socket.listening) return;
  if (socket.notes_arrival) note_arrival(now, request.socket);  // of what is there already
  if (options.receive_low != low_before) tell_if_enough(request.socket, options.receive_low);
  // The step may have shrunk, and then rx_tell_at moves back under a thread that reads: either that thread
  // sees the new rx_tell_at, or the second look, behind the fence, sees what it has read.
  publish_send_buffer(request.socket);
  wakeups_.freed(request.socket);  // a writer that sleeps may have room now
  take_positions(now, request.socket);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!socket.orphan) take_positions(now, request.socket);
}

}  // namespace skerry::sockets
