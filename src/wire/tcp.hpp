// TCP headers and options (RFC 9293 section 3.1; RFC 7323 window scale and timestamps; RFC 2018 SACK).
//
// Parsing reads nothing outside the header, whatever its lengths say. A malformed option ends the reading of
// options but not the segment (as Linux does; RFC 9293 MUST-7 asks only that it does no harm).
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include "base/bytes.hpp"

namespace skerry {

enum TcpFlag : uint8_t {
  kTcpFin = 0x01,
  kTcpSyn = 0x02,
  kTcpRst = 0x04,
  kTcpPsh = 0x08,
  kTcpAck = 0x10,
  kTcpUrg = 0x20,
  kTcpEce = 0x40,
  kTcpCwr = 0x80,
};

struct SackBlock {
  uint32_t left = 0;   // first sequence number of the block
  uint32_t right = 0;  // the one just after its last

  friend bool operator==(const SackBlock&, const SackBlock&) = default;
};

struct TcpOptions {
  static constexpr size_t kMaxBytes = 40;
  static constexpr size_t kMaxSackBlocks = 4;     // RFC 2018 section 3: what 40 bytes of options hold
  static constexpr uint8_t kMaxWindowScale = 14;  // RFC 7323 section 2.3: larger is taken as 14
  static constexpr size_t kTimestampsBytes = 12;  // two no-operations for alignment, then the option

  bool has_mss = false;
  bool has_window_scale = false;
  bool sack_permitted = false;
  bool has_timestamps = false;
  uint8_t window_scale = 0;
  uint8_t sack_count = 0;  // blocks in `sack` that are set
  uint16_t mss = 0;
  uint32_t ts_value = 0;  // TSval
  uint32_t ts_echo = 0;   // TSecr
  std::array<SackBlock, kMaxSackBlocks> sack{};

  friend bool operator==(const TcpOptions& a, const TcpOptions& b) {
    return a.has_mss == b.has_mss && a.has_window_scale == b.has_window_scale &&
           a.sack_permitted == b.sack_permitted && a.has_timestamps == b.has_timestamps &&
           a.window_scale == b.window_scale && a.mss == b.mss && a.ts_value == b.ts_value &&
           a.ts_echo == b.ts_echo && std::ranges::equal(a.sack_blocks(), b.sack_blocks());
  }

  std::span<const SackBlock> sack_blocks() const { return {sack.data(), sack_count}; }

  // Length on the wire, a multiple of 4, at most kMaxBytes: with timestamps only three SACK blocks fit, and
  // emit() writes no more.
  size_t bytes() const {
    size_t length = 0;
    if (has_mss) length += 4;
    if (has_timestamps) length += kTimestampsBytes;
    if (sack_permitted && !has_timestamps) length += 4;
    if (has_window_scale) length += 4;
    if (sack_count > 0) length += 4 + 8 * emitted_sack_blocks(length);
    return length;
  }

  // Reads options; stops at the first that is malformed. Known options of a wrong length are stepped over.
  static TcpOptions parse(ConstBytes bytes) {
    TcpOptions options;
    options.read(bytes);
    return options;
  }
  // The same in place, on top of what is there.
  void read(ConstBytes bytes);

  // No options. The blocks stay as they are: they mean nothing beyond sack_count.
  void clear() {
    has_mss = has_window_scale = sack_permitted = has_timestamps = false;
    window_scale = sack_count = 0;
    mss = 0;
    ts_value = ts_echo = 0;
  }

  // Writes bytes() bytes at `to`, in the order and padding that Linux uses, so that our segments look like
  // the most common ones: MSS; timestamps (SACK-permitted in place of their padding); window scale; SACK.
  void emit(uint8_t* to) const;

 private:
  enum Kind : uint8_t {
    kEnd = 0,
    kNoOperation = 1,
    kMss = 2,
    kWindowScale = 3,
    kSackPermitted = 4,
    kSack = 5,
    kTimestamps = 8
  };

  size_t emitted_sack_blocks(size_t bytes_before) const {
    return std::min<size_t>(sack_count, (kMaxBytes - bytes_before - 4) / 8);  // bytes_before <= 20
  }
};

struct TcpHeader {
  static constexpr size_t kMinBytes = 20;
  static constexpr size_t kMaxBytes = 60;
  static constexpr size_t kChecksumOffset = 16;

  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint32_t seq = 0;
  uint32_t ack = 0;
  uint16_t window = 0;  // as on the wire, not scaled
  uint16_t checksum = 0;
  uint16_t urgent = 0;
  uint8_t flags = 0;                 // TcpFlag bits
  uint8_t header_bytes = kMinBytes;  // set by parse; emit computes it from the options
  TcpOptions options;

  friend bool operator==(const TcpHeader&, const TcpHeader&) = default;

  bool has(uint8_t flag) const { return (flags & flag) != 0; }

