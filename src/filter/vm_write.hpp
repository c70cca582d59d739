// What rules write into packets: part of the interpreter, included by engine.cpp alone.
//
// Read first: vm.hpp; nft_payload.c (nft_payload_set_eval).
#pragma once

#include "filter/checksum_change.hpp"
#include "filter/protocols.hpp"
#include "filter/vm.hpp"

namespace skerry::filter {

// As Linux does it: a sum of 0 becomes the other zero, what is not there to be summed ends the rule, and a
// sum that the link is to finish covers its transport later anyway.
struct WrittenSums {
  const Packet& packet;
  uint32_t before, after;

  bool is_left_to_others() const {
    return (packet.unfinished || packet.unsummed) &&
           (packet.protocol == kProtocolTcp || packet.protocol == kProtocolUdp);
  }
  bool change(size_t field) const {
    if (field + 2 > packet.bytes.size()) return false;
    uint8_t* const sum = packet.bytes.data() + field;
    adjust(sum, before, after);
    if (load_be16(sum) == 0) store_be16(sum, 0xffff);
    return true;
  }
  bool change_transport() const {
    if (!packet.has_transport || packet.fragment != 0) return true;
    size_t field = packet.transport;
    switch (packet.protocol) {
      case kProtocolTcp:
        field += 16;
        break;
      case kProtocolUdp:
        if (field + 8 > packet.bytes.size() || load_be16(packet.bytes.data() + field + 6) == 0) return true;
        field += 6;
        break;
      case kProtocolUdpLite:
        field += 6;
        break;
      case kProtocolIcmp6:
        field += 2;
        break;
      default:
        return true;
    }
    if (!is_left_to_others()) return change(field);
    if (field + 2 > packet.bytes.size()) return false;
    if (packet.unfinished) adjust_unfinished(packet.bytes.data() + field, before, after);
    return true;
  }
};

inline void Engine::Run::operator()(const StorePayload& action) {
  not_again();
  size_t header = 0;
  if (action.base == HeaderBase::transport) {
    if (!packet.has_transport || packet.fragment != 0) return stop_rule();
    header = packet.transport;
  }
  const size_t begin = header + action.offset;
  if (begin + action.length > packet.bytes.size()) return stop_rule();
  const Bytes place = packet.bytes.subspan(begin, action.length);
  const WrittenSums sums{packet, sum_of(place), sum_of({at(action.from), action.length})};
  packet.translated = true;
  ++writes;
  if (action.base == HeaderBase::network || !sums.is_left_to_others()) {
    if (action.sums && !sums.change(header + action.sum_offset)) return stop_rule();
    if (action.sums_transport && !sums.change_transport()) return stop_rule();
  }
  std::memcpy(place.data(), at(action.from), action.length);
}

}  // namespace skerry::filter
