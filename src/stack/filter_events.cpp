#include "stack/filter_events.hpp"

#include <algorithm>

#include "wire/ipv4.hpp"

namespace skerry::stack {

void FilterEvents::add(const FilterEvent& event) {
  events_[next_++ % kKept] = event;
}

std::optional<FilterEvent> FilterEvent::about(const filter::Packet& packet, filter::Hook hook, TimeNs now) {
  FilterEvent event{.at = now, .hook = hook, .protocol = packet.protocol, .length = packet.length};
  const auto ip = Ipv4Header::parse(packet.bytes);
  if (!ip) return std::nullopt;
  event.kept = static_cast<uint8_t>(std::min(packet.bytes.size(), kMostBytes));
  std::copy_n(packet.bytes.begin(), event.kept, event.bytes.begin());
  event.source = ip->source;
  event.destination = ip->destination;
  const bool has_ports = ip->protocol == IpProtocol::kTcp || ip->protocol == IpProtocol::kUdp;
  if (has_ports && packet.fragment == 0 && packet.bytes.size() >= packet.transport + 4U) {
    event.source_port = load_be16(packet.bytes.data() + packet.transport);
    event.destination_port = load_be16(packet.bytes.data() + packet.transport + 2);
  }
  return event;
}

void FilterEvents::note(const filter::Packet& packet, const filter::Judgement& judgement, filter::Hook hook,
                        TimeNs now) {
  std::optional<FilterEvent> about = FilterEvent::about(packet, hook, now);
  if (!about) return;
  FilterEvent& event = *about;
  for (unsigned i = 0; i < judgement.logs; ++i) {
    event.log = judgement.logged[i];
    add(event);
  }
  if (judgement.accepted) return;
  event.log = filter::kNone;
  event.rejected = judgement.reject.has_value();
  event.chain = judgement.chain;
  event.rule = judgement.rule;
  add(event);
}

void FilterEvents::note_name(std::string_view name, NameEvent what, TimeNs now) {
  FilterEvent event{.at = now, .name_event = what};
  const size_t length = name.copy(event.name.data(), event.name.size() - 1);
  // No terminal shall act on what a program has asked for.
  for (size_t i = 0; i < length; ++i)
    if (event.name[i] <= ' ' || event.name[i] > '~') event.name[i] = '?';
  add(event);
}

}  // namespace skerry::stack
