// Arbitrary frames from any port. Whatever comes out elsewhere must carry a source that its sender may use,
// must come from a port that is joined, and must be finished by nobody where an address stands.
//
// Input: records of {u8 port, u8 flags, u16 gso_size, u16 checksum_start, u8 checksum_offset, u16 length,
// bytes}. With kLong among the flags the frame is as long as it says, up to 64 KiB: the input has at most
// kShort bytes of it, and the rest is a pattern.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "link/claims.hpp"
#include "link/local_link.hpp"
#include "vswitch/vswitch.hpp"

namespace skerry::vswitch {
namespace {

constexpr size_t kPorts = 4;  // 0, 1, 2 are bound and 3 is the uplink; 2 is joined to the uplink alone
constexpr size_t kPlain = 1;  // its link takes neither super-frames nor open checksums
constexpr size_t kRecordBytes = 9;
constexpr uint8_t kLong = 8;
constexpr size_t kShort = 1514;

bool joined(size_t a, size_t b) {
  return a != b && (a == 3 || b == 3 || (a != 2 && b != 2));
}

// Says what is wrong with a frame that left port `from`, reading the bytes by itself.
const char* violation(ConstBytes frame, const Frame& marks, size_t from) {
  if (frame.size() < 14) return "shorter than a header";
  const auto number_of = [](const uint8_t* mac) -> size_t {  // of a bound port, or kPorts
    static constexpr uint8_t kPrefix[5] = {2, 0, 0, 0, 0};
    return std::memcmp(mac, kPrefix, 5) == 0 && mac[5] < 3 ? mac[5] : kPorts;
  };
  const auto owner_of = [](uint32_t address) -> size_t {
    return address >= 0x0a000001 && address <= 0x0a000003 ? address - 0x0a000001 : kPorts;
  };
  const bool uplink = from == 3;
  const auto may_use = [&](size_t owner) { return uplink ? owner == kPorts : owner == from; };
  if (!may_use(number_of(frame.data() + 6)) || (frame[6] & 1)) return "foreign source MAC";
  const uint16_t type = load_be16(frame.data() + 12);
  size_t fixed = 14;  // bytes that finishing must leave alone
  if (type == 0x0800) {
    if (frame.size() < 34) return "IPv4 without a header";
    if (!may_use(owner_of(load_be32(frame.data() + 26)))) return "foreign IPv4 source";
    fixed = 34;
  } else if (type == 0x0806) {
    if (frame.size() < 42) return "ARP without a packet";
    const uint32_t sender = load_be32(frame.data() + 28);
    if (!may_use(number_of(frame.data() + 22))) return "foreign ARP sender MAC";
    if (sender != 0 && !may_use(owner_of(sender))) return "foreign ARP sender";
    fixed = 42;
  } else if (!uplink) {
    return "a type that cannot be judged";
  }
  if ((marks.flags & kChecksumNeeded) && uint32_t{marks.checksum_start} + marks.checksum_offset < fixed)
    return "a checksum field where an address stands";
  return nullptr;
}

class Harness {
 public:
  Harness() {
    for (size_t i = 0; i < kPorts; ++i) {
      LinkFacts facts;
      facts.max_frame = kMaxFrame;
      facts.takes_unfinished = facts.segments_tcp4 = i != kPlain;
      // Those of the port that has super-frames cut end before the longest is through, and after most are.
      const uint32_t small_slots = i == kPlain ? 96 : 8;
      wires_[i] = std::make_unique<LocalWire>(facts, facts,
                                              SlotGeometry{.small_slots = small_slots, .large_slots = 2});
      PortSettings settings;
      settings.uplink = i == 3;
      if (i < 3) {
        settings.mac = {{2, 0, 0, 0, 0, static_cast<uint8_t>(i)}};
        settings.addresses = {0x0a000001 + static_cast<uint32_t>(i)};
      }
      const Result<PortId> id = switch_.add_port(settings, wires_[i]->a());
      CHECK(id && *id == i);
    }
    for (size_t a = 0; a < kPorts; ++a)
      for (size_t b = 0; b < a; ++b)
        switch_.set_joined(static_cast<PortId>(a), static_cast<PortId>(b), joined(a, b));
  }

  void one(size_t from, ConstBytes bytes, Frame marks) {
    LocalLink& station = wires_[from]->b();
    const auto slot = station.allocate(static_cast<uint32_t>(bytes.size()));
    CHECK(slot.has_value());
    marks.slot = slot->slot;
    marks.offset = slot->offset;
    marks.length = slot->length;
    // A Link has held the marks against the frame before anyone sees them.
    if (!claims_hold(marks, kLargeSlotBytes)) return station.give_back(*slot);
    std::memcpy(station.data(*slot).data(), bytes.data(), bytes.size());
    CHECK(station.send({&marks, 1}) == 1);
    now_ += kSecond;
    switch_.rx(now_);
    switch_.tx(now_);
    for (size_t at = 0; at < kPorts; ++at) {
      LocalLink& receiver = wires_[at]->b();
      FrameBatch batch;
      for (receiver.receive(batch); batch.count > 0; batch.clear(), receiver.receive(batch)) {
        for (const Frame& frame : batch.view()) {
          judge(from, bytes, marks, at, frame, receiver.data(frame));
          receiver.give_back(frame);
        }
      }
    }
  }

 private:
  // Ends the process if the frame that arrived at port `at` should not have.
  static void judge(size_t from, ConstBytes bytes, const Frame& marks, size_t at, const Frame& frame,
                    ConstBytes got) {
    const char* wrong = !joined(from, at) ? "a port that is not joined" : violation(got, frame, from);
    const bool finished = at == kPlain && (marks.flags & kChecksumNeeded) != 0;
    if (finished && (frame.flags & (kChecksumNeeded | kSegmentTcp4)) != 0) wrong = "left open";
    if (!wrong && finished && got.size() > bytes.size()) wrong = "longer than it was";
    if (!wrong && !finished &&
        (got.size() != bytes.size() || std::memcmp(got.data(), bytes.data(), got.size()) != 0))
      wrong = "other bytes than were sent";
    if (!wrong) return;
    std::fprintf(stderr, "port %zu to %zu: %s\n", from, at, wrong);
    std::abort();
  }

  Vswitch<LocalLink> switch_{MacTableLimits{.learned_total = 16, .learned_per_port = 16}, 1};
  std::unique_ptr<LocalWire> wires_[kPorts];
  TimeNs now_ = 0;
};

}  // namespace
}  // namespace skerry::vswitch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace skerry;
  vswitch::Harness harness;
  ConstBytes input(data, size);
  while (input.size() > vswitch::kRecordBytes) {
    const uint8_t* const record = input.data();
    Frame marks;
    marks.flags = record[1] & 7;
    marks.gso_size = load_be16(record + 2);
    marks.checksum_start = load_be16(record + 4);
    marks.checksum_offset = record[6];
    input = input.subspan(vswitch::kRecordBytes);
    const size_t said = size_t{load_be16(record + 7)} + 1;
    const bool is_long = (record[1] & vswitch::kLong) != 0;
    const size_t given =
        std::min({is_long ? said : (said - 1) % vswitch::kShort + 1, vswitch::kShort, input.size()});
    std::vector<uint8_t> frame(input.begin(), input.begin() + static_cast<ptrdiff_t>(given));
    while (is_long && frame.size() < said) frame.push_back(static_cast<uint8_t>(frame.size() * 31));
    harness.one(record[0] % vswitch::kPorts, frame, marks);
    input = input.subspan(given);
  }
  return 0;
}
