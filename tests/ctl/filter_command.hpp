// The command with files of rules, and captures of the packets that a test makes.
#pragma once

#include <fstream>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "fake_supervisor.hpp"

namespace skerry::ctl {

class FilterCommand : public WithCommand {
 protected:
  std::string file(const std::string& name, const std::string& content) {
    std::ofstream(folder_ + "/" + name, std::ios::binary) << content;
    return folder_ + "/" + name;
  }
  Ended check(const std::string& rules) { return skerry({"filter", "check", file("r.nft", rules)}); }
};

// One datagram over IPv4, raw, to a port.
inline std::string packet(uint16_t port, uint8_t last_source_byte = 1) {
  std::string bytes("\x45\0\0\x1c\0\1\0\0\x40\x11\0\0\x0a\0\0\1\x0a\0\0\2\x13\x88\0\0\0\x08\0\0", 28);
  bytes[15] = static_cast<char>(last_source_byte);
  store_be16(reinterpret_cast<uint8_t*>(bytes.data()) + 22, port);
  return bytes;
}

inline std::string capture(const std::vector<std::string>& packets, uint32_t link = 101) {
  const auto word = [](uint32_t value) { return std::string(reinterpret_cast<const char*>(&value), 4); };
  std::string file = word(0xa1b2c3d4) + word(4 << 16 | 2) + word(0) + word(0) + word(65535) + word(link);
  for (const std::string& each : packets) {
    const auto length = static_cast<uint32_t>(each.size());
    file += word(1) + word(0) + word(length) + word(length) + each;
  }
  return file;
}

}  // namespace skerry::ctl
