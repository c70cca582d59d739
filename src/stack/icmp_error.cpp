#include "stack/icmp_error.hpp"

#include <cerrno>

namespace skerry::stack {
namespace {

// What programs see, as on Linux: icmp(7), RFC 1122 sections 3.2.2.1, 3.2.2.4 and 4.2.3.9.
int error_of(const IcmpHeader& header) {
  if (header.type == IcmpType::kTimeExceeded) return EHOSTUNREACH;
  if (header.type == IcmpType::kParameterProblem) return EPROTO;
  switch (header.code) {
    case kNetUnreachable:
      return ENETUNREACH;
    case kProtocolUnreachable:
      return ENOPROTOOPT;
    case kPortUnreachable:
      return ECONNREFUSED;
    case kFragmentationNeeded:
      return EMSGSIZE;
    case kSourceRouteFailed:
      return EOPNOTSUPP;
    default:
      return EHOSTUNREACH;
  }
}

// RFC 1191 section 7.1: what a router that does not say the size is likely to mean, below the size that did
// not fit.
uint16_t plateau_below(uint16_t total_bytes) {
  static constexpr uint16_t kPlateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006};
  for (const uint16_t plateau : kPlateaus)
    if (plateau < total_bytes) return plateau;
  return 576;  // what everybody takes (RFC 1122 section 3.3.3); less is not believed
}

}  // namespace

std::optional<IcmpNotice> notice_about(ConstBytes packet, int error) {
  const auto embedded = IcmpEmbedded::parse(packet);
  if (!embedded) return std::nullopt;
  const IpProtocol protocol = embedded->ip.protocol;
  if (protocol != IpProtocol::kTcp && protocol != IpProtocol::kUdp) return std::nullopt;
  IcmpNotice notice;
  notice.protocol = protocol;
  notice.error.local = {IpAddress::v4(embedded->ip.source), embedded->source_port};
  notice.error.remote = {IpAddress::v4(embedded->ip.destination), embedded->destination_port};
  notice.error.tcp_seq = embedded->tcp_seq;
  notice.error.error = error;
  notice.packet_bytes = embedded->ip.total_bytes;
  return notice;
}

std::optional<IcmpNotice> read_icmp_error(const IcmpHeader& header, ConstBytes body) {
  auto notice = notice_about(body, error_of(header));
  if (notice && header.type == IcmpType::kDestinationUnreachable && header.code == kFragmentationNeeded) {
    const uint16_t mtu = header.next_hop_mtu();
    notice->error.next_hop_mtu = mtu != 0 ? mtu : plateau_below(notice->packet_bytes);
  }
  return notice;
}

}  // namespace skerry::stack
