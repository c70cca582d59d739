// UDP on its way between Ip and sockets: UdpComponent takes datagrams up, UdpSender takes them down. Two
// classes, since who receives and who sends hold each other the other way round.
#pragma once

#include <cerrno>
#include <concepts>
#include <cstring>

#include "base/time.hpp"
#include "stack/drop_reason.hpp"
#include "stack/outgoing.hpp"
#include "stack/segment_queue.hpp"
#include "stack/udp.hpp"
#include "wire/checksum.hpp"
#include "wire/udp.hpp"

namespace skerry::stack {

// Who owns the sockets. `payload` is copied at once or not at all: a neighbour may be writing to it.
template <class S>
concept UdpSink = requires(S& sink, TimeNs now, SocketId id, const Endpoint& from, const Endpoint& to,
                           const Marks& marks, ConstBytes payload, const TransportError& error) {
  {
    sink.deliver(now, id, from, to, marks, payload)
    } -> std::same_as<bool>;                               // false: no room, the datagram is dropped
  { sink.refused(now, id, error) } -> std::same_as<void>;  // a datagram that the socket sent
};

template <class I, UdpSink Sink>
class UdpComponent {
 public:
  UdpComponent(I& ip, const Udp& udp, Sink& sink) : ip_(ip), udp_(udp), sink_(sink) {}

  uint32_t rx(TimeNs now) {
    for (const TransportError& error : ip_.udp_errors().view()) {
      const auto id = udp_.match(error.local, error.remote);
      if (id && error.next_hop_mtu != 0)
        ip_.learn_path_mtu(now, error.remote.address.as_v4(), error.next_hop_mtu);
      if (id) sink_.refused(now, *id, error);
    }
    ip_.udp_errors().clear();
    uint32_t work = 0;
    for (const Segment& segment : ip_.udp_segments().view()) {
      receive(now, segment);
      ++work;
    }
    ip_.udp_segments().clear();
    return work;
  }
  uint32_t tx(TimeNs) { return 0; }
  TimeNs deadline() const { return kNever; }
  bool arm() { return true; }
  void disarm() {}

 private:
  void receive(TimeNs now, const Segment& segment) {
    const auto header = UdpHeader::parse(segment.header());
    if (!header || header->length_bytes > segment.bytes.size() || header->destination_port == 0)
      return ip_.drop(segment, DropReason::malformed_udp);
    const ConstBytes datagram = segment.bytes.first(header->length_bytes);
    if (!segment.intact && header->checksum != 0) {
      InternetChecksum sum = ipv4_pseudo_header(segment.source, segment.destination,
                                                static_cast<uint8_t>(IpProtocol::kUdp), header->length_bytes);
      sum.add(datagram);
      if (!sum.intact()) return ip_.drop(segment, DropReason::udp_checksum);
    }
    const Endpoint from{IpAddress::v4(segment.source), header->source_port};
    const Endpoint to{IpAddress::v4(segment.destination), header->destination_port};
    const Marks marks{segment.ttl, segment.type_of_service};
    const ConstBytes payload = datagram.subspan(UdpHeader::kBytes);
    if (segment.broadcast) {
      bool found = false;
      udp_.for_each_match(to, from,
                          [&](SocketId id) { found |= sink_.deliver(now, id, from, to, marks, payload); });
      return found ? ip_.give_back(segment) : ip_.drop(segment, DropReason::udp_no_socket);
    }
    const auto id = udp_.match(to, from);
    if (!id) return ip_.refuse(now, segment);
    if (!sink_.deliver(now, *id, from, to, marks, payload))
      return ip_.drop(segment, DropReason::udp_socket_full);
    ip_.give_back(segment);
  }

  I& ip_;
  const Udp& udp_;
  Sink& sink_;
};

// What a program has said of its datagrams (SO_BROADCAST, IP_MTU_DISCOVER, IP_TTL, IP_TOS).
struct DatagramRules {
  Marks marks;
  bool may_broadcast = false;
  bool whole = false;        // what does not fit into one packet is refused instead of cut
  bool may_be_cut = false;   // by routers too: no "don't fragment" mark
  bool trusts_link = false;  // what ICMP told of the path means nothing
};

template <class I>
class UdpSender {
 public:
  UdpSender(I& ip, Udp& udp) : ip_(ip), udp_(udp) {}

