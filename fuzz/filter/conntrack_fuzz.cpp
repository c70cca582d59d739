// Connection tracking against any packets: of each the first byte is its length, the second how much time has
// passed, whether it is damaged, how its flow is translated, and whether it goes on to be confirmed. Of long
// ones the beginning is seen.
#include <vector>

#include "base/check.hpp"
#include "filter/conntrack.hpp"
#include "filter/translation.hpp"

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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace skerry;
  using namespace skerry::filter;
  constexpr uint32_t kMostFlows = 8;  // so that room runs out
  constexpr size_t kSeen = 200;       // what the engine needs of an ICMP error
  Conntrack table({}, kMostFlows);
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
    table.track(packet, now);
    const Tracked& tracked = packet.tracked;
    CHECK(tracked.looked_up);
    CHECK((tracked.flow != nullptr) ==
          (tracked.state != CtState::invalid && tracked.state != CtState::untracked));
    CHECK(table.flows() <= kMostFlows);
    if (tracked.flow != nullptr) translate_somehow(table, packet, how, now);
    if ((how & 0x80) == 0) table.confirm(packet, now);
  }
  return 0;
}
