#include "ctl/filter_bench.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "wire/address_text.hpp"
#include "wire/arp.hpp"
#include "wire/ethernet.hpp"

namespace skerry::ctl {

namespace {

using filter::Hook;

constexpr size_t kEthernetBytes = EthernetHeader::kBytes;
constexpr auto kIpv4 = static_cast<uint16_t>(EtherType::kIpv4), kArp = static_cast<uint16_t>(EtherType::kArp),
               kIpv6 = static_cast<uint16_t>(EtherType::kIpv6);
constexpr size_t kRoom = 64;                                  // more than an announcement grows
constexpr uint8_t kHost = 0, kBroadcast = 1, kMulticast = 2;  // PACKET_*

size_t missing_of(const CapturedPacket& captured) {
  return captured.original_bytes - std::min<size_t>(captured.original_bytes, captured.bytes.size());
}

bool has_link(const CapturedPacket& captured) {
  return captured.link == CaptureLink::ethernet && captured.bytes.size() >= kEthernetBytes;
}

// PACKET_* of a frame that comes.
uint8_t type_of(ConstBytes frame) {
  if (std::count(frame.begin(), frame.begin() + 6, 0xff) == 6) return kBroadcast;
  return (frame[0] & 1) != 0 ? kMulticast : kHost;
}

// Finds the packet behind its link header, in `bytes`, which may be its beginning; false if there is none of
// IP.
bool read(const CapturedPacket& captured, Bytes bytes, filter::Packet& packet) {
  if (captured.link == CaptureLink::ethernet) {
    if (!has_link(captured)) return false;
    const uint16_t type = load_be16(bytes.data() + 12);
    if (type != kIpv4 && type != kIpv6) return false;
    packet.link = bytes.first(kEthernetBytes);
    packet.type = type_of(bytes);
    bytes = bytes.subspan(kEthernetBytes);
  }
  return packet.read(bytes, bytes.size() + missing_of(captured));
}

// The same for ARP, whose lengths Linux looks at before it asks rules (arp_rcv()).
bool read_arp(const CapturedPacket& captured, Bytes bytes, filter::Packet& packet) {
  if (!has_link(captured) || load_be16(bytes.data() + 12) != kArp) return false;
  packet.link = bytes.first(kEthernetBytes);
  packet.type = type_of(bytes);
  bytes = bytes.subspan(kEthernetBytes);
  if (bytes.size() < ArpPacket::kBytes || bytes[4] != 6 || bytes[5] != 4) return false;
  packet.read_arp(bytes, bytes.size() + missing_of(captured), false);
  return true;
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

bool Bench::judge(filter::Packet& packet, Hook hook, bool leaves, Fate& fate) {
  packet.in = leaves ? nullptr : &network_;
  packet.out = leaves ? &network_ : nullptr;
  if (leaves) packet.type = kHost;
  fate.hook = hook;
  fate.judgement = engine_.judge(hook, packet, now_);
  if (!fate.judgement.accepted) fate.kind = Fate::Kind::dropped;
  if (packet.translated) fate.translated.assign(packet.bytes.begin(), packet.bytes.end());
  return fate.judgement.accepted;
}

// The whole frame at the link; true if it passes, or no rules stand there. What is known of it is in
// `packet`.
bool Bench::judge_frame(const CapturedPacket& captured, Bytes bytes, bool leaves, filter::Packet& packet,
                        Fate& fate) {
  const Hook hook = leaves ? Hook::egress : Hook::ingress;
  if (!has_link(captured) || !engine_.judges(hook, filter::Realm::link)) return true;
  filter::Packet frame;
  frame.type = type_of(bytes);
  frame.mark = packet.mark;
  frame.read_frame(bytes, bytes.size() + missing_of(captured), leaves);
  const bool passes = judge(frame, hook, leaves, fate);
  packet.mark = frame.mark;
  packet.tracked = frame.tracked;
  if (frame.translated) fate.translated.assign(bytes.begin() + kEthernetBytes, bytes.end());
  return passes;
}

Fate Bench::pass(const CapturedPacket& captured) {
  now_ = std::max(now_, captured.at);
  filter::Packet packet;
  std::vector<uint8_t> memory(captured.bytes.begin(), captured.bytes.end());
  memory.resize(memory.size() + kRoom);
  const Bytes copy = Bytes(memory).first(captured.bytes.size());
  const bool ip = read(captured, copy, packet), arp = !ip && read_arp(captured, copy, packet);
  const size_t came = packet.bytes.size();
  const bool leaves = is_ours(captured, false) || ((ip || arp) && is_ours(packet, false));
  const bool comes = addresses_.empty() || !ip || is_ours(captured, true) || is_ours(packet, true);
  if (!leaves && !comes) return {Fate::Kind::foreign};
  const bool at_link =
      has_link(captured) && engine_.judges(leaves ? Hook::egress : Hook::ingress, filter::Realm::link);
  if (!at_link && !ip && !(arp && engine_.judges(filter::Realm::arp))) return {Fate::Kind::not_ip};
  Fate fate{};
  steps_.clear();
  if (steps_.capacity() > 0) engine_.follow(&steps_);
  if ((leaves || judge_frame(captured, copy, false, packet, fate)) &&
      judge_packet(captured, copy, ip, arp, leaves, packet, fate) && leaves)
    judge_frame(captured, Bytes(memory).first(copy.size() + packet.bytes.size() - came), true, packet, fate);
  if (!steps_.empty()) fate.decided = steps_.back();
  return fate;
}

// What is in the frame, at its own hooks. Rules at the link may have made it another.
bool Bench::judge_packet(const CapturedPacket& captured, Bytes bytes, bool ip, bool arp, bool leaves,
                         filter::Packet& packet, Fate& fate) {
  if (arp) {
    packet.read_arp(bytes.subspan(kEthernetBytes), bytes.size() - kEthernetBytes + missing_of(captured),
                    leaves);
    return judge(packet, leaves ? Hook::output : Hook::input, leaves, fate);
  }
  if (!ip) return true;
  if (!read(captured, bytes, packet)) {
    fate.kind = Fate::Kind::not_ip;
    return false;
  }
  packet.address = own_address(packet);
  packet.room = kRoom;
  return leaves ? judge(packet, Hook::output, leaves, fate) && judge(packet, Hook::postrouting, leaves, fate)
                : judge(packet, Hook::prerouting, leaves, fate) && judge(packet, Hook::input, leaves, fate);
}

bool Bench::is_ours(const filter::Packet& packet, bool destination) const {
  constexpr size_t kArpSender = 14;
  const size_t size = packet.v6 ? 16 : 4;
  const size_t source = packet.realm == filter::Realm::arp ? kArpSender : packet.v6 ? 8 : 12;
  return is_ours(packet.bytes.subspan(source + (destination ? size : 0), size));
}

bool Bench::is_ours(const CapturedPacket& captured, bool destination) const {
  constexpr size_t kMacBytes = 6;
  return has_link(captured) && is_ours(captured.bytes.subspan(destination ? 0 : kMacBytes, kMacBytes));
}

bool Bench::is_ours(ConstBytes address) const {
  return std::any_of(addresses_.begin(), addresses_.end(), [&](const std::vector<uint8_t>& ours) {
    return std::equal(ours.begin(), ours.end(), address.begin(), address.end());
  });
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
    if (const auto mac = parse_mac(text)) {
      bytes.assign(mac->bytes.begin(), mac->bytes.end());
    } else if (::inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) {
      bytes.resize(4);
    } else if (::inet_pton(AF_INET6, text.c_str(), bytes.data()) != 1) {
      return Error{fmt::format("\"{}\" is no address: write 10.77.0.2, fd00::2 or 02:5b:0a:4d:00:02", text)};
    }
    addresses.push_back(std::move(bytes));
  }
  return addresses;
}

namespace {

std::string frame_text(const CapturedPacket& captured) {
  if (!has_link(captured)) return "";
  const ConstBytes bytes = captured.bytes;
  const size_t length = captured.original_bytes - kEthernetBytes;
  EthernetHeader header;
  header.read(bytes);
  const auto arp =
      header.type == EtherType::kArp ? ArpPacket::parse(bytes.subspan(kEthernetBytes)) : std::nullopt;
  const auto address = [](Ipv4Address a) {
    return fmt::format("{}.{}.{}.{}", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
  };
  if (arp)
    return fmt::format("arp {} {} > {}, {} bytes",
                       arp->operation == ArpOperation::kRequest ? "request" : "reply", address(arp->sender),
                       address(arp->target), length);
  return fmt::format("frame {:02x} > {:02x}, type {:#06x}, {} bytes", fmt::join(header.source.bytes, ":"),
                     fmt::join(header.destination.bytes, ":"), static_cast<uint16_t>(header.type), length);
}

}  // namespace

std::string packet_text(const CapturedPacket& captured) {
  constexpr uint8_t kTcp = 6, kUdp = 17;
  filter::Packet packet;
  std::vector<uint8_t> copy(captured.bytes.begin(), captured.bytes.end());
  if (!read(captured, copy, packet)) return frame_text(captured);
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
