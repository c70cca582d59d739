#include "settings.hpp"

#include <bit>

#include "sockets/session_view.hpp"
#include "wire/address_text.hpp"

namespace skerry {
Result<StackSettings> StackSettings::from(const nlohmann::json& json) {
  try {
    StackSettings settings;
    settings.link = {
        {"end", json.value("end", "link")}, {"side", json.at("side")}, {"mtu", json.value("mtu", 1500u)}};
    settings.mtu = settings.link["mtu"];
    settings.sockets = json.value("sockets", settings.sockets);
    settings.stream_bytes = json.value("stream_bytes", settings.stream_bytes);
    const std::optional<MacAddress> mac = parse_mac(json.at("mac").get<std::string>());
    if (!mac) return Error{"the stack's settings have a mac that is none"};
    settings.mac = *mac;
    for (const nlohmann::json& text : json.at("addresses")) {
      const std::optional<Ipv4Prefix> address = parse_ipv4_prefix(text.get<std::string>());
      if (!address) return Error{"the stack's settings have an address that is not of the form 10.0.0.2/24"};
      settings.addresses.push_back({address->address, address->bits});
    }
    if (settings.addresses.empty() || settings.addresses.size() > stack::Routes::kMaxAddresses) {
      return Error{"the stack's settings need one to eight addresses"};
    }
    if (json.contains("gateway") && json["gateway"].is_string()) {
      settings.gateway = parse_ipv4(json["gateway"].get<std::string>());
      if (!settings.gateway) return Error{"the stack's settings have a gateway that is no IPv4 address"};
    }
    settings.gateway_holds = json.value("gateway_holds", 0u);
    settings.one_core = json.value("one_core", false);
    if (json.contains("lossy_seed")) settings.lossy_seed = json["lossy_seed"].get<uint64_t>();
    if (json.contains("allow")) {
      Result<AllowSettings> allow = AllowSettings::from(json["allow"]);
      if (!allow) return allow.error();
      settings.allow = std::move(*allow);
    }
    if (settings.sockets == 0 || settings.sockets % 64 != 0 || settings.sockets > sockets::kMaxSockets) {
      return Error{"the stack's settings need sockets as a multiple of 64, at most 65536"};
    }
    if (!std::has_single_bit(settings.stream_bytes) || settings.stream_bytes < 4096 ||
        settings.stream_bytes > 1u << 30) {
      return Error{"the stack's settings need stream_bytes as a power of two from 4096 to 1 GiB"};
    }
    return settings;
  } catch (const nlohmann::json::exception& problem) {
    return Error{std::string("the stack's settings are not as they should be: ") + problem.what()};
  }
}

}  // namespace skerry
