// Capture files that Wireshark and tcpdump read: one section, one interface, nanosecond stamps, which way
// each frame went, and what there is to say of it.
//
// Read first: draft-ietf-opsawg-pcapng, sections 4.1 to 4.3 (section header, interface, enhanced packet).
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.hpp"
#include "base/time.hpp"

namespace skerry {

enum class CaptureDirection : uint32_t { kInbound = 1, kOutbound = 2 };  // epb_flags, bits 0 and 1

// Where a capture goes. Called with whole blocks only. False ends the capture (disk full, reader gone).
class CaptureSink {
 public:
  virtual ~CaptureSink() = default;
  virtual bool write(ConstBytes blocks) = 0;
};

inline constexpr size_t kPcapngMaxNameBytes = 255;
inline constexpr size_t kPcapngFileHeaderBytes = 28 + 36 + kPcapngMaxNameBytes + 1;
inline constexpr size_t kPcapngPacketOverheadBytes = 28 + 3 + 12 + 4;  // headers, padding, options, trailer

enum class PcapngLink : uint16_t { kEthernet = 1, kRawIp = 101 };  // LINKTYPE_*

// Writes what a file begins with at `to` (kPcapngFileHeaderBytes of room); returns its length. The interface
// name is cut to kPcapngMaxNameBytes.
size_t pcapng_file_header(uint8_t* to, std::string_view interface_name,
                          PcapngLink link = PcapngLink::kEthernet);

// Writes one frame at `to` (kPcapngPacketOverheadBytes + frame.size() of room); returns its length.
// `captured_at` is in nanoseconds since 1970, or since whatever epoch the capture uses.
size_t pcapng_packet(uint8_t* to, TimeNs captured_at, CaptureDirection direction, ConstBytes frame);
// The same of the beginning of a frame, with a comment (UTF-8, at most 64 KiB), which takes 8 bytes of room
// beside its own.
size_t pcapng_packet(uint8_t* to, TimeNs captured_at, CaptureDirection direction, ConstBytes beginning,
                     uint32_t frame_bytes, std::string_view comment);

}  // namespace skerry
