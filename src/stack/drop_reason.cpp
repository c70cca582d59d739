#include "stack/drop_reason.hpp"

namespace skerry::stack {

const char* drop_reason_name(DropReason reason) {
  switch (reason) {
    case DropReason::short_frame:
      return "short frame";
    case DropReason::other_mac:
      return "other mac";
    case DropReason::unknown_ethertype:
      return "unknown ethertype";
    case DropReason::malformed_arp:
      return "malformed arp";
    case DropReason::unwanted_arp:
      return "unwanted arp";
    case DropReason::arp_queue_full:
      return "arp queue full";
    case DropReason::malformed_ipv4:
      return "malformed ipv4";
    case DropReason::ipv4_checksum:
      return "ipv4 checksum";
    case DropReason::truncated:
      return "truncated";
    case DropReason::martian_source:
      return "martian source";
    case DropReason::martian_destination:
      return "martian destination";
    case DropReason::not_our_address:
      return "not our address";
    case DropReason::unicast_in_broadcast:
      return "unicast in broadcast";
    case DropReason::source_route:
      return "source route";
    case DropReason::fragment:
      return "fragment";
    case DropReason::fragments_missing:
      return "fragments missing";
    case DropReason::unknown_protocol:
      return "unknown protocol";
    case DropReason::queue_full:
      return "queue full";
    case DropReason::malformed_icmp:
      return "malformed icmp";
    case DropReason::icmp_checksum:
      return "icmp checksum";
    case DropReason::unwanted_icmp:
      return "unwanted icmp";
    case DropReason::icmp_rate_limited:
      return "icmp rate limited";
    case DropReason::malformed_tcp:
      return "malformed tcp";
    case DropReason::tcp_checksum:
      return "tcp checksum";
    case DropReason::tcp_to_broadcast:
      return "tcp to broadcast";
    case DropReason::malformed_udp:
      return "malformed udp";
    case DropReason::udp_checksum:
      return "udp checksum";
    case DropReason::udp_no_socket:
      return "udp no socket";
    case DropReason::udp_socket_full:
      return "udp socket full";
    case DropReason::unresolved:
      return "unresolved";
    case DropReason::no_memory:
      return "no memory";
    case DropReason::too_long:
      return "too long";
    case DropReason::filter_ingress:
      return "filter ingress";
    case DropReason::filter_egress:
      return "filter egress";
    case DropReason::filter_arp:
      return "filter arp";
    case DropReason::filter_prerouting:
      return "filter prerouting";
    case DropReason::filter_input:
      return "filter input";
    case DropReason::filter_output:
      return "filter output";
    case DropReason::filter_postrouting:
      return "filter postrouting";
    case DropReason::kCount:
      break;
  }
  return "";
}

}  // namespace skerry::stack
