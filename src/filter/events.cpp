#include "filter/events.hpp"

#include <algorithm>

#include "wire/arp.hpp"
#include "wire/ethernet.hpp"

namespace skerry::filter {

namespace {

constexpr auto kIpv4 = static_cast<uint16_t>(EtherType::kIpv4);
constexpr auto kArp = static_cast<uint16_t>(EtherType::kArp);

}  // namespace

void Events::add(const Event& event) {
  events_[next_++ % kKept] = event;
}

Event Event::about(const Packet& packet, Hook hook, TimeNs now) {
  Event event{.at = now, .hook = hook, .length = packet.length};
  const ConstBytes bytes = packet.bytes;
  if (const auto ip = packet.ether_type == kIpv4 ? Ipv4Header::parse(bytes) : std::nullopt) {
    event.about_ipv4(packet, *ip);
  } else if (const auto arp = packet.ether_type == kArp ? ArpPacket::parse(bytes) : std::nullopt) {
    event.kind = Kind::arp;
    event.operation = static_cast<uint16_t>(arp->operation);
    event.source = arp->sender;
    event.destination = arp->target;
  } else {
    event.kind = Kind::frame;
    event.ether_type = packet.ether_type;
    if (const auto ethernet = EthernetHeader::parse(packet.link)) {
      event.from = ethernet->source;
      event.to = ethernet->destination;
    }
  }
  return event;
}

void Event::about_ipv4(const Packet& packet, const Ipv4Header& ip) {
  // At the link what follows it is there too.
  const ConstBytes all = packet.bytes;
  length = ip.total_bytes;
  kept = static_cast<uint8_t>(std::min({all.size(), size_t{ip.total_bytes}, kMostBytes}));
  std::copy_n(all.begin(), kept, bytes.begin());
  protocol = static_cast<uint8_t>(ip.protocol);
  source = ip.source;
  destination = ip.destination;
  const bool has_ports = ip.protocol == IpProtocol::kTcp || ip.protocol == IpProtocol::kUdp;
  if (has_ports && ip.fragment_offset == 0 && all.size() >= ip.header_bytes + 4U) {
    source_port = load_be16(all.data() + ip.header_bytes);
    destination_port = load_be16(all.data() + ip.header_bytes + 2);
  }
}

void Events::note(const Packet& packet, const Judgement& judgement, Hook hook, TimeNs now) {
  Event event = Event::about(packet, hook, now);
  for (unsigned i = 0; i < judgement.logs; ++i) {
    event.log = judgement.logged[i];
    add(event);
  }
  if (judgement.accepted) return;
  event.log = kNone;
  event.rejected = judgement.reject.has_value();
  event.chain = judgement.chain;
  event.rule = judgement.rule;
  add(event);
}

void Events::note_name(std::string_view name, NameEvent what, TimeNs now) {
  Name& kept = names_[next_ % kKept];
  const size_t length = name.copy(kept.data(), kept.size() - 1);
  kept[length] = 0;
  // No terminal shall act on what a program has asked for.
  for (size_t i = 0; i < length; ++i)
    if (kept[i] <= ' ' || kept[i] > '~') kept[i] = '?';
  add({.at = now, .name_event = what});
}

}  // namespace skerry::filter
