#include "ctl/capture_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>

namespace skerry::ctl {

namespace {

constexpr uint32_t kPcapMicroseconds = 0xa1b2c3d4, kPcapNanoseconds = 0xa1b23c4d;
constexpr uint32_t kSection = 0x0a0d0d0a, kInterface = 1, kSimplePacket = 3, kEnhancedPacket = 6,
                   kByteOrder = 0x1a2b3c4d;
constexpr uint16_t kResolutionOption = 9;
constexpr uint32_t kMostPacketBytes = 1U << 24;

const Error kDamaged{"the capture is damaged or cut off"};

// Numbers in the order of who wrote them.
struct Numbers {
  bool swapped = false;
  uint16_t u16(const uint8_t* from) const {
    uint16_t value;
    std::memcpy(&value, from, sizeof value);
    return swapped ? __builtin_bswap16(value) : value;
  }
  uint32_t u32(const uint8_t* from) const {
    uint32_t value;
    std::memcpy(&value, from, sizeof value);
    return swapped ? __builtin_bswap32(value) : value;
  }
};

Result<CaptureLink> known_link(uint32_t type) {
  for (const CaptureLink link :
       {CaptureLink::ethernet, CaptureLink::raw_ip, CaptureLink::raw_ipv4, CaptureLink::raw_ipv6}) {
    if (static_cast<uint32_t>(link) == type) return link;
  }
  return Error{fmt::format(
      "the capture is of link type {}: only Ethernet (1) and raw IP (101, 228, 229) are known here", type)};
}

Result<std::vector<CapturedPacket>> read_pcap(ConstBytes file, Numbers numbers, bool nanoseconds) {
  if (file.size() < 24) return kDamaged;
  const Result<CaptureLink> link = known_link(numbers.u32(file.data() + 20) & 0x0fffffff);
  if (!link) return link.error();
  std::vector<CapturedPacket> packets;
  for (file = file.subspan(24); !file.empty();) {
    if (file.size() < 16) return kDamaged;
    const uint64_t seconds = numbers.u32(file.data()), fraction = numbers.u32(file.data() + 4);
    const uint32_t captured = numbers.u32(file.data() + 8);
    const uint32_t original = std::max(captured, numbers.u32(file.data() + 12));
    file = file.subspan(16);
    if (captured > file.size() || captured > kMostPacketBytes) return kDamaged;
    packets.push_back({seconds * kSecond + fraction * (nanoseconds ? 1 : kMicrosecond), *link,
                       file.first(captured), original});
    file = file.subspan(captured);
  }
  return packets;
}

struct CaptureInterface {
  CaptureLink link{};
  uint8_t resolution = 6;   // if_tsresol
  uint32_t most_bytes = 0;  // of a packet
};

// Units of 10^-n seconds, or 2^-n if the highest bit is set.
TimeNs to_ns(uint64_t stamp, uint8_t resolution) {
  if ((resolution & 0x80) != 0) {
    const unsigned bits = resolution & 0x7f;
    return bits >= 64 ? 0 : static_cast<TimeNs>((static_cast<unsigned __int128>(stamp) * kSecond) >> bits);
  }
  for (; resolution < 9; ++resolution) stamp *= 10;
  for (; resolution > 9; --resolution) stamp /= 10;
  return stamp;
}

Result<CaptureInterface> read_interface(ConstBytes body, Numbers numbers) {
  if (body.size() < 8) return kDamaged;
  const Result<CaptureLink> link = known_link(numbers.u16(body.data()));
  if (!link) return link.error();
  CaptureInterface interface { .link = *link, .most_bytes = numbers.u32(body.data() + 4) };
  for (body = body.subspan(8); body.size() >= 4;) {
    const uint16_t option = numbers.u16(body.data()), length = numbers.u16(body.data() + 2);
    const size_t padded = (length + size_t{3}) & ~size_t{3};
    if (padded > body.size() - 4) return kDamaged;
    if (option == kResolutionOption && length >= 1) interface.resolution = body[4];
    body = body.subspan(4 + padded);
  }
  return interface;
}

Result<std::vector<CapturedPacket>> read_pcapng(ConstBytes file) {
  std::vector<CapturedPacket> packets;
  std::vector<CaptureInterface> interfaces;
  Numbers numbers;
  while (!file.empty()) {
    if (file.size() < 12) return kDamaged;
    const bool section = numbers.u32(file.data()) == kSection;
    if (section) {
      uint32_t order;
      std::memcpy(&order, file.data() + 8, sizeof order);
      numbers.swapped = order != kByteOrder;
      if (numbers.u32(file.data() + 8) != kByteOrder) return kDamaged;
      interfaces.clear();
    }
    const uint32_t type = numbers.u32(file.data()), length = numbers.u32(file.data() + 4);
    if (length < 12 || length % 4 != 0 || length > file.size()) return kDamaged;
    const ConstBytes body = file.subspan(8, length - 12);
    file = file.subspan(length);
    if (type == kInterface) {
      const Result<CaptureInterface> interface = read_interface(body, numbers);
      if (!interface) return interface.error();
      interfaces.push_back(*interface);
    } else if (type == kEnhancedPacket) {
      if (body.size() < 20 || numbers.u32(body.data()) >= interfaces.size()) return kDamaged;
      const CaptureInterface& interface = interfaces[numbers.u32(body.data())];
      const uint64_t stamp = uint64_t{numbers.u32(body.data() + 4)} << 32 | numbers.u32(body.data() + 8);
      const uint32_t captured = numbers.u32(body.data() + 12);
      const uint32_t original = std::max(captured, numbers.u32(body.data() + 16));
      if (captured > body.size() - 20) return kDamaged;
      packets.push_back(
          {to_ns(stamp, interface.resolution), interface.link, body.subspan(20, captured), original});
    } else if (type == kSimplePacket) {
      if (body.size() < 4 || interfaces.empty()) return kDamaged;
      const uint32_t original = numbers.u32(body.data());
      const uint32_t most = interfaces[0].most_bytes;
      const uint32_t captured = most != 0 && most < original ? most : original;
      if (captured > body.size() - 4) return kDamaged;
      packets.push_back({0, interfaces[0].link, body.subspan(4, captured), original});
    }
  }
  return packets;
}

}  // namespace

Result<std::vector<CapturedPacket>> read_capture(ConstBytes file) {
  if (file.size() < 4) return Error{"this is no capture (pcap or pcapng)"};
  for (const bool swapped : {false, true}) {
    const Numbers numbers{swapped};
    const uint32_t magic = numbers.u32(file.data());
    if (magic == kPcapMicroseconds || magic == kPcapNanoseconds)
      return read_pcap(file, numbers, magic == kPcapNanoseconds);
  }
  if (Numbers{}.u32(file.data()) == kSection) return read_pcapng(file);
  return Error{"this is no capture (pcap or pcapng)"};
}

Result<std::vector<uint8_t>> write_pcap(std::span<const CapturedPacket> packets) {
  std::vector<uint8_t> file;
  const auto put = [&](const auto... numbers) {
    for (const uint32_t number : {static_cast<uint32_t>(numbers)...}) {
      uint8_t bytes[sizeof number];
      std::memcpy(bytes, &number, sizeof number);
      file.insert(file.end(), bytes, bytes + sizeof number);
    }
  };
  constexpr uint32_t kVersion = 2 | 4 << 16;
  const CaptureLink link = packets.empty() ? CaptureLink::ethernet : packets.front().link;
  put(kPcapNanoseconds, kVersion, 0, 0, kMostPacketBytes, link);
  for (const CapturedPacket& packet : packets) {
    if (packet.link != link) return Error{"its packets are of several kinds of link: one file has one kind"};
    put(packet.at / kSecond, packet.at % kSecond, packet.bytes.size(),
        std::max<size_t>(packet.original_bytes, packet.bytes.size()));
    file.insert(file.end(), packet.bytes.begin(), packet.bytes.end());
  }
  return file;
}

}  // namespace skerry::ctl
