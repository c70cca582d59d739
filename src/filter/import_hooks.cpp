// Chains, and where they stand: hooks, priorities, policies, and the one link of a stack. At a switch they
// stand where frames pass between its ports.
#include <cerrno>
#include <span>

#include "filter/import.hpp"
#include "filter/packet.hpp"

namespace skerry::filter {

namespace {

constexpr int32_t kConntrackPriority = -200;

}  // namespace

// Hooks are counted anew in each family; those of ARP mean what is `input`, `output` and `forward` elsewhere.
bool Import::hook_of(Family family, const Nest& hook, uint32_t number, Hook& into) {
  static constexpr Hook kOfIp[] = {Hook::prerouting, Hook::input, Hook::forward, Hook::output,
                                   Hook::postrouting};
  static constexpr Hook kOfArp[] = {Hook::input, Hook::output, Hook::forward};
  static constexpr Hook kOfLink[] = {Hook::ingress, Hook::egress};
  const std::span<const Hook> all = family == Family::arp      ? std::span<const Hook>(kOfArp)
                                    : family == Family::netdev ? std::span<const Hook>(kOfLink)
                                                               : std::span<const Hook>(kOfIp);
  const uint32_t at = hook[nft::kHookNumber].at;
  constexpr uint32_t kIngress = 5;  // NF_INET_INGRESS
  if (family == Family::inet && number == kIngress)
    return reader_.refuse(at, EOPNOTSUPP, "at hook ingress stand chains of tables of family netdev");
  if (number >= all.size()) return reader_.refuse(at, EOPNOTSUPP, "this hook is not supported");
  into = all[number];
  if (family == Family::bridge && (into == Hook::input || into == Hook::output))
    return reader_.refuse(at, EOPNOTSUPP,
                          std::string("hook ") + (into == Hook::input ? "input" : "output") +
                              " would never see a frame: a switch has no address of its own; leave the "
                              "chain out, or write forward");
  if (into == Hook::forward && family != Family::bridge)
    return reader_.refuse(
        at, EOPNOTSUPP,
        "hook forward would never see a packet: a stack forwards nothing; leave the chain out");
  return true;
}

bool Import::device(const Attribute& attribute) {
  std::string name(attribute.bytes.begin(), attribute.bytes.end());
  while (!name.empty() && name.back() == '\0') name.pop_back();
  if (name == kNetworkName) return true;
  if (name == kLoopbackName)
    return reader_.refuse(
        attribute.at, EOPNOTSUPP,
        "what loops passes no link, chains of family netdev would never see it: leave lo out");
  return reader_.refuse(attribute.at, ENOENT, "there is no such device: a stack's link is eth0");
}

// Of a link chain those that it stands at, which can only be the one that there is.
bool Import::devices(Family family, const Nest& hook) {
  using namespace nft;
  const bool one = hook.has(kHookDevice), several = hook.has(kHookDevices);
  if (family != Family::netdev)
    return !(one || several) ||
           reader_.refuse(hook.at, EOPNOTSUPP, "only chains of family netdev have a device");
  if (!one && !several) return reader_.refuse(hook.at, EINVAL, "at which device? Write: device eth0");
  if (one) return device(hook[kHookDevice]);
  size_t position = 0, count = 0;
  Attribute item;
  const Attribute& list = hook[kHookDevices];
  while (reader_.next(list.bytes, list.at + 4, position, item)) {
    if (item.type != kDeviceName)
      return reader_.refuse(item.at, EOPNOTSUPP, "a list of devices holds something else than names");
    if (!device(item)) return false;
    if (++count > 1) return reader_.refuse(item.at, EEXIST, "a device stands there twice");
  }
  if (reader_.refused()) return false;
  return count == 1 || reader_.refuse(list.at, EINVAL, "at which device? Write: device eth0");
}

bool Import::base_chain(const Nest& nest, Chain& chain) {
  using namespace nft;
  Nest hook;
  const Family family = ruleset_.tables[chain.table].family;
  uint32_t number = 0, priority = 0, policy = static_cast<uint32_t>(Policy::accept);
  std::string type = "filter";
  if (!reader_.nest(nest[kChainHook], known({kHookNumber, kHookPriority, kHookDevice, kHookDevices}), hook) ||
      !reader_.need(hook, {kHookNumber, kHookPriority}, "a base chain") ||
      !reader_.number(hook, kHookNumber, number) || !reader_.number(hook, kHookPriority, priority) ||
      !reader_.text(nest, kChainType, type) || !reader_.number(nest, kChainPolicy, policy))
    return false;
  chain.is_base = true;
  chain.priority = static_cast<int32_t>(priority);
  if (!hook_of(family, hook, number, chain.hook) || !devices(family, hook)) return false;
  if (type == "nat")
    chain.type = ChainType::nat;
  else if (type != "filter")
    return reader_.refuse(nest[kChainType].at, EOPNOTSUPP,
                          "chains of type " + type + " are not supported, only filter and nat");
  if (chain.type == ChainType::nat && !knows_flows(family))
    return reader_.refuse(nest[kChainType].at, ENOENT, "only inet, ip and ip6 have chains of type nat");
  if (chain.type == ChainType::nat && chain.priority <= kConntrackPriority)
    return reader_.refuse(hook[kHookPriority].at, EOPNOTSUPP,
                          "a chain of type nat comes after connection tracking: its priority is above -200");
  if (policy > 1)
    return reader_.refuse(nest[kChainPolicy].at, EINVAL, "the policy is neither accept nor drop");
  chain.policy = static_cast<Policy>(policy);
  if (nest.has(kChainCounters)) {
    Nest counters;
    Stateful counter;
    if (!reader_.nest(nest[kChainCounters], known({kCounterBytes, kCounterPackets}), counters) ||
        !stateful(StatefulKind::counter, counters, counter) ||
        !keep(counter, nest[kChainCounters].at, chain.stateful))
      return false;
    chain.counted = true;
  }
  return true;
}

// A chain that was there already: nft lets a file name it again.
bool Import::same_chain(const Nest& nest, Chain& old, const Chain& chain) {
  if (chain.is_base &&
      (!old.is_base || old.hook != chain.hook || old.priority != chain.priority || old.type != chain.type))
    return reader_.refuse(nest[nft::kChainHook].at, EEXIST,
                          "chain " + chain.name + " is there already, with another hook");
  if (nest.has(nft::kChainPolicy)) {
    if (!old.is_base)
      return reader_.refuse(nest[nft::kChainPolicy].at, EOPNOTSUPP, "only a chain with a hook has a policy");
    uint32_t policy = 0;
    if (!reader_.number(nest, nft::kChainPolicy, policy)) return false;
    if (policy > 1)
      return reader_.refuse(nest[nft::kChainPolicy].at, EINVAL, "the policy is neither accept nor drop");
    old.policy = static_cast<Policy>(policy);
  }
  return true;
}

uint32_t Import::chain_named(uint32_t table, const std::string& name) const {
  const auto found = chain_names_.find({table, name});
  return found == chain_names_.end() ? kNone : found->second;
}

bool Import::new_chain(uint8_t family, ConstBytes attributes) {
  using namespace nft;
  Nest nest;
  Chain chain;
  uint32_t flags = 0, id = 0;
  if (!reader_.nest(attributes, kMessageHead,
                    known({kChainTable, kChainName, kChainHook, kChainPolicy, kChainType, kChainCounters,
                           kChainFlags, kChainId, kChainUserdata}),
                    nest) ||
      !find_table(family, nest, kChainTable, chain.table) || !reader_.text(nest, kChainName, chain.name) ||
      !reader_.number(nest, kChainFlags, flags) || !reader_.number(nest, kChainId, id))
    return false;
  const bool binding = (flags & kChainBinding) != 0;
  if ((flags & ~(kChainBase | kChainBinding)) != 0 || (binding && nest.has(kChainHook)))
    return reader_.refuse(nest[kChainFlags].at, EOPNOTSUPP, "a flag of this chain is not supported");
  if (chain.name.empty() != binding || (binding && !nest.has(kChainId)))
    return reader_.refuse(nest.at, EINVAL, "a chain has no name");
  const uint32_t old = binding ? kNone : chain_named(chain.table, chain.name);
  if (nest.has(kChainHook) && !base_chain(nest, chain)) return false;
  if (old != kNone)
    return may_be_there(nest, kChainName, "chain " + chain.name) &&
           same_chain(nest, ruleset_.chains[old], chain);
  if (!chain.is_base && (nest.has(kChainPolicy) || nest.has(kChainCounters) || nest.has(kChainType)))
    return reader_.refuse(nest.at, EOPNOTSUPP, "only a chain with a hook has a policy");
  if (ruleset_.chains.size() >= limits_.chains) return reader_.refuse(0, E2BIG, "there are too many chains");
  const auto index = static_cast<uint32_t>(ruleset_.chains.size());
  if (nest.has(kChainId) && !chain_ids_.emplace(std::pair{chain.table, id}, index).second)
    return reader_.refuse(nest[kChainId].at, EINVAL, "two chains have one number");
  if (!binding) chain_names_.emplace(std::pair{chain.table, chain.name}, index);
  chain.handle = new_handle(chain.table);
  chain.origin = reader_.origin(nest.has(kChainHook) ? nest[kChainHook].at : 0);
  ruleset_.chains.push_back(std::move(chain));
  return true;
}

}  // namespace skerry::filter