  // Sends a datagram whose payload lies in two pieces, as in a ring. `to` that is nowhere means the
  // connected peer; `source` that is not unspecified takes the place of the socket's address. Binds the
  // socket if need be. What is longer than the path takes is cut. 0 or an errno value; EAGAIN: not now, in a
  // later breath; EMSGSIZE: one packet does not hold it, and it is to stay whole, or no packet does; EINVAL:
  // `source` is not ours; EPERM: a rule of the filter refuses it.
  int send(TimeNs now, SocketId id, Endpoint to, IpAddress source, const DatagramRules& rules,
           ConstBytes first, ConstBytes second) {
    if (to.port == 0 && to.address.is_unspecified()) {
      if (!udp_.is_connected(id)) return EDESTADDRREQ;
      to = udp_.remote(id);
    }
    // 0.0.0.0 as a destination is this host, as on Linux.
    const Ipv4Address destination = to.address.is_unspecified() ? kThisHost : to.address.as_v4();
    if (!to.address.is_unspecified() && !to.address.is_v4()) return ENETUNREACH;
    if (!source.is_unspecified() && !(source.is_v4() && ip_.routes().is_local(source.as_v4()))) return EINVAL;
    if (const int error = udp_.take_port(id)) return error;
    if (source.is_unspecified()) source = udp_.local(id).address;
    if (!ip_.find(way_, destination, source.is_unspecified() ? 0 : source.as_v4(), rules.marks))
      return ENETUNREACH;
    if (way_.route.kind == Route::Kind::broadcast && !rules.may_broadcast) return EACCES;
    const size_t length = UdpHeader::kBytes + first.size() + second.size();
    const uint32_t mtu = rules.trusts_link ? ip_.transport_mtu(way_) : ip_.path_mtu(now, way_);
    if (length > (rules.whole ? mtu : I::kMaxTransportBytes)) return EMSGSIZE;
    const UdpHeader header{udp_.local(id).port, to.port, static_cast<uint16_t>(length), 0};
    if (length > mtu || rules.may_be_cut) return send_in_pieces(now, header, first, second, mtu);
    if (ip_.reserve(way_) < length) return EAGAIN;

    Outgoing out = ip_.open(way_, static_cast<uint32_t>(length));
    header.emit(out.transport);
    uint8_t* payload = out.transport + UdpHeader::kBytes;
    for (const ConstBytes piece : {first, second}) {
      if (piece.empty()) continue;
      std::memcpy(payload, piece.data(), piece.size());
      payload += piece.size();
    }
    ip_.settle_checksum(out, way_, UdpHeader::kChecksumOffset);
    return ip_.send(now, way_, out) ? 0 : EPERM;
  }

 private:
  static constexpr Ipv4Address kThisHost = 0x7f000001;

  // The checksum is over the whole, so no link can be left to finish it.
  int send_in_pieces(TimeNs now, UdpHeader header, ConstBytes first, ConstBytes second, uint32_t mtu) {
    uint8_t bytes[UdpHeader::kBytes];
    header.emit(bytes);
    InternetChecksum sum = ipv4_pseudo_header(way_.route.source, way_.destination,
                                              static_cast<uint8_t>(IpProtocol::kUdp), header.length_bytes);
    for (const ConstBytes piece : {ConstBytes(bytes), first, second}) sum.add(piece);
    const uint16_t checksum = sum.finish();
    header.checksum = checksum == 0 ? 0xffff : checksum;  // RFC 768: 0 means that there is none
    header.emit(bytes);
    const ConstBytes pieces[] = {bytes, first, second};
    return ip_.send_in_pieces(now, way_, pieces, mtu);
  }

  I& ip_;
  Udp& udp_;
  Way way_{IpProtocol::kUdp};
};

}  // namespace skerry::stack
