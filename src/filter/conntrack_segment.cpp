// What a segment says of itself, read once: its kind, its place, and what its options offer.
#include <algorithm>

#include "filter/conntrack_tcp.hpp"

namespace skerry::filter {

namespace {

constexpr uint8_t kFin = 1, kSyn = 2, kRst = 4, kAck = 16, kUrg = 32;
constexpr size_t kHeaderBytes = 20;
constexpr uint8_t kMostScale = 14;  // RFC 7323 section 2.3

// Calls each(kind, value) for the options of a header, up to the first that is damaged.
template <class Each>
void for_each_option(ConstBytes options, Each each) {
  constexpr uint8_t kEnd = 0, kNothing = 1;
  for (size_t at = 0; at < options.size() && options[at] != kEnd;) {
    if (options[at] == kNothing) {
      ++at;
      continue;
    }
    if (at + 1 >= options.size()) return;
    const size_t length = options[at + 1];
    if (length < 2 || at + length > options.size()) return;
    if (!each(options[at], options.subspan(at + 2, length - 2))) return;
    at += length;
  }
}

}  // namespace

bool TcpSegment::read(ConstBytes transport, size_t bytes) {
  if (bytes < kHeaderBytes || transport.size() < kHeaderBytes) return false;
  const size_t header = (transport[12] >> 4) * size_t{4};
  if (header < kHeaderBytes || header > bytes || header > transport.size()) return false;
  const uint8_t flags = transport[13] & (kFin | kSyn | kRst | kAck | kUrg);
  switch (flags & ~kUrg) {
    case kSyn:
      kind = TcpKind::syn;
      break;
    case kSyn | kAck:
      kind = TcpKind::syn_ack;
      break;
    case kFin | kAck:
      kind = TcpKind::fin;
      break;
    case kAck:
      kind = TcpKind::ack;
      break;
    case kRst:
    case kRst | kAck:
      kind = TcpKind::rst;
      break;
    default:
      return false;
  }
  if ((flags & kUrg) != 0 && (kind == TcpKind::rst || kind == TcpKind::syn_ack)) return false;
  syn = (flags & kSyn) != 0;
  ack_set = (flags & kAck) != 0;
  rst = (flags & kRst) != 0;
  seq = load_be32(transport.data() + 4);
  ack = load_be32(transport.data() + 8);
  end = seq + static_cast<uint32_t>(bytes - header) + (syn ? 1 : 0) + ((flags & kFin) != 0 ? 1 : 0);
  window = load_be16(transport.data() + 14);
  options = transport.subspan(kHeaderBytes, header - kHeaderBytes);
  return true;
}

bool TcpSegment::read_plain(const uint8_t* transport, uint16_t length_and_flags, size_t bytes) {
  constexpr size_t kTimestampsBytes = 12;
  constexpr uint32_t kTimestampsAlone = 0x0101080a;  // RFC 7323 appendix A
  const size_t header = (length_and_flags >> 4 & 15) * size_t{4};
  if ((length_and_flags >> 8 & (kFin | kSyn | kRst | kAck | kUrg)) != kAck || header > bytes) return false;
  const bool stamped = header == kHeaderBytes + kTimestampsBytes &&
                       __builtin_bswap32(load_once<uint32_t>(transport + kHeaderBytes)) == kTimestampsAlone;
  if (header != kHeaderBytes && !stamped) return false;
  kind = TcpKind::ack;
  ack_set = true;
  seq = __builtin_bswap32(load_once<uint32_t>(transport + 4));
  ack = __builtin_bswap32(load_once<uint32_t>(transport + 8));
  end = seq + static_cast<uint32_t>(bytes - header);
  window = __builtin_bswap16(load_once<uint16_t>(transport + 14));
  return true;
}

uint8_t TcpSegment::offers(uint8_t& scale) const {
  constexpr uint8_t kWindowScale = 3, kSackPermitted = 4;
  uint8_t flags = 0;
  scale = 0;
  for_each_option(options, [&](uint8_t option, ConstBytes value) {
    if (option == kSackPermitted && value.empty()) flags |= TcpSide::kSackPermitted;
    if (option == kWindowScale && value.size() == 1) {
      scale = std::min(value[0], kMostScale);
      flags |= TcpSide::kScales;
    }
    return true;
  });
  return flags;
}

uint32_t TcpSegment::highest_sack() const {
  constexpr uint8_t kSack = 5;
  constexpr size_t kBlock = 8;
  uint32_t highest = ack;
  for_each_option(options, [&](uint8_t option, ConstBytes value) {
    if (option != kSack || value.empty() || value.size() % kBlock != 0) return true;
    for (size_t at = 0; at < value.size(); at += kBlock) {
      const uint32_t edge = load_be32(value.data() + at + 4);
      if (is_behind(edge, highest)) highest = edge;
    }
    return false;
  });
  return highest;
}

}  // namespace skerry::filter
