// TCP on its way between Ip and tcp::Tcp: headers parsed and emitted, checksums verified and settled, payload
// copied once each way. What TCP decides is none of its business.
#pragma once

#include <cstring>

#include "base/time.hpp"
#include "stack/coalescer.hpp"
#include "stack/drop_reason.hpp"
#include "stack/outgoing.hpp"
#include "stack/segment_queue.hpp"
#include "tcp/tcp.hpp"
#include "wire/checksum.hpp"

namespace skerry::stack {

template <class I>
class TcpComponent {
 public:
  // From now on `tcp` asks `ip` for paths. Both outlive the object.
  TcpComponent(I& ip, tcp::Tcp& tcp) : ip_(ip), tcp_(tcp) { tcp.set_path_lookup(&path, this); }
  TcpComponent(const TcpComponent&) = delete;
  TcpComponent& operator=(const TcpComponent&) = delete;

  uint32_t rx(TimeNs now) {
    now_ = now;
    for (const TransportError& error : ip_.tcp_errors().view()) {
      const bool believed = tcp_.unreachable(now, error.local, error.remote, error.tcp_seq, error.error,
                                             error.next_hop_mtu, error.own);
      if (believed && error.next_hop_mtu != 0 && !error.own)
        ip_.learn_path_mtu(now, error.remote.address.as_v4(), error.next_hop_mtu);
    }
    ip_.tcp_errors().clear();
    if (ip_.take_resumed()) [[unlikely]]
      tcp_.resume(now);
    uint32_t work = 0;
    for (const Segment& segment : ip_.tcp_segments().view()) {
      receive(now, segment);
      ++work;
    }
    end_run(now);
    ip_.tcp_segments().clear();
    return work;
  }

  uint32_t tx(TimeNs now) {
    // After a wait for the core, what is due may be answered by a frame that was not looked at yet. A flood
    // does not stop the clock.
    if (!ip_.is_behind() || ++late_ > kMostLate) {
      tcp_.expire(now);
      late_ = 0;
    }
    uint32_t work = 0;
    while (tcp_.has_output()) {
      const tcp::Room room(payload_of(ip_.reserve_link()), payload_of(ip_.reserve_loopback()));
      if (!tcp_.next_segment(now, room, out_)) break;
      send(now);
      ++work;
    }
    return work;
  }

  TimeNs deadline() const { return tcp_.deadline(); }
  bool arm() { return true; }
  void disarm() {}

 private:
  static constexpr uint32_t kMostLate = 4;  // breaths

  static uint32_t payload_of(uint32_t transport_bytes) {
    return transport_bytes == 0 ? 0 : transport_bytes - uint32_t{TcpHeader::kMaxBytes};
  }

  void receive(TimeNs now, const Segment& segment) {
    if (!in_.header.read(segment.header())) return ip_.drop(segment, DropReason::malformed_tcp);
    if (segment.broadcast)
      return ip_.drop(segment, DropReason::tcp_to_broadcast);  // RFC 1122 section 4.2.3.10
    if (!segment.intact) {
      InternetChecksum sum =
          ipv4_pseudo_header(segment.source, segment.destination, static_cast<uint8_t>(IpProtocol::kTcp),
                             static_cast<uint16_t>(segment.bytes.size()));
      sum.add(segment.bytes);
      if (!sum.intact()) return ip_.drop(segment, DropReason::tcp_checksum);
    }
    in_.source = IpAddress::v4(segment.source);
    in_.destination = IpAddress::v4(segment.destination);
    in_.payload = segment.bytes.subspan(in_.header.header_bytes);
    in_.congestion_experienced = (segment.type_of_service & 3) == 3;
    // Memory brings super-frames; segments that met a wire, whose bytes were summed anyway, are worth
    // gathering.
    if (!segment.intact && run_.join(in_)) return ip_.give_back(segment);
    end_run(now);
    if (!segment.intact && Coalescer::may_begin(in_)) return run_.begin(in_, segment);
    tcp_.receive(now, in_);
    ip_.give_back(segment);
  }

  // Nothing more joins the run.
  void end_run(TimeNs now) {
    if (run_.empty()) return;
    tcp_.receive(now, run_.merged());
    ip_.give_back(run_.first());
    run_.clear();
  }

  void send(TimeNs now) {
    // A way that is no more loses the segment, as a wire would: TCP asked for the path when it connected.
    const Marks marks{out_.ttl, out_.type_of_service};
    if (!ip_.find(way_, out_.destination.as_v4(), out_.source.as_v4(), marks)) return;
    const uint32_t header_bytes = static_cast<uint32_t>(out_.header.emitted_bytes());
    Outgoing out = ip_.open(way_, header_bytes + out_.payload_bytes());
    out_.header.emit(out.transport);
    uint8_t* payload = out.transport + header_bytes;
    for (const ConstBytes piece : out_.payload) {
      if (piece.empty()) continue;
      std::memcpy(payload, piece.data(), piece.size());
      payload += piece.size();
    }
    if (out_.gso_size != 0 && !out.looped) {
      out.frame->gso_size = out_.gso_size;
      out.frame->flags |= kSegmentTcp4;
    }
    ip_.settle_checksum(out, way_, TcpHeader::kChecksumOffset);
    if (ip_.filter().is_active()) out.seen = seen_of(out_.header, header_bytes);
    ip_.send(now, way_, out);
  }

  static filter::TransportSeen seen_of(const TcpHeader& header, uint32_t header_bytes) {
    const uint32_t ports = uint32_t{header.source_port} << 16 | header.destination_port;
    return {__builtin_bswap32(ports),
            __builtin_bswap16(static_cast<uint16_t>(header_bytes / 4 << 12 | header.flags))};
  }

  static tcp::Path path(void* context, const IpAddress& local, const IpAddress& remote) {
    auto* const self = static_cast<TcpComponent*>(context);
    I& ip = self->ip_;
    Way way(IpProtocol::kTcp);
    tcp::Path path;
    if (!remote.is_v4() || !ip.find(way, remote.as_v4(), local.is_unspecified() ? 0 : local.as_v4()) ||
        way.route.kind == Route::Kind::broadcast)
      return path;
    path.reachable = true;
    path.loops = way.loops();
    path.source = IpAddress::v4(way.route.source);
    path.mss = static_cast<uint16_t>(ip.path_mtu(self->now_, way) - TcpHeader::kMinBytes);
    path.link_mss = static_cast<uint16_t>(ip.transport_mtu(way) - TcpHeader::kMinBytes);
    path.holds = ip.holds(way);
    const uint32_t super_frame = ip.transport_super_frame(way);
    path.super_frame = super_frame == 0 ? 0 : super_frame - uint32_t{TcpHeader::kMaxBytes};
    return path;
  }

  I& ip_;
  tcp::Tcp& tcp_;
  TimeNs now_ = 0;     // of this breath
  uint32_t late_ = 0;  // breaths without a look at what is due
  Coalescer run_;
  Way way_{IpProtocol::kTcp};
  tcp::SegmentIn in_;  // kept, as writing all of it anew costs more than reading it
  tcp::SegmentOut out_;
};

}  // namespace skerry::stack
