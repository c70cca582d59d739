// What the supervisor tells a stack: see supervisor/plan.hpp for the JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "allow_list.hpp"
#include "base/result.hpp"
#include "stack/routes.hpp"
#include "wire/address.hpp"

namespace skerry {

struct StackSettings {
  nlohmann::json link;  // "end", "side", "mtu": what run/link_end.hpp reads
  MacAddress mac;
  uint32_t mtu = 1500;
  std::vector<stack::InterfaceAddress> addresses;  // at least one
  std::optional<Ipv4Address> gateway;
  uint32_t gateway_holds = 0;      // bytes: see stack::IpSettings
  uint32_t sockets = 16384;        // a multiple of 64
  uint32_t stream_bytes = 262144;  // a power of two

  bool one_core = false;               // everybody runs on one core: wait by its rules
  std::optional<uint64_t> lossy_seed;  // loss, reordering, duplicates and damage on the link, from this seed

  std::optional<AllowSettings> allow;  // the program may speak to nobody else

  static Result<StackSettings> from(const nlohmann::json& settings);
};

}  // namespace skerry
