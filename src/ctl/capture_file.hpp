// The packets of a capture, as tcpdump, Wireshark and `skerry capture` write them: pcap and pcapng, both byte
// orders.
//
// Read first: draft-ietf-opsawg-pcap; draft-ietf-opsawg-pcapng, sections 4.1 to 4.4.
//
// Invariant: the file is a stranger's. Every length is checked against what is left of it.
#pragma once

#include <span>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace skerry::ctl {

enum class CaptureLink : uint16_t {
  ethernet = 1,
  raw_ip = 101,
  raw_ipv4 = 228,
  raw_ipv6 = 229
};  // LINKTYPE_*

struct CapturedPacket {
  TimeNs at = 0;  // since 1970, or whatever the writer's clock counted from
  CaptureLink link{};
  ConstBytes bytes;             // of `file`
  uint32_t original_bytes = 0;  // of the packet; a capture may hold fewer, and never more
};

// In the order of the file. Errors: not a capture, damaged, or of a link type that is none of the above.
Result<std::vector<CapturedPacket>> read_capture(ConstBytes file);

// A pcap file with times in nanoseconds. Errors: the packets are not all of one link type.
Result<std::vector<uint8_t>> write_pcap(std::span<const CapturedPacket> packets);

}  // namespace skerry::ctl
