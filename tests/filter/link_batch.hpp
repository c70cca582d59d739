// Batches of families that see more than IP, and frames.
#pragma once

#include "filter/batch.hpp"

namespace skerry::filter {

inline Octets table_of(nft::Protocol family) {
  return nft_message(nft::kNewTable, attribute(nft::kTableName, text("t")), family);
}
inline Octets chain_of(nft::Protocol family, const std::string& name, const Octets& more) {
  return nft_message(
      nft::kNewChain,
      join(attribute(nft::kChainTable, text("t")), attribute(nft::kChainName, text(name)), more), family);
}
inline Octets rule_of(nft::Protocol family, const std::string& name, const Octets& expressions) {
  return nft_message(nft::kNewRule,
                     join(attribute(nft::kRuleTable, text("t")), attribute(nft::kRuleChain, text(name)),
                          attribute(nft::kRuleExpressions, expressions)),
                     family);
}
inline Octets device(const std::string& name = "eth0") {
  return attribute(nft::kHookDevice, text(name));
}
inline Octets hook_with(uint32_t number, const Octets& devices, int32_t priority = 0) {
  return attribute(nft::kChainHook,
                   join(attribute(nft::kHookNumber, be32(number)),
                        attribute(nft::kHookPriority, be32(static_cast<uint32_t>(priority))), devices));
}
// A chain at the link, 0 for what comes and 1 for what leaves, with these rules.
template <class... Rules>
Octets at_link(uint32_t number, const Rules&... rules) {
  return batch(table_of(nft::kNetdev), chain_of(nft::kNetdev, "c", hook_with(number, device())),
               rule_of(nft::kNetdev, "c", rules)...);
}
// 0 for what comes and 1 for what leaves.
template <class... Rules>
Octets in_arp(uint32_t number, const Rules&... rules) {
  return batch(table_of(nft::kArp), chain_of(nft::kArp, "c", hook(number)),
               rule_of(nft::kArp, "c", rules)...);
}

inline Octets meta(uint32_t key, uint32_t to = 1) {
  return expression("meta", join(attribute(nft::kMetaTo, be32(to)), attribute(nft::kMetaKey, be32(key))));
}
inline Octets immediate(const Octets& bytes, uint32_t to = 1) {
  return expression("immediate",
                    join(attribute(nft::kImmediateTo, be32(to)), value(nft::kImmediateData, bytes)));
}
inline Octets set_mark(uint32_t mark) {
  Octets bytes(4);
  std::memcpy(bytes.data(), &mark, 4);
  return join(immediate(bytes), expression("meta", join(attribute(nft::kMetaFrom, be32(1)),
                                                        attribute(nft::kMetaKey, be32(3)))));
}
inline Octets mark_is(uint32_t mark) {
  Octets bytes(4);
  std::memcpy(bytes.data(), &mark, 4);
  return join(meta(3), cmp(0, bytes));
}

}  // namespace skerry::filter