  // Nothing if the header does not lie wholly within `segment`, which may be a copy of the headers alone.
  static std::optional<TcpHeader> parse(ConstBytes segment) {
    TcpHeader header;
    if (!header.read(segment)) return std::nullopt;
    return header;
  }
  // The same in place, for where every nanosecond counts. False: not a header; the values then mean nothing.
  bool read(ConstBytes segment) {
    if (segment.size() < kMinBytes) return false;
    const uint8_t* p = segment.data();
    const size_t length = (p[12] >> 4) * size_t{4};
    if (length < kMinBytes || length > segment.size()) return false;
    source_port = load_be16(p);
    destination_port = load_be16(p + 2);
    seq = load_be32(p + 4);
    ack = load_be32(p + 8);
    header_bytes = static_cast<uint8_t>(length);
    flags = p[13];
    window = load_be16(p + 14);
    checksum = load_be16(p + kChecksumOffset);
    urgent = load_be16(p + 18);
    options.clear();
    // What nearly every segment of an established connection carries: the appendix A layout of RFC 7323.
    if (length == kMinBytes + TcpOptions::kTimestampsBytes && load_be32(p + 20) == 0x0101080a) {
      options.has_timestamps = true;
      options.ts_value = load_be32(p + 24);
      options.ts_echo = load_be32(p + 28);
    } else if (length > kMinBytes) {
      options.read(segment.subspan(kMinBytes, length - kMinBytes));
    }
    return true;
  }

  size_t emitted_bytes() const { return kMinBytes + options.bytes(); }

  // Writes emitted_bytes() at `to`, with `checksum` as it is: it covers the payload too, so the caller sums.
  void emit(uint8_t* to) const {
    const size_t length = emitted_bytes();
    store_be16(to, source_port);
    store_be16(to + 2, destination_port);
    store_be32(to + 4, seq);
    store_be32(to + 8, ack);
    store_be16(to + 12, static_cast<uint16_t>(length / 4 << 12 | flags));
    store_be16(to + 14, window);
    store_be16(to + kChecksumOffset, checksum);
    store_be16(to + 18, urgent);
    options.emit(to + kMinBytes);
  }
};

inline void TcpOptions::read(ConstBytes bytes) {
  for (size_t at = 0; at < bytes.size();) {
    const uint8_t kind = bytes[at];
    if (kind == kEnd) break;
    if (kind == kNoOperation) {
      ++at;
      continue;
    }
    if (at + 1 >= bytes.size()) break;
    const size_t length = bytes[at + 1];
    if (length < 2 || at + length > bytes.size()) break;
    const uint8_t* value = bytes.data() + at + 2;
    if (kind == kMss && length == 4) {
      has_mss = true;
      mss = load_be16(value);
    } else if (kind == kWindowScale && length == 3) {
      has_window_scale = true;
      window_scale = std::min(*value, kMaxWindowScale);
    } else if (kind == kSackPermitted && length == 2) {
      sack_permitted = true;
    } else if (kind == kTimestamps && length == 10) {
      has_timestamps = true;
      ts_value = load_be32(value);
      ts_echo = load_be32(value + 4);
    } else if (kind == kSack && length >= 10 && length <= 34 && length % 8 == 2) {
      sack_count = static_cast<uint8_t>((length - 2) / 8);
      for (size_t i = 0; i < sack_count; ++i)
        sack[i] = {load_be32(value + 8 * i), load_be32(value + 8 * i + 4)};
    }
    at += length;
  }
}

inline void TcpOptions::emit(uint8_t* to) const {
  uint8_t* const begin = to;
  const auto four = [&to](uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
    to[0] = a, to[1] = b, to[2] = c, to[3] = d;
    to += 4;
  };
  if (has_mss) four(kMss, 4, static_cast<uint8_t>(mss >> 8), static_cast<uint8_t>(mss));
  if (has_timestamps) {
    if (sack_permitted) {
      four(kSackPermitted, 2, kTimestamps, 10);
    } else {
      four(kNoOperation, kNoOperation, kTimestamps, 10);
    }
    store_be32(to, ts_value);
    store_be32(to + 4, ts_echo);
    to += 8;
  } else if (sack_permitted) {
    four(kNoOperation, kNoOperation, kSackPermitted, 2);
  }
  if (has_window_scale) four(kNoOperation, kWindowScale, 3, window_scale);
  if (sack_count > 0) {
    const size_t count = emitted_sack_blocks(static_cast<size_t>(to - begin));
    four(kNoOperation, kNoOperation, kSack, static_cast<uint8_t>(2 + 8 * count));
    for (size_t i = 0; i < count; ++i) {
      store_be32(to, sack[i].left);
      store_be32(to + 4, sack[i].right);
      to += 8;
    }
  }
}

}  // namespace skerry
