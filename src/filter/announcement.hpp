// An announcement in a packet, written anew: with another address or port, and so perhaps longer or shorter.
//
// Read first: nf_nat_ftp.c; nf_nat_helper.c.
#pragma once

#include "filter/ftp_lines.hpp"
#include "filter/packet.hpp"

namespace skerry::filter {

// In the same form as it was. `address` as in a Tuple.
class FtpText {
 public:
  FtpText(FtpForm form, bool v6, const std::array<uint8_t, 16>& address, uint16_t port);
  ConstBytes bytes() const { return {text_.data(), length_}; }

 private:
  void add(char character) { text_[length_++] = static_cast<uint8_t>(character); }
  void add(uint32_t number);
  void add_v6(const std::array<uint8_t, 16>& address);

  std::array<uint8_t, 64> text_;  // "|2|", 39 characters of an address, "|65535|"
  size_t length_ = 0;
};

// By so much an announcement in a packet of IPv4 can grow: 0,0,0,0,0,0 to 255,255,255,255,255,255.
inline constexpr uint32_t kMostGrowth = 12;

// `bytes` bytes of a TCP segment's payload, from `begin` on, become `text`; with the lengths and checksums
// around them. `transport`: where its TCP header lies. False: the packet lacks room, and nothing else has
// changed.
bool replace_text(Packet& packet, size_t transport, size_t begin, size_t bytes, ConstBytes text);

}  // namespace skerry::filter
