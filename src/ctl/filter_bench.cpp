#include "ctl/filter_bench.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "wire/ethernet.hpp"

namespace skerry::ctl {

namespace {

using filter::Hook;

constexpr size_t kEthernetBytes = EthernetHeader::kBytes;
constexpr uint8_t kHost = 0, kBroadcast = 1, kMulticast = 2;  // PACKET_*

// Finds the packet behind its link header, in `bytes`, which may be its beginning; false if there is none of
// IP.
bool read(const CapturedPacket& captured, Bytes bytes, filter::Packet& packet) {
  if (captured.link == CaptureLink::ethernet) {
    if (bytes.size() < kEthernetBytes) return false;
    const uint16_t type = load_be16(bytes.data() + 12);
    if (type != 0x0800 && type != 0x86dd) return false;
    packet.link = bytes.first(kEthernetBytes);
    bytes = bytes.subspan(kEthernetBytes);
    if ((packet.link[0] & 1) != 0) packet.type = kMulticast;
    if (std::count(packet.link.begin(), packet.link.begin() + 6, 0xff) == 6) packet.type = kBroadcast;
  }
  const size_t missing =
      captured.original_bytes - std::min<size_t>(captured.original_bytes, captured.bytes.size());
  return packet.read(bytes, bytes.size() + missing);
}

Result<std::vector<uint8_t>> read_file(const std::string& path) {
  std::error_code error;
  const bool plain = std::filesystem::is_regular_file(path, error);
  std::ifstream stream(path, std::ios::binary);
  if (!plain || !stream)
    return Error{fmt::format("cannot read {}: {}", path, plain ? std::strerror(errno) : "it is no file")};
  return std::vector<uint8_t>(std::istreambuf_iterator<char>(stream), {});
}

}  // namespace

const char* kind_name(Fate::Kind kind) {
  switch (kind) {
    case Fate::Kind::accepted:
      return "accept";
    case Fate::Kind::dropped:
      return "drop";
    case Fate::Kind::foreign:
      return "foreign";
    case Fate::Kind::not_ip:
      return "not ip";
  }
  return "";
}

Bench::Bench(filter::Ruleset ruleset, TimeNs begin, std::vector<std::vector<uint8_t>> addresses)
    : engine_(std::move(ruleset), begin), now_(begin), addresses_(std::move(addresses)) {
  if (!engine_.tracks()) return;
  conntrack_ = std::make_unique<filter::Conntrack>(SipKey{});
  engine_.track_with(conntrack_.get());
}

Fate Bench::pass(const CapturedPacket& captured) {
  now_ = std::max(now_, captured.at);
  filter::Packet packet;
  std::vector<uint8_t> copy(captured.bytes.begin(), captured.bytes.end());
  if (!read(captured, copy, packet)) return {Fate::Kind::not_ip};
  const bool leaves = is_ours(packet, false) && !addresses_.empty();
  if (!addresses_.empty() && !leaves && !is_ours(packet, true)) return {Fate::Kind::foreign};
  if (leaves) packet.type = kHost;
  packet.address = own_address(packet);
  Fate fate{};
  steps_.clear();
  if (steps_.capacity() > 0) engine_.follow(&steps_);
  for (const Hook hook :
       leaves ? std::array{Hook::output, Hook::postrouting} : std::array{Hook::prerouting, Hook::input}) {
    packet.in = leaves ? nullptr : &network_;
    packet.out = leaves ? &network_ : nullptr;
    fate.hook = hook;
    fate.judgement = engine_.judge(hook, packet, now_);
    if (!fate.judgement.accepted) {
      fate.kind = Fate::Kind::dropped;
      break;
    }
  }
  if (!steps_.empty()) fate.decided = steps_.back();
  if (packet.translated) fate.translated.assign(packet.bytes.begin(), packet.bytes.end());
  return fate;
}

bool Bench::is_ours(const filter::Packet& packet, bool destination) const {
  const size_t size = packet.v6 ? 16 : 4;
  const ConstBytes address = packet.bytes.subspan((packet.v6 ? 8U : 12U) + (destination ? size : 0), size);
  for (const std::vector<uint8_t>& ours : addresses_) {
    if (std::equal(ours.begin(), ours.end(), address.begin(), address.end())) return true;
  }
  return false;
}

// What redirect and masquerade translate to: the first that was given; where all packets are for the stack,
// what they are sent to.
std::array<uint8_t, 16> Bench::own_address(const filter::Packet& packet) const {
  std::array<uint8_t, 16> address{};
  const size_t size = packet.v6 ? 16 : 4;
  const auto first = std::find_if(addresses_.begin(), addresses_.end(),
                                  [&](const auto& ours) { return ours.size() == size; });
  if (first != addresses_.end()) std::copy(first->begin(), first->end(), address.begin());
  if (addresses_.empty()) std::copy_n(&packet.bytes[packet.v6 ? 24 : 16], size, address.begin());
  return address;
}

Result<Capture> open_capture(const std::string& path) {
  Result<std::vector<uint8_t>> file = read_file(path);
  if (!file) return file.error();
  Capture capture{std::move(*file), {}};
  Result<std::vector<CapturedPacket>> packets = read_capture(capture.file);
  if (!packets) return Error{fmt::format("{}: {}", path, packets.error().message)};
  capture.packets = std::move(*packets);
  return capture;
}

Result<std::vector<std::vector<uint8_t>>> parse_addresses(const std::vector<std::string>& texts) {
  std::vector<std::vector<uint8_t>> addresses;
  for (const std::string& text : texts) {
    std::vector<uint8_t> bytes(16);
    if (::inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) {
      bytes.resize(4);
    } else if (::inet_pton(AF_INET6, text.c_str(), bytes.data()) != 1) {
      return Error{fmt::format("\"{}\" is no address: write 10.77.0.2 or fd00::2", text)};
    }
    addresses.push_back(std::move(bytes));
  }
  return addresses;
}

std::string packet_text(const CapturedPacket& captured) {
  constexpr uint8_t kTcp = 6, kUdp = 17;
  filter::Packet packet;
  std::vector<uint8_t> copy(captured.bytes.begin(), captured.bytes.end());
  if (!read(captured, copy, packet)) return "";
  const uint8_t* const bytes = packet.bytes.data();
  const size_t first = packet.v6 ? 8 : 12, size = packet.v6 ? 16 : 4;
  char source[INET6_ADDRSTRLEN] = {}, destination[INET6_ADDRSTRLEN] = {};
  const int family = packet.v6 ? AF_INET6 : AF_INET;
  ::inet_ntop(family, bytes + first, source, sizeof source);
  ::inet_ntop(family, bytes + first + size, destination, sizeof destination);
  const bool ports = packet.has_transport && packet.fragment == 0 &&
                     (packet.protocol == kTcp || packet.protocol == kUdp) &&
                     packet.bytes.size() >= packet.transport + 4U;
  if (!ports)
    return fmt::format("protocol {} {} > {}, {} bytes", packet.protocol, source, destination, packet.length);
  return fmt::format("{} {}:{} > {}:{}, {} bytes", packet.protocol == kTcp ? "tcp" : "udp", source,
                     load_be16(bytes + packet.transport), destination,
                     load_be16(bytes + packet.transport + 2), packet.length);
}

}  // namespace skerry::ctl
