#include "stack/arp.hpp"

namespace skerry::stack {

std::optional<DropReason> Arp::receive(TimeNs now, ConstBytes bytes) {
  const auto packet = ArpPacket::parse(bytes);
  if (!packet) return DropReason::malformed_arp;
  // A sender with our MAC is our own echo; one with our address and another MAC is a conflict (RFC 5227),
  // which we can only count: the address was given to us.
  if (packet->sender_mac == mac_ || packet->sender_mac.is_multicast() || packet->sender_mac == MacAddress{} ||
      routes_.is_ours(packet->sender))
    return DropReason::unwanted_arp;

  const bool for_us = routes_.is_ours(packet->target);
  // 0.0.0.0 asks whether an address is free (RFC 5227): it gets its answer and teaches us nothing.
  const bool probe = packet->sender == 0 && packet->operation == ArpOperation::kRequest;
  if (!probe && !routes_.is_neighbour(packet->sender)) return DropReason::unwanted_arp;
  // Who asks for us is about to hear from us. A reply creates nothing: we did not ask.
  const bool create = for_us && packet->operation == ArpOperation::kRequest;
  const bool learnt = !probe && neighbours_.learn(now, packet->sender, packet->sender_mac, create);

  if (packet->operation == ArpOperation::kReply || !for_us)
    return learnt ? std::nullopt : std::optional(DropReason::unwanted_arp);
  if (reply_count_ == kReplies) return DropReason::arp_queue_full;
  Outgoing& reply = replies_[reply_count_++];
  reply.to = packet->sender_mac;
  reply.packet = {ArpOperation::kReply, mac_, packet->target, packet->sender_mac, packet->sender};
  return std::nullopt;
}

std::optional<Arp::Outgoing> Arp::next_packet(TimeNs now) {
  if (reply_count_ > 0) return replies_[--reply_count_];
  constexpr MacAddress kEverybody{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
  if (announcements_ > 0) {
    const Ipv4Address ours = routes_.addresses()[--announcements_].address;
    return Outgoing{{ArpOperation::kRequest, mac_, ours, MacAddress{}, ours}, kEverybody};
  }
  Neighbours::Question question;
  if (!neighbours_.next_question(now, question)) return std::nullopt;
  Outgoing request;
  request.to = question.to;
  // We ask from the address that the neighbour would expect: one of ours in its prefix.
  const Ipv4Address source = routes_.lookup(question.address, 0).source;
  request.packet = {ArpOperation::kRequest, mac_, source, MacAddress{}, question.address};
  return request;
}

}  // namespace skerry::stack
