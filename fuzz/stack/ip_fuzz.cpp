// A stack's Ip and UDP against a peer that sends anything. The input is a row of frames, each behind a byte
// of flags and two of length; the stack breathes after each. Whatever comes: every frame is given back
// exactly once, and what leaves is well-formed and never a loopback packet.
#include <memory>

#include "base/check.hpp"
#include "link/local_link.hpp"
#include "stack/ip.hpp"
#include "stack/udp_component.hpp"

namespace skerry::stack {
namespace {

struct Sink {
  bool deliver(TimeNs, SocketId, const Endpoint&, const Endpoint&, const Marks&, ConstBytes payload) {
    for (const uint8_t byte : payload) sum += byte;  // every byte must be readable
    return sum % 7 != 0;
  }
  void refused(TimeNs, SocketId, const TransportError& error) {
    CHECK(error.error > 0);
    for (uint32_t i = 0; i < error.quoted; ++i) sum += error.quote[i];
  }
  uint64_t sum = 0;
};

LinkFacts facts(uint8_t last, bool memory) {
  LinkFacts facts;
  facts.mac = MacAddress{{2, 0, 0, 0, 0, last}};
  if (memory) {
    facts.max_frame = kMaxFrame;
    facts.vouches = facts.takes_unfinished = facts.segments_tcp4 = true;
  }
  return facts;
}

constexpr SlotGeometry kGeometry{64, 8};

void check_outgoing(ConstBytes frame) {
  const auto ethernet = EthernetHeader::parse(frame);
  CHECK(ethernet && ethernet->source == (MacAddress{{2, 0, 0, 0, 0, 2}}));
  const ConstBytes packet = frame.subspan(EthernetHeader::kBytes);
  if (ethernet->type == EtherType::kArp) {
    CHECK(ArpPacket::parse(packet));
    return;
  }
  const auto ip = Ipv4Header::parse(packet);
  CHECK(ip && Ipv4Header::checksum_intact(packet) && ip->total_bytes == packet.size());
  CHECK(!Routes::is_loopback(ip->source) && !Routes::is_loopback(ip->destination));
}

void run(ConstBytes input) {
  const bool memory = !input.empty() && (input[0] & 1);
  if (!input.empty()) input = input.subspan(1);
  LocalWire wire(facts(2, memory), facts(1, memory), kGeometry);
  constexpr InterfaceAddress kAddresses[] = {{0x0a000002, 24}};
  Random random(1);
  Ip<LocalLink> ip(wire.a(), {kAddresses, 0x0a000001, 16, 4}, random);
  Udp udp(4, random);
  Sink sink;
  UdpComponent<Ip<LocalLink>, Sink> component(ip, udp, sink);
  UdpSender<Ip<LocalLink>> sender(ip, udp);
  Endpoint local{IpAddress::v4(0), 7};
  CHECK(udp.bind(0, local, false) == 0);
  CHECK(udp.connect(1, {IpAddress::v4(0x0a000001), 9}, IpAddress::v4(0x0a000002)) == 0);

  TimeNs now = kSecond;
  while (input.size() > 3) {
    const size_t length = std::min<size_t>(load_be16(input.data() + 1), input.size() - 3);
    const auto bytes = static_cast<uint32_t>(length);
    if (auto frame = bytes > 0 ? wire.b().allocate(bytes) : std::nullopt) {
      frame->flags = input[0] & kChecksumVouched;
      if ((input[0] & kChecksumNeeded) && length >= 54) {
        frame->flags |= kChecksumNeeded;
        frame->checksum_start = 34;
      }
      std::memcpy(wire.b().data(*frame).data(), input.data() + 3, length);
      CHECK(wire.b().send({&*frame, 1}) == 1);
    }
    if (input[0] & 0x10)
      sender.send(now, 1, {}, {}, {.may_be_cut = (input[0] & 0x80) != 0}, input.first(1), {});
    if (input[0] & 0x20) now += 700 * kMillisecond;
    input = input.subspan(3 + length);

    ip.rx(now);
    component.rx(now);
    for (const Segment& segment : ip.tcp_segments().view()) ip.give_back(segment);
    ip.tcp_segments().clear();
    ip.tcp_errors().clear();
    ip.tx(now);
    FrameBatch batch;
    wire.b().receive(batch);
    for (const Frame& sent : batch.view()) {
      check_outgoing(wire.b().data(sent));
      wire.b().give_back(sent);
    }
  }
  // Every frame came back: the peer has all its slots again.
  uint32_t free = 0;
  while (wire.b().allocate(1)) ++free;
  while (memory && wire.b().allocate(kMaxFrame)) ++free;
  CHECK(free == (memory ? kGeometry.slots() : kGeometry.small_slots));
}

}  // namespace
}  // namespace skerry::stack

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size <= 8192) skerry::stack::run({data, size});
  return 0;
}
