#include "stack/icmp_error.hpp"

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "wire/udp.hpp"

namespace skerry::stack {
namespace {

struct Meaning {
  int error;
  bool hard;
};

// What programs see, as on Linux: icmp(7), icmp_err_convert and __udp4_lib_err() there, RFC 1122 sections
// 3.2.2.1, 3.2.2.4 and 4.2.3.9.
Meaning meaning_of(const IcmpHeader& header) {
  static constexpr Meaning kOfUnreachable[] = {
      {ENETUNREACH, false},  {EHOSTUNREACH, false}, {ENOPROTOOPT, true},  {ECONNREFUSED, true},
      {EMSGSIZE, true},      {EOPNOTSUPP, false},   {ENETUNREACH, true},  {EHOSTDOWN, true},
      {ENONET, true},        {ENETUNREACH, true},   {EHOSTUNREACH, true}, {ENETUNREACH, false},
      {EHOSTUNREACH, false}, {EHOSTUNREACH, true},  {EHOSTUNREACH, true}, {EHOSTUNREACH, true},
  };
  if (header.type == IcmpType::kParameterProblem) return {EPROTO, true};
  if (header.type != IcmpType::kDestinationUnreachable || header.code >= std::size(kOfUnreachable))
    return {EHOSTUNREACH, false};
  return kOfUnreachable[header.code];
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

void IcmpNotice::note_quote(Ipv4Address offender, ConstBytes packet) {
  error.offender = offender;
  const size_t end = std::min<size_t>(packet.size(), packet_bytes);
  if (protocol == IpProtocol::kUdp && payload_begins < end)
    error.take_quote(packet.subspan(payload_begins, end - payload_begins));
}

std::optional<IcmpNotice> read_icmp_error(const IcmpHeader& header, ConstBytes body) {
  const auto embedded = IcmpEmbedded::parse(body);
  if (!embedded) return std::nullopt;
  const IpProtocol protocol = embedded->ip.protocol;
  if (protocol != IpProtocol::kTcp && protocol != IpProtocol::kUdp) return std::nullopt;
  const Meaning meaning = meaning_of(header);
  IcmpNotice notice;
  notice.protocol = protocol;
  notice.error.local = {IpAddress::v4(embedded->ip.source), embedded->source_port};
  notice.error.remote = {IpAddress::v4(embedded->ip.destination), embedded->destination_port};
  notice.error.tcp_seq = embedded->tcp_seq;
  notice.error.error = meaning.error;
  notice.error.hard = meaning.hard;
  notice.error.type = static_cast<uint8_t>(header.type);
  notice.error.code = header.code;
  notice.packet_bytes = embedded->ip.total_bytes;
  notice.payload_begins = static_cast<uint16_t>(embedded->ip.header_bytes + UdpHeader::kBytes);
  if (header.type == IcmpType::kDestinationUnreachable && header.code == kFragmentationNeeded) {
    const uint16_t mtu = header.next_hop_mtu();
    notice.error.next_hop_mtu = mtu != 0 ? mtu : plateau_below(notice.packet_bytes);
  }
  return notice;
}

}  // namespace skerry::stack
