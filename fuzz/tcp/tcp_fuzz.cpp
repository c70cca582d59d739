// Tcp between a hostile peer and a hostile program: the input is a list of segments, calls, lies and waits.
// Segments are made from what Tcp last said, so that most of them reach beyond the first check. Whatever
// comes, Tcp touches only its own rings, sends within limits, never loops, and gives every index back in the
// end.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/check.hpp"
#include "base/index_pool.hpp"
#include "tcp/tcp.hpp"

namespace skerry::tcp {
namespace {

constexpr uint32_t kConnections = 6;
constexpr uint32_t kStream = 4096;
constexpr uint32_t kGuard = 64;  // around every ring
constexpr uint64_t kStride = 2 * kStream + 3 * kGuard;
constexpr Ipv4Address kOurs = 0x0a000001;
constexpr Ipv4Address kTheirs = 0x0a000002;

// Reads the input; zeros when it has ended.
class Script {
 public:
  Script(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}
  bool ended() const { return at_ == end_; }
  uint8_t byte() { return at_ == end_ ? 0 : *at_++; }
  uint16_t half() { return static_cast<uint16_t>(byte() << 8 | byte()); }
  uint32_t word() { return static_cast<uint32_t>(half()) << 16 | half(); }
  // Mostly near zero, sometimes anything.
  uint32_t near() {
    const uint8_t b = byte();
    if (b < 200) return static_cast<uint32_t>(static_cast<int8_t>(b));
    if (b < 250) return half();
    return word();
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
};

class Harness {
 public:
  explicit Harness(Script& script)
      : script_(script),
        limits_{kConnections, 3, 2},
        arena_((Tcp::arena_bytes(limits_) + 127) / 64 * 64),
        memory_(kStride * kConnections, 0xa5),
        ids_(kConnections),
        random_(7),
        tcp_(arena(), limits_, {memory_.data(), kStride, kGuard, kStream + 2 * kGuard, kStream}, ids_, {1, 2},
             random_) {
    tcp_.set_path_lookup([](void* context, const IpAddress&,
                            const IpAddress&) { return static_cast<Harness*>(context)->path_; },
                         this);
    path_.source = IpAddress::v4(kOurs);
    path_.reachable = true;
  }

  void run() {
    path_.mss = static_cast<uint16_t>(200 + script_.half() % 9000);
    path_.super_frame = script_.byte() % 2 == 0 ? 0 : script_.half();
    while (!script_.ended()) {
      step();
      check();
    }
    finish();
  }

 private:
  Bytes arena() {
    const size_t skip = -reinterpret_cast<uintptr_t>(arena_.data()) & 63;
    return Bytes(arena_).subspan(skip, Tcp::arena_bytes(limits_));
  }

  void step() {
    const uint8_t what = script_.byte();
    if (what < 120) return segment();
    if (what < 150) return drain();
    if (what < 165) return wait();
    if (what < 175) return open();
    if (what < 185) return accept();
    if (held_.empty()) return;
    const ConnectionId id = held_[script_.byte() % held_.size()];
    if (what < 205) {
      tcp_.wrote(now_, id, tcp_.tx_acked(id) + script_.near(), script_.near());
    } else if (what < 225) {
      tcp_.read(now_, id, tcp_.rx_written(id) + script_.near() % 3 - 1);
    } else if (what < 230) {
      tcp_.shutdown_write(now_, id);
    } else if (what < 238) {
      close(id, script_.byte() % 2 == 0);
    } else if (what < 246) {
      set_options(id);
    } else {
      tcp_.unreachable(now_, tcp_.local(id), tcp_.remote(id), last_.ack + script_.near(), script_.byte(),
                       script_.byte() % 2 == 0 ? 0 : script_.half());
    }
  }

  void segment() {
    SegmentIn in;
    in.source = IpAddress::v4(kTheirs);
    in.destination = IpAddress::v4(kOurs);
    TcpHeader& header = in.header;
    // An answer to the last segment that was sent, with some fields a little or completely off.
    header.source_port = last_.destination_port != 0 ? last_.destination_port : 1000;
    header.destination_port = last_.source_port != 0 ? last_.source_port : 80;
    const uint8_t choice = script_.byte();
    if (choice & 1) header.source_port = static_cast<uint16_t>(1000 + script_.byte() % 4);
    if (choice & 2) header.destination_port = 80;
    header.flags = script_.byte();
    if ((choice & 12) != 0) header.flags = kTcpAck;
    header.seq = last_.ack + ((choice & 16) ? script_.near() : 0);
    header.ack = last_.seq + last_length_ + ((choice & 32) ? script_.near() : 0);
    header.window = (choice & 64) ? script_.half() : 60000;
    TcpOptions& options = header.options;
    options.has_timestamps = last_.options.has_timestamps != ((choice & 128) && script_.byte() % 16 == 0);
    options.ts_value = static_cast<uint32_t>(now_ / kMillisecond) + ((choice & 128) ? script_.near() : 0);
    options.ts_echo = last_.options.ts_value;
    if (header.has(kTcpSyn)) {
      const uint8_t offers = script_.byte();
      options.has_mss = offers & 1;
      options.mss = script_.half();
      options.has_window_scale = offers & 2;
      options.window_scale = offers >> 4 & 15;
      if (options.window_scale > TcpOptions::kMaxWindowScale)
        options.window_scale = TcpOptions::kMaxWindowScale;
      options.sack_permitted = offers & 4;
      options.has_timestamps = offers & 8;
    } else if (choice & 16) {
      options.sack_count = script_.byte() % 5;
      for (uint8_t i = 0; i < options.sack_count; ++i) {
        options.sack[i].left = header.ack + script_.near();
        options.sack[i].right = options.sack[i].left + script_.near();
      }
    }
    // Bytes of a heap block of exactly this size, so that reading beyond them is seen.
    std::vector<uint8_t> payload(script_.byte() % 3 == 0 ? script_.half() % 5000 : 0, 0x5a);
    in.payload = payload;
    tcp_.receive(now_, in);
  }

