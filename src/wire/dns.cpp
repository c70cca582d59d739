#include "wire/dns.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>

namespace skerry {
namespace {

constexpr size_t kHeaderBytes = 12;
constexpr uint16_t kTypeCname = 5;
constexpr uint16_t kOpcode = 0x7800, kRecursionDesired = 0x0100;  // in the second word
constexpr int kAliasesMax = 8;                                    // steps of a CNAME chain that are followed

uint8_t lower(uint8_t c) {
  return c >= 'A' && c <= 'Z' ? static_cast<uint8_t>(c + 32) : c;
}

// Reads what may be compressed (RFC 1035 section 4.1.4). A pointer must point before the place where it
// stands or where the last one led, so there is no loop. Returns the offset behind the name, 0 if it is
// malformed.
size_t read_name(ConstBytes message, size_t at, DnsName& name) {
  size_t behind = 0;  // set by the first pointer
  size_t limit = at;
  name.length = 0;
  for (;;) {
    if (at >= message.size()) return 0;
    const uint8_t length = message[at];
    if ((length & 0xc0) == 0xc0) {
      if (at + 1 >= message.size()) return 0;
      const size_t target = static_cast<size_t>(length & 0x3f) << 8 | message[at + 1];
      if (behind == 0) behind = at + 2;
      if (target >= limit) return 0;
      limit = at = target;
      continue;
    }
    if ((length & 0xc0) != 0 || at + 1 + length > message.size()) return 0;
    if (name.length + 1 + length > name.bytes.size()) return 0;
    name.bytes[name.length++] = length;
    for (size_t i = 0; i < length; ++i) name.bytes[name.length++] = lower(message[at + 1 + i]);
    at += 1u + length;
    if (length == 0) return behind != 0 ? behind : at;
  }
}

struct Record {
  DnsName owner;
  uint16_t type, class_;
  uint32_t ttl_s;
  size_t data, data_bytes;
};

// Returns the offset behind the record, 0 if it is malformed.
size_t read_record(ConstBytes message, size_t at, Record& record) {
  at = read_name(message, at, record.owner);
  if (at == 0 || message.size() - at < 10) return 0;
  record.type = load_be16(&message[at]);
  record.class_ = load_be16(&message[at + 2]);
  record.ttl_s = load_be32(&message[at + 4]);
  if (record.ttl_s >> 31 != 0) record.ttl_s = 0;  // RFC 2181 section 8
  record.data_bytes = load_be16(&message[at + 8]);
  record.data = at + 10;
  if (message.size() - record.data < record.data_bytes) return 0;
  return record.data + record.data_bytes;
}

// One pass over the answers: what `answer.canonical` has, or one more step of its chain of aliases. False if
// there was such a step. `pointer` is the first that there is.
bool collect(ConstBytes message, size_t at, uint16_t count, DnsType type, DnsAnswer& answer,
             DnsName& pointer) {
  for (uint16_t i = 0; i < count; ++i) {
    Record record;
    at = read_record(message, at, record);
    if (at == 0) return true;
    if (record.class_ != kDnsClassIn || !(record.owner == answer.canonical)) continue;
    const bool is_wanted = record.type == static_cast<uint16_t>(type);
    if (is_wanted && type == DnsType::address && record.data_bytes == 4 && answer.count < kAddressesMax) {
      answer.addresses[answer.count++] = load_be32(&message[record.data]);
      answer.ttl_s = std::min(answer.ttl_s, record.ttl_s);
    }
    const bool is_alias = record.type == kTypeCname;
    DnsName target;
    if (!is_alias && !(is_wanted && type == DnsType::pointer)) continue;
    if (read_name(message, record.data, target) == 0) continue;
    if (is_alias) {
      answer.canonical = target;
      answer.ttl_s = std::min(answer.ttl_s, record.ttl_s);
      return false;
    }
    if (pointer.length == 0) pointer = target;
  }
  return true;
}

}  // namespace

bool to_dns_name(std::string_view text, DnsName& name) {
  if (text.ends_with('.')) text.remove_suffix(1);
  name.length = 0;
  if (text.empty() || text.size() > 253) return false;
  while (!text.empty()) {
    const std::string_view label(text.data(), std::min(text.find('.'), text.size()));
    if (label.empty() || label.size() > 63) return false;
    name.bytes[name.length++] = static_cast<uint8_t>(label.size());
    for (const char c : label) {
      if (static_cast<unsigned char>(c) <= ' ') return false;
      name.bytes[name.length++] = lower(static_cast<uint8_t>(c));
    }
    text.remove_prefix(label.size());
    if (text == ".") return false;
    if (!text.empty()) text.remove_prefix(1);
  }
  name.bytes[name.length++] = 0;
  return true;
}

size_t to_text(const DnsName& name, char* text, size_t room) {
  size_t used = 0;
  for (size_t at = 0; at < name.length && name.bytes[at] != 0;) {
    const size_t length = name.bytes[at++];
    if (used + length + 2 > room) break;
    if (used != 0) text[used++] = '.';
    for (size_t i = 0; i < length; ++i) {
      const auto c = static_cast<char>(name.bytes[at + i]);
      text[used++] = c == '.' ? '?' : c;  // it would look like two labels
    }
    at += length;
  }
  if (room != 0) text[used] = 0;
  return used;
}

bool is_host_name(const DnsName& name) {
  if (name.length < 2 || name.bytes[1] == '-') return false;
  for (size_t at = 0; at < name.length && name.bytes[at] != 0;)
    for (size_t left = name.bytes[at++]; left > 0; --left) {
      const uint8_t c = name.bytes[at++];
      const bool is_allowed = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
      if (!is_allowed) return false;
    }
  return true;
}

DnsName name_of_address(Ipv4Address address) {
  char text[sizeof "255.255.255.255.in-addr.arpa"];
  char* at = text;
  for (uint32_t shift = 0; shift < 32; shift += 8) {
    at = std::to_chars(at, std::end(text), address >> shift & 255).ptr;
    *at++ = '.';
  }
  constexpr std::string_view kBelow = "in-addr.arpa";
  at = std::copy(kBelow.begin(), kBelow.end(), at);
  DnsName name;
  to_dns_name({text, static_cast<size_t>(at - text)}, name);
  return name;
}

size_t write_question(uint16_t id, const DnsName& name, DnsType type, uint8_t (&message)[kQuestionMax]) {
  std::memset(message, 0, kHeaderBytes);
  store_be16(message, id);
  store_be16(message + 2, kRecursionDesired);
  store_be16(message + 4, 1);
  std::memcpy(message + 12, name.bytes.data(), name.length);
  store_be16(message + 12 + name.length, static_cast<uint16_t>(type));
  store_be16(message + 14 + name.length, kDnsClassIn);
  return 16 + name.length;
}

bool is_answer_to(ConstBytes message, ConstBytes question) {
  if (message.size() < 12 || question.size() < 12) return false;
  const bool response = message[2] & 0x80;
  const uint16_t count = load_be16(&question[4]);
  if (!response || load_be16(&message[0]) != load_be16(&question[0]) || load_be16(&message[4]) != count)
    return false;
  if (count != 1) return true;  // no question as there are others
  DnsName asked, answered;
  const size_t of_question = read_name(question, 12, asked), at = read_name(message, 12, answered);
  return of_question != 0 && at != 0 && question.size() - of_question >= 4 && message.size() - at >= 4 &&
         asked == answered && std::memcmp(&question[of_question], &message[at], 4) == 0;
}

DnsAnswer read_answer(ConstBytes message, uint16_t id, const DnsName& question, DnsType type) {
  DnsAnswer answer;
  if (message.size() < 12 || load_be16(&message[0]) != id) return answer;
  const uint16_t flags = load_be16(&message[2]);
  const bool response = flags & 0x8000;
  const bool is_query_opcode = (flags & kOpcode) == 0;
  DnsName asked;
  const size_t at = read_name(message, 12, asked);
  if (!response || !is_query_opcode || load_be16(&message[4]) != 1 || at == 0 || message.size() - at < 4 ||
      !(asked == question) || load_be16(&message[at]) != static_cast<uint16_t>(type) ||
      load_be16(&message[at + 2]) != kDnsClassIn)
    return answer;

  const int code = flags & 15;
  answer.canonical = question;
  answer.ttl_s = UINT32_MAX;
  if (code == 3) {
    answer.kind = DnsAnswer::Kind::no_name;
    return answer;
  }
  if (code != 0) {
    answer.kind = DnsAnswer::Kind::failure;
    return answer;
  }
  const uint16_t count = load_be16(&message[6]);
  int steps = 0;
  DnsName pointer;
  while (!collect(message, at + 4, count, type, answer, pointer) && ++steps <= kAliasesMax) {
  }
  if (pointer.length != 0) answer.canonical = pointer;
  const bool truncated = flags & 0x0200;
  answer.kind = truncated             ? DnsAnswer::Kind::cut
                : answer.count > 0    ? DnsAnswer::Kind::addresses
                : pointer.length > 0  ? DnsAnswer::Kind::pointer
                : steps > kAliasesMax ? DnsAnswer::Kind::failure
                : steps > 0           ? DnsAnswer::Kind::alias
                                      : DnsAnswer::Kind::no_data;
  return answer;
}

std::optional<DnsQuestion> read_question(ConstBytes message) {
  if (message.size() < kHeaderBytes) return std::nullopt;
  DnsQuestion question;
  question.id = load_be16(&message[0]);
  const uint16_t flags = load_be16(&message[2]);
  const bool response = flags & 0x8000;
  if (response || (flags & kOpcode) != 0 || load_be16(&message[4]) != 1) return std::nullopt;
  const size_t at = read_name(message, kHeaderBytes, question.name);
  // Spelled out: there is no name before it to point to.
  if (at != kHeaderBytes + question.name.length || message.size() - at < 4) return std::nullopt;
  question.type = load_be16(&message[at]);
  question.class_ = load_be16(&message[at + 2]);
  question.bytes = at + 4;
  return question;
}

size_t write_reply(ConstBytes query, DnsCode code, std::span<const Ipv4Address> addresses, uint32_t ttl_s,
                   uint8_t (&reply)[kReplyMax]) {
  constexpr size_t kRecordBytes = 16;
  constexpr uint16_t kResponse = 0x8000, kRecursionAvailable = 0x0080;
  constexpr uint16_t kNameOfQuestion = 0xc000 | kHeaderBytes;
  size_t length = std::min(query.size(), kQuestionMax);
  std::memcpy(reply, query.data(), length);
  const size_t count = std::min(addresses.size(), (kReplyMax - length) / kRecordBytes);
  store_be16(reply + 2, static_cast<uint16_t>(kResponse | (load_be16(reply + 2) & kRecursionDesired) |
                                              kRecursionAvailable | static_cast<uint16_t>(code)));
  store_be16(reply + 6, static_cast<uint16_t>(count));
  store_be32(reply + 8, 0);  // no other sections
  for (size_t i = 0; i < count; ++i, length += kRecordBytes) {
    uint8_t* const record = reply + length;
    store_be16(record, kNameOfQuestion);
    store_be16(record + 2, static_cast<uint16_t>(DnsType::address));
    store_be16(record + 4, kDnsClassIn);
    store_be32(record + 6, ttl_s);
    store_be16(record + 10, 4);
    store_be32(record + 12, addresses[i]);
  }
  return length;
}

}  // namespace skerry
