// Frames for tests: TCP, UDP and ICMP over IPv4, payload from a seed.
#pragma once

#include <vector>

#include "base/random.hpp"
#include "wire/checksum.hpp"
#include "wire/ethernet.hpp"
#include "wire/ipv4.hpp"
#include "wire/tcp.hpp"
#include "wire/udp.hpp"

namespace skerry {

inline constexpr Ipv4Address kTestSource = 0x0a000001, kTestDestination = 0x0a000002;

inline std::vector<uint8_t> ip_frame(IpProtocol protocol, ConstBytes message) {
  std::vector<uint8_t> frame(14 + 20 + message.size());
  EthernetHeader ethernet;
  ethernet.type = EtherType::kIpv4;
  ethernet.emit(frame.data());
  Ipv4Header ip;
  ip.source = kTestSource;
  ip.destination = kTestDestination;
  ip.total_bytes = static_cast<uint16_t>(20 + message.size());
  ip.identification = 0xfffe;
  ip.ttl = 64;
  ip.protocol = protocol;
  ip.emit(frame.data() + 14);
  std::copy(message.begin(), message.end(), frame.begin() + 34);
  return frame;
}

inline void set_transport_checksum(std::vector<uint8_t>& message, IpProtocol protocol, size_t field) {
  store_be16(message.data() + field, 0);
  InternetChecksum sum;
  if (protocol != IpProtocol::kIcmp)
    sum = ipv4_pseudo_header(kTestSource, kTestDestination, static_cast<uint8_t>(protocol),
                             static_cast<uint16_t>(message.size()));
  sum.add(message);
  store_be16(message.data() + field, sum.finish());
}

inline std::vector<uint8_t> random_bytes(size_t count, Random& random) {
  std::vector<uint8_t> bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.next() >> 32);
  return bytes;
}

inline std::vector<uint8_t> tcp_frame(size_t payload_bytes, Random& random, uint8_t flags = kTcpAck) {
  TcpHeader tcp;
  tcp.source_port = 1000;
  tcp.destination_port = 2000;
  tcp.seq = 0xfffffff0;
  tcp.flags = flags;
  tcp.options.has_timestamps = true;
  tcp.options.ts_value = 77;
  std::vector<uint8_t> message(tcp.emitted_bytes());
  tcp.emit(message.data());
  const std::vector<uint8_t> payload = random_bytes(payload_bytes, random);
  message.insert(message.end(), payload.begin(), payload.end());
  set_transport_checksum(message, IpProtocol::kTcp, TcpHeader::kChecksumOffset);
  return ip_frame(IpProtocol::kTcp, message);
}

inline std::vector<uint8_t> udp_frame(size_t payload_bytes, Random& random) {
  std::vector<uint8_t> message(UdpHeader::kBytes);
  UdpHeader{53, 1053, static_cast<uint16_t>(8 + payload_bytes), 0}.emit(message.data());
  const std::vector<uint8_t> payload = random_bytes(payload_bytes, random);
  message.insert(message.end(), payload.begin(), payload.end());
  set_transport_checksum(message, IpProtocol::kUdp, UdpHeader::kChecksumOffset);
  return ip_frame(IpProtocol::kUdp, message);
}

inline std::vector<uint8_t> icmp_frame(size_t payload_bytes, Random& random) {
  std::vector<uint8_t> message = random_bytes(8 + payload_bytes, random);
  set_transport_checksum(message, IpProtocol::kIcmp, 2);
  return ip_frame(IpProtocol::kIcmp, message);
}

// What a careful receiver does: true if every checksum of the frame says that it is intact.
inline bool checksums_intact(ConstBytes frame) {
  const ConstBytes packet = frame.subspan(14);
  const std::optional<Ipv4Header> ip = Ipv4Header::parse(packet);
  if (!ip || !Ipv4Header::checksum_intact(packet) || ip->total_bytes > packet.size()) return false;
  const ConstBytes message = packet.subspan(ip->header_bytes, ip->payload_bytes());
  InternetChecksum sum;
  if (ip->protocol == IpProtocol::kUdp && load_be16(message.data() + 6) == 0) return true;
  if (ip->protocol != IpProtocol::kIcmp)
    sum = ipv4_pseudo_header(ip->source, ip->destination, static_cast<uint8_t>(ip->protocol),
                             static_cast<uint16_t>(message.size()));
  sum.add(message);
  return sum.intact();
}

}  // namespace skerry
