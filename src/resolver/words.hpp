// What a stack and its resolver say to each other, each a datagram of their SOCK_SEQPACKET pair. The stack
// passes on what its program asked, and who asked; the resolver, which alone reads DNS, says what to reply,
// and before that which addresses may be spoken to.
#pragma once

#include <optional>
#include <string_view>
#include <variant>

#include "base/bytes.hpp"
#include "wire/address.hpp"
#include "wire/dns.hpp"

namespace skerry::resolver {

// Where the program's resolv.conf(5) leads: an address of the stack itself, so that a question leaves
// nothing.
inline constexpr Ipv4Address kResolverAddress = 0x7f000035;  // 127.0.0.53
inline constexpr uint16_t kResolverPort = 53;

inline constexpr std::string_view kAllowTable = "skerry_allow", kAllowSet = "allowed";

// No address is allowed for longer without being said again.
inline constexpr uint32_t kAllowedAtMost = 3660;

// A port of an allowed name.
struct AllowedPort {
  uint16_t port = 0;
  bool udp = false;

  friend bool operator==(const AllowedPort&, const AllowedPort&) = default;
};

// A socket of the program.
struct Asker {
  Ipv4Address address = 0;
  uint16_t port = 0;

  friend bool operator==(const Asker&, const Asker&) = default;
};

struct Asked {
  Asker asker;
  ConstBytes message;  // DNS
};

struct Reply {
  Asker asker;
  ConstBytes message;  // DNS
  bool leads = false;  // to addresses that were allowed by the words before it: without those it is nothing
};
// Addresses of a name, for one of its ports.
struct Allow {
  AllowedPort port;
  uint32_t seconds = 0;  // from now on
  ConstBytes addresses;  // four bytes each, network order; at most kAddressesMax
  bool last = true;      // of its ports
  std::string_view name = {};
};
enum class NoAnswer : uint8_t { not_allowed, not_public, unanswered };
struct RefusedName {
  NoAnswer why = NoAnswer::not_allowed;
  std::string_view name;  // as the program spelled it, without what no terminal shall see
};
using Told = std::variant<Reply, Allow, RefusedName>;

inline constexpr size_t kWordsMax = 6 + kReplyMax + 512;

// Both write into `room` and return what they wrote; what does not fit is cut.
ConstBytes write_asked(const Asked& asked, uint8_t (&room)[kWordsMax]);
ConstBytes write_told(const Told& told, uint8_t (&room)[kWordsMax]);

// None if it is nothing that the other would say. What is read points into `bytes`.
std::optional<Asked> read_asked(ConstBytes bytes);
std::optional<Told> read_told(ConstBytes bytes);

// What the set's elements are looked for by: inet_proto . ipv4_addr . inet_service, each in words of 32 bits.
inline constexpr size_t kAllowKeyBytes = 12;
void write_allow_key(Ipv4Address address, AllowedPort port, uint8_t (&key)[kAllowKeyBytes]);

}  // namespace skerry::resolver
