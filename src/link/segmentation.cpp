#include "link/segmentation.hpp"

#include <algorithm>
#include <cstring>

#include "link/claims.hpp"
#include "wire/checksum.hpp"
#include "wire/ethernet.hpp"
#include "wire/ipv4.hpp"
#include "wire/tcp.hpp"

namespace skerry {
namespace {

constexpr uint32_t kIpAt = EthernetHeader::kBytes;

// Where in an IPv4 and a TCP header the fields lie that differ from segment to segment.
constexpr uint32_t kIpTotalLength = 2, kIpIdentification = 4, kIpChecksum = 10;
constexpr uint32_t kTcpSeq = 4, kTcpFlags = 13;

}  // namespace

void finish_checksum(Frame& frame, Bytes data) {
  if ((frame.flags & kChecksumNeeded) == 0) return;
  InternetChecksum sum;
  sum.add(data.subspan(frame.checksum_start));
  const uint16_t checksum = sum.finish();
  // In UDP a field of 0 says that there is no checksum (RFC 768); 0xffff is the same number.
  store_be16(data.data() + frame.checksum_start + frame.checksum_offset, checksum == 0 ? 0xffff : checksum);
  frame.flags = static_cast<uint8_t>(frame.flags & ~kChecksumNeeded);
}

std::optional<TcpSegmenter> TcpSegmenter::create(const Frame& frame, ConstBytes data) {
  TcpSegmenter cutter;
  const ConstBytes headers =
      ConstBytes(cutter.headers_).first(std::min<size_t>(data.size(), kMaxHeaderBytes));
  std::memcpy(cutter.headers_.data(), data.data(), headers.size());

  const std::optional<EthernetHeader> ethernet = EthernetHeader::parse(headers);
  if (!ethernet || ethernet->type != EtherType::kIpv4) return std::nullopt;
  const std::optional<Ipv4Header> ip = Ipv4Header::parse(headers.subspan(kIpAt));
  if (!ip || ip->protocol != IpProtocol::kTcp || ip->is_fragment()) return std::nullopt;
  if (kIpAt + ip->total_bytes > data.size()) return std::nullopt;
  cutter.tcp_at_ = kIpAt + ip->header_bytes;
  const std::optional<TcpHeader> tcp = TcpHeader::parse(headers.subspan(cutter.tcp_at_));
  if (!tcp || tcp->header_bytes > ip->payload_bytes()) return std::nullopt;
  cutter.tcp_header_bytes_ = tcp->header_bytes;
  if (frame.checksum_start != cutter.tcp_at_ || frame.checksum_offset != TcpHeader::kChecksumOffset)
    return std::nullopt;
  if (frame.gso_size < kMinGsoSize) return std::nullopt;

  const uint32_t payload_bytes = static_cast<uint32_t>(ip->payload_bytes()) - tcp->header_bytes;
  cutter.payload_ = data.subspan(cutter.header_bytes(), payload_bytes);
  cutter.gso_size_ = frame.gso_size;
  cutter.segments_ = std::max(1u, (payload_bytes + cutter.gso_size_ - 1) / cutter.gso_size_);
  cutter.last_payload_bytes_ = payload_bytes - (cutter.segments_ - 1) * cutter.gso_size_;
  return cutter;
}

void TcpSegmenter::write(uint32_t n, uint8_t* to) const {
  std::memcpy(to, headers_.data(), header_bytes());
  if (payload_bytes(n) > 0)
    std::memcpy(to + header_bytes(), payload_.data() + n * gso_size_, payload_bytes(n));

  uint8_t* const ip = to + kIpAt;
  const uint32_t ip_header_bytes = tcp_at_ - kIpAt;
  const uint16_t segment = static_cast<uint16_t>(tcp_header_bytes_ + payload_bytes(n));
  store_be16(ip + kIpTotalLength, static_cast<uint16_t>(ip_header_bytes + segment));
  store_be16(ip + kIpIdentification, static_cast<uint16_t>(load_be16(ip + kIpIdentification) + n));
  store_be16(ip + kIpChecksum, 0);
  InternetChecksum ip_sum;
  ip_sum.add({ip, ip_header_bytes});
  store_be16(ip + kIpChecksum, ip_sum.finish());

  uint8_t* const tcp = to + tcp_at_;
  store_be32(tcp + kTcpSeq, load_be32(tcp + kTcpSeq) + n * gso_size_);
  if (n > 0) tcp[kTcpFlags] &= static_cast<uint8_t>(~kTcpCwr);
  if (n + 1 < segments_) tcp[kTcpFlags] &= static_cast<uint8_t>(~(kTcpFin | kTcpPsh));
  store_be16(tcp + TcpHeader::kChecksumOffset, 0);
  InternetChecksum tcp_sum = ipv4_pseudo_header(load_be32(ip + 12), load_be32(ip + 16),
                                                static_cast<uint8_t>(IpProtocol::kTcp), segment);
  tcp_sum.add({tcp, segment});
  store_be16(tcp + TcpHeader::kChecksumOffset, tcp_sum.finish());
}

}  // namespace skerry
