#include "shown_counters.hpp"

namespace skerry {

void ShownCounters::add(const LinkCounters& link) {
  add("link.rx_frames", link.rx_frames);
  add("link.rx_bytes", link.rx_bytes);
  add("link.tx_frames", link.tx_frames);
  add("link.tx_bytes", link.tx_bytes);
  add("link.tx_no_memory", link.tx_no_memory);
  add("link.rings", link.rings);
  add("link.faults", link.faults);
}

void ShownCounters::add(const stack::IpCounters& ip, const stack::DropCounters& drops,
                        const stack::FilterHooks& filter) {
  add("link.down", ip.link_down);
  add("link.flaps", ip.link_flaps);
  add("ip.packets_in", ip.packets_in);
  add("ip.packets_out", ip.packets_out);
  add("ip.looped", ip.looped);
  add("ip.fragments_in", ip.fragments_in);
  add("ip.fragments_out", ip.fragments_out);
  add("ip.reassembled", ip.reassembled);
  for (size_t i = 0; i < stack::kDropReasons; ++i) {
    const auto reason = static_cast<stack::DropReason>(i);
    add(std::string("drop.") + stack::drop_reason_name(reason), drops[reason]);
  }
  flows_.emplace(Flows{filter, stats_.counter("filter.flows"), stats_.counter("filter.flows early dropped"),
                       stats_.counter("filter.flows refused")});
}

void ShownCounters::add(const tcp::Counters& tcp) {
  add("tcp.segments_in", tcp.segments_in);
  add("tcp.segments_out", tcp.segments_out);
  add("tcp.retransmissions", tcp.retransmissions);
  add("tcp.fast_recoveries", tcp.fast_recoveries);
  add("tcp.tail_probes", tcp.tail_probes);
  add("tcp.timeouts", tcp.timeouts);
  add("tcp.resets_in", tcp.resets_in);
  add("tcp.resets_out", tcp.resets_out);
  add("tcp.duplicates_in", tcp.duplicates_in);
  add("tcp.out_of_order_in", tcp.out_of_order_in);
  add("tcp.active_opens", tcp.active_opens);
  add("tcp.passive_opens", tcp.passive_opens);
  add("tcp.listen_overflows", tcp.listen_overflows);
}

void ShownCounters::add(const sockets::ServerCounters& sockets, const uint64_t& rings) {
  add("sockets.opened", sockets.opened);
  add("sockets.accepted", sockets.accepted);
  add("sockets.closed", sockets.closed);
  add("sockets.calls", sockets.calls);
  add("sockets.faults", sockets.faults);
  add("sockets.datagram_drops", sockets.datagram_drops);
  add("sockets.rings", rings);
}

}  // namespace skerry
