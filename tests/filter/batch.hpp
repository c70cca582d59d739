// Netlink batches written by hand, as libnftables would send them or as nobody should.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "filter/nf_tables.hpp"
#include "filter/ruleset.hpp"

namespace skerry::filter {

using Octets = std::vector<uint8_t>;

inline Octets be32(uint32_t value) {
  Octets bytes(4);
  store_be32(bytes.data(), value);
  return bytes;
}
inline Octets be64(uint64_t value) {
  Octets bytes(8);
  store_be64(bytes.data(), value);
  return bytes;
}
inline Octets text(const std::string& value) {
  Octets bytes(value.begin(), value.end());
  bytes.push_back(0);
  return bytes;
}

inline Octets attribute(uint16_t type, const Octets& content) {
  Octets bytes(4);
  const auto length = static_cast<uint16_t>(4 + content.size());
  std::memcpy(bytes.data(), &length, 2);
  std::memcpy(bytes.data() + 2, &type, 2);
  bytes.insert(bytes.end(), content.begin(), content.end());
  bytes.resize((bytes.size() + 3) & ~size_t{3});
  return bytes;
}

template <class... More>
Octets join(const More&... more) {
  Octets all;
  (all.insert(all.end(), more.begin(), more.end()), ...);
  return all;
}

inline Octets message(uint16_t type, uint8_t family, const Octets& attributes,
                      uint16_t flags = nft::kFlagAppend, uint32_t sequence = 7) {
  Octets bytes(20);
  const auto length = static_cast<uint32_t>(20 + attributes.size());
  std::memcpy(bytes.data(), &length, 4);
  std::memcpy(bytes.data() + 4, &type, 2);
  std::memcpy(bytes.data() + 6, &flags, 2);
  std::memcpy(bytes.data() + 8, &sequence, 4);
  bytes[16] = family;
  return join(bytes, attributes);
}
inline Octets nft_message(nft::Message kind, const Octets& attributes, uint8_t family = nft::kInet) {
  return message(static_cast<uint16_t>(nft::kSubsystem << 8 | kind), family, attributes);
}

template <class... More>
Octets batch(const More&... more) {
  return join(message(nft::kBatchBegin, 0, {}), more..., message(nft::kBatchEnd, 0, {}));
}

// --- what stands in most of them ---
inline Octets table(const std::string& name = "t") {
  return nft_message(nft::kNewTable, attribute(nft::kTableName, text(name)));
}
inline Octets chain(const std::string& name, const Octets& more = {}) {
  return nft_message(nft::kNewChain, join(attribute(nft::kChainTable, text("t")),
                                          attribute(nft::kChainName, text(name)), more));
}
inline Octets hook(uint32_t number, int32_t priority = 0) {
  return attribute(nft::kChainHook,
                   join(attribute(nft::kHookNumber, be32(number)),
                        attribute(nft::kHookPriority, be32(static_cast<uint32_t>(priority)))));
}
inline Octets base_chain(const std::string& name = "in", Policy policy = Policy::accept) {
  return chain(name, join(hook(static_cast<uint32_t>(Hook::input)),
                          attribute(nft::kChainPolicy, be32(static_cast<uint32_t>(policy)))));
}
inline Octets expression(const std::string& name, const Octets& data) {
  return attribute(nft::kListElement,
                   join(attribute(nft::kExpressionName, text(name)), attribute(nft::kExpressionData, data)));
}
inline Octets value(uint16_t type, const Octets& bytes) {
  return attribute(type, attribute(nft::kDataValue, bytes));
}
inline Octets verdict_data(int32_t code, const std::string& chain_name = {}) {
  Octets inner = attribute(nft::kVerdictCode, be32(static_cast<uint32_t>(code)));
  if (!chain_name.empty()) inner = join(inner, attribute(nft::kVerdictChain, text(chain_name)));
  return attribute(nft::kDataVerdict, inner);
}
inline Octets verdict(int32_t code, const std::string& chain_name = {}) {
  return expression("immediate", join(attribute(nft::kImmediateTo, be32(0)),
                                      attribute(nft::kImmediateData, verdict_data(code, chain_name))));
}
inline Octets payload(uint32_t base, uint32_t offset, uint32_t length, uint32_t to = 1) {
  return expression(
      "payload",
      join(attribute(nft::kPayloadTo, be32(to)), attribute(nft::kPayloadBase, be32(base)),
           attribute(nft::kPayloadOffset, be32(offset)), attribute(nft::kPayloadLength, be32(length))));
}
inline Octets cmp(uint32_t operation, const Octets& bytes, uint32_t from = 1) {
  return expression("cmp", join(attribute(nft::kCmpFrom, be32(from)),
                                attribute(nft::kCmpOperation, be32(operation)), value(nft::kCmpData, bytes)));
}
inline Octets counter() {
  return expression("counter", {});
}
inline Octets rule(const std::string& chain_name, const Octets& expressions) {
  return nft_message(nft::kNewRule,
                     join(attribute(nft::kRuleTable, text("t")), attribute(nft::kRuleChain, text(chain_name)),
                          attribute(nft::kRuleExpressions, expressions)));
}

struct SetWords {
  uint32_t flags = 0, key_bytes = 4, id = 1;
  std::string name = "s";
  Octets more = {};
  uint32_t key_type = 7;  // ipv4_addr
};
inline Octets set(const SetWords& words) {
  return nft_message(
      nft::kNewSet,
      join(attribute(nft::kSetTable, text("t")), attribute(nft::kSetName, text(words.name)),
           attribute(nft::kSetFlags, be32(words.flags)), attribute(nft::kSetKeyType, be32(words.key_type)),
           attribute(nft::kSetKeyLength, be32(words.key_bytes)), attribute(nft::kSetId, be32(words.id)),
           words.more));
}
inline Octets element(const Octets& key, const Octets& more = {}) {
  return attribute(nft::kListElement, join(value(nft::kElementKey, key), more));
}
inline Octets elements(const Octets& list, const std::string& name = "s", uint32_t id = 1) {
  return nft_message(nft::kNewSetElement,
                     join(attribute(nft::kElementsTable, text("t")), attribute(nft::kElementsSet, text(name)),
                          attribute(nft::kElementsSetId, be32(id)), attribute(nft::kElementsElements, list)));
}
inline Octets lookup(const std::string& name = "s", const Octets& more = {}) {
  return expression("lookup",
                    join(attribute(nft::kLookupSet, text(name)), attribute(nft::kLookupFrom, be32(1)), more));
}

}  // namespace skerry::filter
