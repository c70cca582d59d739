#include "link/impairment.hpp"

#include <algorithm>
#include <functional>

#include "base/check.hpp"
#include "wire/ethernet.hpp"
#include "wire/ipv4.hpp"
#include "wire/udp.hpp"

namespace skerry {
namespace {

constexpr uint32_t kSpanBits = 15;

// The bytes of the frame that a checksum covers.
Bytes covered(Bytes frame) {
  const std::optional<EthernetHeader> ethernet = EthernetHeader::parse(frame);
  if (!ethernet || ethernet->type != EtherType::kIpv4) return {};
  const Bytes packet = frame.subspan(EthernetHeader::kBytes);
  const std::optional<Ipv4Header> ip = Ipv4Header::parse(packet);
  if (!ip || ip->total_bytes > packet.size()) return {};
  const Bytes header = packet.first(ip->header_bytes);
  const Bytes message = packet.subspan(ip->header_bytes, ip->payload_bytes());
  if (ip->is_fragment()) return header;
  if (ip->protocol == IpProtocol::kTcp || ip->protocol == IpProtocol::kIcmp)
    return packet.first(ip->total_bytes);
  if (ip->protocol != IpProtocol::kUdp) return header;
  const std::optional<UdpHeader> udp = UdpHeader::parse(message);
  return udp && udp->checksum != 0 ? packet.first(ip->total_bytes) : header;
}

void flip_bit(Bytes bytes, size_t bit) {
  bytes[bit / 8] = static_cast<uint8_t>(bytes[bit / 8] ^ (0x80 >> (bit % 8)));
}

// What a receiver believes before it sums: these fields say over how much, and whether at all.
struct Extent {
  uint8_t version_and_header_bytes;
  uint16_t udp_bytes = 0;         // of UDP only
  bool has_udp_checksum = false;  // the same
  friend bool operator==(const Extent&, const Extent&) = default;
};

Extent extent_of(ConstBytes frame) {
  const ConstBytes packet = frame.subspan(EthernetHeader::kBytes);
  Extent extent{packet[0]};
  const size_t udp = (packet[0] & 15) * size_t{4};
  if (packet[9] != static_cast<uint8_t>(IpProtocol::kUdp) || udp + UdpHeader::kBytes > packet.size())
    return extent;
  extent.udp_bytes = load_be16(packet.data() + udp + 4);
  extent.has_udp_checksum = load_be16(packet.data() + udp + UdpHeader::kChecksumOffset) != 0;
  return extent;
}

}  // namespace

bool flip_bits(Bytes frame, Random& random) {
  constexpr int kTries = 32;
  const Bytes target = covered(frame);
  if (target.empty()) return false;
  const Extent extent = extent_of(frame);
  for (int tries = 0; tries < kTries; ++tries) {
    const size_t first = random.below(static_cast<uint32_t>(target.size() * 8 - kSpanBits + 1));
    // The first bit always, the others as they fall.
    const uint32_t pattern = 1 | (random.chance(0.5) ? random.below(1u << kSpanBits) : 0);
    const auto apply = [&] {
      for (uint32_t n = 0; n < kSpanBits; ++n)
        if ((pattern >> n & 1) != 0) flip_bit(target, first + n);
    };
    apply();
    if (extent_of(frame) == extent) return true;
    // Less would be summed, or nothing, and by chance that sum may be right: elsewhere, then.
    apply();
  }
  return false;
}

Impairment::Impairment(const LossyWeather& weather, uint64_t seed, uint32_t frames, uint32_t frame_bytes)
    : weather_(weather), random_(seed), frame_bytes_(frame_bytes), memory_(size_t{frames} * frame_bytes) {
  CHECK(weather.reorder == 0 || weather.reorder_ns > 0);
  free_.reserve(frames);
  under_way_.reserve(frames);
  for (uint32_t index = frames; index-- > 0;) free_.push_back(index);
}

uint32_t Impairment::take() {
  CHECK(!free_.empty());
  const uint32_t index = free_.back();
  free_.pop_back();
  return index;
}

void Impairment::commit(uint32_t index, uint32_t bytes, TimeNs now) {
  if (random_.chance(weather_.loss)) {
    ++counters_.lost;
    return drop(index);
  }
  TimeNs due = now + weather_.delay_ns;
  if (random_.chance(weather_.duplicate) && !free_.empty()) {
    const uint32_t copy = take();
    std::copy_n(buffer(index).begin(), bytes, buffer(copy).begin());
    ++counters_.duplicated;
    depart(copy, bytes, due);
  }
  if (random_.chance(weather_.flip) && flip_bits(buffer(index).first(bytes), random_)) ++counters_.flipped;
  if (random_.chance(weather_.reorder)) {
    ++counters_.reordered;
    due += 1 + random_.next() % weather_.reorder_ns;
  }
  depart(index, bytes, due);
}

void Impairment::depart(uint32_t index, uint32_t bytes, TimeNs due) {
  under_way_.push_back({due, order_++, {index, bytes}});
  std::push_heap(under_way_.begin(), under_way_.end(), std::greater<>());
}

std::optional<Impairment::Arrival> Impairment::arrive(TimeNs now) {
  if (under_way_.empty() || under_way_.front().due > now) return std::nullopt;
  const Arrival arrival = under_way_.front().frame;
  std::pop_heap(under_way_.begin(), under_way_.end(), std::greater<>());
  under_way_.pop_back();
  return arrival;
}

}  // namespace skerry