  void drain() {
    const uint32_t most = script_.byte() % 2 == 0 ? 65535 : 1u + script_.half();
    SegmentOut out;
    for (int count = 0; tcp_.next_segment(now_, most, out); ++count) {
      CHECK(count < 20000);
      last_ = out.header;
      last_length_ = out.payload_bytes() + (last_.has(kTcpSyn) ? 1 : 0) + (last_.has(kTcpFin) ? 1 : 0);
      CHECK(out.payload_bytes() <= most &&
            out.payload_bytes() <= std::max<uint32_t>(path_.mss, path_.super_frame));
      CHECK(out.gso_size == 0 || (out.gso_size <= path_.mss && out.gso_size < out.payload_bytes()));
      CHECK(out.gso_size != 0 || out.payload_bytes() + out.header.options.bytes() <= path_.mss);
      for (const ConstBytes piece : out.payload) check_piece(piece);
    }
    CHECK(!tcp_.has_output());
  }

  void check_piece(ConstBytes piece) {
    if (piece.empty()) return;
    const uint64_t offset = static_cast<uint64_t>(piece.data() - memory_.data());
    CHECK(offset < memory_.size());
    const uint64_t place = offset % kStride;
    CHECK(place >= kStream + 2 * kGuard && place + piece.size() <= 2 * kStream + 2 * kGuard);
  }

  void wait() {
    static constexpr DurationNs kWaits[] = {kMicrosecond, kMillisecond, 40 * kMillisecond, 200 * kMillisecond,
                                            3 * kSecond,  61 * kSecond, 7200 * kSecond,    0};
    now_ += kWaits[script_.byte() % 8];
    if (script_.byte() % 2 == 0 && tcp_.deadline() != kNever) now_ = std::max(now_, tcp_.deadline());
    tcp_.expire(now_);
    CHECK(tcp_.deadline() > now_);
  }

  void open() {
    const std::optional<uint32_t> id = ids_.allocate();
    if (!id) return;
    held_.push_back(*id);
    const uint8_t how = script_.byte();
    Endpoint local{IpAddress{}, static_cast<uint16_t>(how & 1 ? 80 : 0)};
    if (how & 2) tcp_.bind(*id, local, how & 4, how & 8);
    if (how & 16) {
      tcp_.listen(*id, how >> 6);
    } else {
      tcp_.connect(now_, *id, {IpAddress::v4(kTheirs), static_cast<uint16_t>(1000 + script_.byte() % 4)});
    }
  }

  void accept() {
    for (size_t i = 0; i < held_.size(); ++i)
      if (const std::optional<ConnectionId> id = tcp_.accept(held_[i])) {
        held_.push_back(*id);
        return;
      }
  }

  void close(ConnectionId id, bool abort) {
    tcp_.close(now_, id, abort);
    held_.erase(std::find(held_.begin(), held_.end(), id));
  }

  void set_options(ConnectionId id) {
    const uint8_t bits = script_.byte();
    Options options;
    options.no_delay = bits & 1;
    options.cork = bits & 2;
    options.keep_alive = bits & 4;
    options.quick_ack = bits & 8;
    options.keep_idle = (1 + script_.byte()) * kSecond;
    options.keep_interval = (1 + script_.byte()) * kSecond;
    options.user_timeout = bits & 16 ? script_.byte() * kSecond : 0;
    options.max_segment = bits & 32 ? script_.half() : uint16_t{0};
    options.receive_buffer = bits & 64 ? script_.half() : 0;
    tcp_.set_options(now_, id, options);
  }

  void check() {
    Event event;
    for (int count = 0; tcp_.next_event(event); ++count) {
      CHECK(count < 1000 && event.bits != 0 && ids_.is_allocated(event.id));
      if (event.bits & kGone) {
        CHECK(event.bits == kGone);
        CHECK(std::find(held_.begin(), held_.end(), event.id) == held_.end());
        ids_.release(event.id);
      }
    }
    tcp_.for_each(
        [](void*, ConnectionId, const Info& info) {
          CHECK(info.rx_queue <= kStream && info.tx_queue <= kStream && info.receive_window <= kStream);
          CHECK(info.state < State::established || info.state == State::time_wait || info.mss > 0);
        },
        nullptr);
  }

  void finish() {
    while (!held_.empty()) close(held_.back(), false);
    drain();
    for (int round = 0; tcp_.deadline() != kNever; ++round) {
      CHECK(round < 100'000);
      now_ = std::max(now_, tcp_.deadline());
      tcp_.expire(now_);
      drain();
    }
    check();
    CHECK(tcp_.deadline() == kNever && ids_.allocated() == 0);
    for (uint64_t i = 0; i < memory_.size(); ++i) {
      const uint64_t place = i % kStride;
      const bool rx = place >= kGuard && place < kGuard + kStream;
      CHECK(rx || memory_[i] == 0xa5);
    }
  }

  Script& script_;
  const Limits limits_;
  std::vector<uint8_t> arena_;
  std::vector<uint8_t> memory_;
  IndexPool ids_;
  Random random_;
  Path path_;
  Tcp tcp_;
  std::vector<ConnectionId> held_;
  TcpHeader last_;
  uint32_t last_length_ = 0;
  TimeNs now_ = kSecond;
};

}  // namespace
}  // namespace skerry::tcp

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  skerry::tcp::Script script(data, size);
  skerry::tcp::Harness(script).run();
  return 0;
}
