#include "link/pcapng.hpp"

#include <algorithm>
#include <cstring>

namespace skerry {
namespace {

// A block: type, total length, body, total length again; everything in the machine's byte order, which the
// section header's magic tells, and padded to 32 bits.
class Block {
 public:
  Block(uint8_t* to, uint32_t type) : begin_(to), at_(to) {
    put32(type);
    put32(0);
  }
  void put16(uint16_t value) { put(&value, sizeof value); }
  void put32(uint32_t value) { put(&value, sizeof value); }
  void put64(uint64_t value) { put(&value, sizeof value); }
  void put_padded(const void* from, size_t bytes) {
    put(from, bytes);
    while ((at_ - begin_) % 4 != 0) *at_++ = 0;
  }
  void put_option(uint16_t code, const void* value, size_t bytes) {
    put16(code);
    put16(static_cast<uint16_t>(bytes));
    put_padded(value, bytes);
  }
  size_t finish() {
    const uint32_t total = static_cast<uint32_t>(at_ - begin_) + 4;
    put32(total);
    std::memcpy(begin_ + 4, &total, sizeof total);
    return total;
  }

 private:
  void put(const void* from, size_t bytes) {
    if (bytes > 0) std::memcpy(at_, from, bytes);
    at_ += bytes;
  }
  uint8_t* begin_;
  uint8_t* at_;
};

constexpr uint32_t kSectionHeader = 0x0a0d0d0a, kInterface = 1, kEnhancedPacket = 6;
constexpr uint32_t kByteOrderMagic = 0x1a2b3c4d;
constexpr uint16_t kOptionEnd = 0, kComment = 1, kInterfaceName = 2, kTimestampResolution = 9,
                   kPacketFlags = 2;

}  // namespace

size_t pcapng_file_header(uint8_t* to, std::string_view interface_name, PcapngLink link) {
  Block section(to, kSectionHeader);
  section.put32(kByteOrderMagic);
  section.put16(1);  // version 1.0
  section.put16(0);
  section.put64(UINT64_MAX);  // length of the section: not known yet
  const size_t section_bytes = section.finish();

  Block interface(to + section_bytes, kInterface);
  interface.put16(static_cast<uint16_t>(link));
  interface.put16(0);
  interface.put32(0);  // frames are never cut short
  const uint8_t nanoseconds = 9;
  interface.put_option(kInterfaceName, interface_name.data(),
                       std::min(interface_name.size(), kPcapngMaxNameBytes));
  interface.put_option(kTimestampResolution, &nanoseconds, 1);
  interface.put_option(kOptionEnd, nullptr, 0);
  return section_bytes + interface.finish();
}

size_t pcapng_packet(uint8_t* to, TimeNs captured_at, CaptureDirection direction, ConstBytes frame) {
  return pcapng_packet(to, captured_at, direction, frame, static_cast<uint32_t>(frame.size()), {});
}

size_t pcapng_packet(uint8_t* to, TimeNs captured_at, CaptureDirection direction, ConstBytes frame,
                     uint32_t frame_bytes, std::string_view comment) {
  Block packet(to, kEnhancedPacket);
  packet.put32(0);  // the only interface
  packet.put32(static_cast<uint32_t>(captured_at >> 32));
  packet.put32(static_cast<uint32_t>(captured_at));
  packet.put32(static_cast<uint32_t>(frame.size()));
  packet.put32(frame_bytes);
  packet.put_padded(frame.data(), frame.size());
  if (!comment.empty()) packet.put_option(kComment, comment.data(), std::min<size_t>(comment.size(), 65'535));
  packet.put_option(kPacketFlags, &direction, sizeof direction);
  packet.put_option(kOptionEnd, nullptr, 0);
  return packet.finish();
}

}  // namespace skerry
