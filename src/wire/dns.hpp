// DNS messages (RFC 1035 section 4): a question out and an answer in, for who asks; a question in and a reply
// out, for who is asked. Both come from anybody, so everything in them is bounded: names by 255 bytes and by
// jumps, records by the message. Fuzzed by fuzz/resolver.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/bytes.hpp"
#include "wire/address.hpp"

namespace skerry {

// A name in wire form without compression, its labels in lower case (RFC 1035 section 3.1, RFC 4343).
struct DnsName {
  std::array<uint8_t, 255> bytes{};
  size_t length = 0;  // with the root's zero byte; 0 = no name

  friend bool operator==(const DnsName& a, const DnsName& b) {
    return a.length == b.length && std::memcmp(a.bytes.data(), b.bytes.data(), a.length) == 0;
  }
};

// From "www.example.org" or "www.example.org."; false if it is no domain name.
bool to_dns_name(std::string_view text, DnsName& name);
// Writes "www.example.org" and a zero byte; `room` of 256 takes every name. The length without the zero byte.
// A dot within a label becomes "?".
size_t to_text(const DnsName& name, char* text, size_t room);
// Whether a program may be told that a host is called so: letters, digits, '-' and '_', none of the first '-'
// (glibc's res_hnok). A label may hold any byte, and whoever owns it would else write line ends into logs,
// escape sequences to terminals, and dots that look like another's domain. The root, which has no text, is
// none.
bool is_host_name(const DnsName& name);

// The name that an IPv4 address has, to be asked what it points to (RFC 1035 section 3.5).
DnsName name_of_address(Ipv4Address address);

inline constexpr size_t kQuestionMax = 12 + 255 + 4;

// What is asked of a name: its IPv4 addresses (A), or what it points to (PTR).
enum class DnsType : uint16_t { address = 1, pointer = 12 };

// A recursive question, of class IN. Returns the message's length.
size_t write_question(uint16_t id, const DnsName& name, DnsType type, uint8_t (&message)[kQuestionMax]);

inline constexpr uint16_t kDnsClassIn = 1;
inline constexpr size_t kAddressesMax = 32;

struct DnsAnswer {
  enum class Kind {
    not_ours,   // another id, another question, or not a DNS answer: wait for the next message
    addresses,  // there is at least one
    pointer,    // `canonical` is what the name points to
    no_data,    // the name exists but has none of these
    alias,      // only a CNAME was told: ask again for `canonical`
    no_name,    // NXDOMAIN
    cut,        // not all of it fitted: to be asked for again over a stream (RFC 7766 section 5)
    failure,    // the server could not or would not answer
  };
  Kind kind = Kind::not_ours;
  std::array<Ipv4Address, kAddressesMax> addresses{};
  size_t count = 0;
  DnsName canonical;   // where the chain of aliases ended, or that which was pointed to
  uint32_t ttl_s = 0;  // the shortest of the records that led to the addresses or the alias
};

// Whether a message answers a question that a program wrote itself (res_send(3)).
bool is_answer_to(ConstBytes message, ConstBytes question);

DnsAnswer read_answer(ConstBytes message, uint16_t id, const DnsName& question, DnsType type);

// --- for who is asked

struct DnsQuestion {
  uint16_t id = 0;
  DnsName name;
  uint16_t type = 0, class_ = 0;
  size_t bytes = 0;  // of the message, up to the end of the question
};

// None if it is not exactly one question. What follows it (RFC 6891 options) is passed over.
std::optional<DnsQuestion> read_question(ConstBytes message);

enum class DnsCode : uint8_t { no_error = 0, server_failure = 2, no_name = 3, refused = 5 };  // RCODE

inline constexpr size_t kReplyMax = 512;  // what everybody takes by UDP (RFC 1035 section 4.2.1)

// Answers the question that `query` consists of, in its own spelling, with addresses that hold for `ttl_s`;
// those that do not fit are left out. Returns the message's length.
size_t write_reply(ConstBytes query, DnsCode code, std::span<const Ipv4Address> addresses, uint32_t ttl_s,
                   uint8_t (&reply)[kReplyMax]);

}  // namespace skerry
