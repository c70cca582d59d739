#include "resolver/words.hpp"

#include <algorithm>

namespace skerry::resolver {
namespace {

enum class Kind : uint8_t { reply = 1, allow, refused };

constexpr size_t kAskerBytes = 6, kReplyBytes = 2 + kAskerBytes, kAllowBytes = 9;
constexpr uint8_t kIsUdp = 1, kIsLast = 2;
constexpr uint8_t kTcp = 6, kUdp = 17;

void write_asker(const Asker& asker, uint8_t* at) {
  store_be32(at, asker.address);
  store_be16(at + 4, asker.port);
}
Asker read_asker(const uint8_t* at) {
  return {load_be32(at), load_be16(at + 4)};
}

ConstBytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
std::string_view text_of(ConstBytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

size_t append(ConstBytes bytes, size_t at, uint8_t (&room)[kWordsMax]) {
  const size_t length = std::min(bytes.size(), kWordsMax - at);
  if (length > 0) std::memcpy(room + at, bytes.data(), length);
  return at + length;
}

}  // namespace

ConstBytes write_asked(const Asked& asked, uint8_t (&room)[kWordsMax]) {
  write_asker(asked.asker, room);
  return {room, append(asked.message, kAskerBytes, room)};
}

std::optional<Asked> read_asked(ConstBytes bytes) {
  if (bytes.size() < kAskerBytes) return std::nullopt;
  return Asked{read_asker(bytes.data()), bytes.subspan(kAskerBytes)};
}

ConstBytes write_told(const Told& told, uint8_t (&room)[kWordsMax]) {
  if (const auto* reply = std::get_if<Reply>(&told)) {
    room[0] = static_cast<uint8_t>(Kind::reply);
    room[1] = reply->leads;
    write_asker(reply->asker, room + 2);
    return {room, append(reply->message, kReplyBytes, room)};
  }
  if (const auto* allow = std::get_if<Allow>(&told)) {
    room[0] = static_cast<uint8_t>(Kind::allow);
    store_be16(room + 1, allow->port.port);
    room[3] = static_cast<uint8_t>((allow->port.udp ? kIsUdp : 0) | (allow->last ? kIsLast : 0));
    store_be32(room + 4, allow->seconds);
    room[8] = static_cast<uint8_t>(allow->addresses.size() / 4);
    return {room, append(bytes_of(allow->name), append(allow->addresses, kAllowBytes, room), room)};
  }
  const auto& refused = std::get<RefusedName>(told);
  room[0] = static_cast<uint8_t>(Kind::refused);
  room[1] = static_cast<uint8_t>(refused.why);
  return {room, append(bytes_of(refused.name), 2, room)};
}

std::optional<Told> read_told(ConstBytes bytes) {
  if (bytes.empty()) return std::nullopt;
  switch (static_cast<Kind>(bytes[0])) {
    case Kind::reply:
      if (bytes.size() < kReplyBytes || bytes[1] > 1) return std::nullopt;
      return Reply{read_asker(&bytes[2]), bytes.subspan(kReplyBytes), bytes[1] == 1};
    case Kind::allow: {
      if (bytes.size() < kAllowBytes || bytes[3] > (kIsUdp | kIsLast)) return std::nullopt;
      const ConstBytes rest = bytes.subspan(kAllowBytes);
      const size_t addresses = size_t{4} * bytes[8];
      if (addresses > rest.size()) return std::nullopt;
      return Allow{{load_be16(&bytes[1]), (bytes[3] & kIsUdp) != 0},
                   load_be32(&bytes[4]),
                   rest.first(addresses),
                   (bytes[3] & kIsLast) != 0,
                   text_of(rest.subspan(addresses))};
    }
    case Kind::refused:
      if (bytes.size() < 2 || bytes[1] > static_cast<uint8_t>(NoAnswer::unanswered)) return std::nullopt;
      return RefusedName{static_cast<NoAnswer>(bytes[1]), text_of(bytes.subspan(2))};
  }
  return std::nullopt;
}

void write_allow_key(Ipv4Address address, AllowedPort port, uint8_t (&key)[kAllowKeyBytes]) {
  std::memset(key, 0, sizeof key);
  key[0] = port.udp ? kUdp : kTcp;
  store_be32(key + 4, address);
  store_be16(key + 8, port.port);
}

}  // namespace skerry::resolver
