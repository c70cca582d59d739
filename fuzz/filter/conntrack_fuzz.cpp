// Connection tracking against any packets: of each the first byte is its length, the second how much time has
// passed, whether it is damaged, how its flow is translated, and whether it goes on to be confirmed. Of long
// ones the beginning is seen. Two more tables translate nothing, and find the same, though one asks first for
// the flow that was found last.
#include <vector>

#include "base/check.hpp"
#include "filter/conntrack.hpp"
#include "filter/protocols.hpp"
#include "filter/translation.hpp"
#include "filter/verdict_memory.hpp"

namespace {

using namespace skerry::filter;

// To a few ports, so that they run out.
void translate_somehow(Conntrack& table, Packet& packet, uint8_t how, skerry::TimeNs now) {
  NatRange range{.port_low = 1000, .port_high = 1002, .has_address = true, .has_port = (how & 1) != 0};
  range.random = (how & 2) != 0;
  range.address_low[0] = range.address_high[0] = 10;
  range.address_high[3] = how & 4;
  const Tracked& tracked = packet.tracked;
  for (const NatSide side : {NatSide::destination, NatSide::source}) {
    if (tracked.state == CtState::related) {
      translate_error(packet, side);
      continue;
    }
    if ((tracked.flow->status & done_bit(side)) == 0) table.bind(*tracked.flow, side, range, now);
    translate(packet, side);
  }
  table.before(packet.bytes, packet.v6, 0, now);
}

Tracked track(Conntrack& table, Packet packet, skerry::TimeNs now, bool confirms) {
  table.track(packet, now);
  if (confirms) table.confirm(packet, now);
  return packet.tracked;
}

Tracked find_or_track(Conntrack& table, const Packet& packet, skerry::TimeNs now, bool confirms) {
  using skerry::load_be16;
  const uint8_t* const header = packet.bytes.data();
  const bool plain = packet.bytes.size() >= VerdictMemory::kSeenBytes && header[0] == 0x45 &&
                     (load_be16(header + 6) & 0x3fff) == 0 && !packet.damaged;
  if (plain && (packet.protocol == kProtocolTcp || packet.protocol == kProtocolUdp)) {
    const uint8_t* const transport = header + VerdictMemory::kHeaderBytes;
    const auto seen = TransportSeen::read(transport);
    const Tracked found = table.find_again(header, seen, now);
    if (found.flow != nullptr && table.note_again(found, transport, seen, packet.length, now)) return found;
  }
  return track(table, packet, now, confirms);
}

void check_same(const Tracked& one, const Tracked& other) {
  CHECK(one.state == other.state && one.reply == other.reply && one.number == other.number);
  CHECK((one.flow == nullptr) == (other.flow == nullptr));
  if (one.flow == nullptr) return;
  CHECK(one.flow->expires == other.flow->expires && one.flow->status == other.flow->status);
  CHECK(one.flow->tcp == other.flow->tcp);
  for (const bool reply : {false, true})
    CHECK(one.flow->passed[reply].bytes == other.flow->passed[reply].bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace skerry;
  using namespace skerry::filter;
  constexpr uint32_t kMostFlows = 8;  // so that room runs out
  constexpr size_t kSeen = 200;       // what the engine needs of an ICMP error
  Conntrack table({}, kMostFlows), each({}, kMostFlows), again({}, kMostFlows);
  table.make_room_for_nat();
  TimeNs now = kSecond;
  while (size >= 2) {
    const size_t length = std::min<size_t>(data[0], size - 2);
    const uint8_t how = data[1];
    const size_t seen = std::min(length, kSeen);
    std::vector<uint8_t> bytes(data + 2, data + 2 + seen);  // exactly: what lies behind is not theirs
    data += 2 + length;
    size -= 2 + length;
    now += (how & 0x3f) * kSecond;
    Packet packet;
    if (!packet.read(bytes, length)) continue;
    packet.damaged = (how & 0x40) != 0;
    const bool confirms = (how & 0x80) == 0;
    check_same(track(each, packet, now, confirms), find_or_track(again, packet, now, confirms));
    CHECK(each.flows() == again.flows());
    table.track(packet, now);
    const Tracked& tracked = packet.tracked;
    CHECK(tracked.looked_up);
    CHECK((tracked.flow != nullptr) ==
          (tracked.state != CtState::invalid && tracked.state != CtState::untracked));
    CHECK(table.flows() <= kMostFlows);
    if (tracked.flow != nullptr) translate_somehow(table, packet, how, now);
    if (confirms) table.confirm(packet, now);
  }
  return 0;
}
