// A plan as JSON and back, for the pipe between the command line and the supervisor it starts. Exceptions of
// the JSON library end in plan_from_json.
#include <fmt/format.h>

#include <initializer_list>

#include "supervisor/address_text.hpp"
#include "supervisor/plan.hpp"

namespace nlohmann {

template <class T>
struct adl_serializer<std::optional<T>> {
  static void to_json(json& out, const std::optional<T>& value) {
    out = value ? json(*value) : json(nullptr);
  }
  static void from_json(const json& in, std::optional<T>& value) {
    value = in.is_null() ? std::nullopt : std::optional<T>(in.get<T>());
  }
};

template <>
struct adl_serializer<skerry::MacAddress> {
  static void to_json(json& out, const skerry::MacAddress& mac) { out = skerry::supervisor::format_mac(mac); }
  static void from_json(const json& in, skerry::MacAddress& mac) {
    const auto parsed = skerry::parse_mac(in.get<std::string>());
    if (!parsed) throw std::invalid_argument("a MAC address is malformed");
    mac = *parsed;
  }
};

}  // namespace nlohmann

namespace skerry::supervisor {

namespace {

using nlohmann::json;

template <class Enum>
Enum parse_enum(const json& in, std::initializer_list<Enum> values) {
  const std::string text = in.get<std::string>();
  for (const Enum value : values) {
    if (to_string(value) == text) return value;
  }
  throw std::invalid_argument(fmt::format("\"{}\" is none of the known words", text));
}

}  // namespace

#define SKERRY_ENUM_JSON(Type, ...)                    \
  static void to_json(json& out, Type value) {         \
    out = std::string(to_string(value));               \
  }                                                    \
  static void from_json(const json& in, Type& value) { \
    value = parse_enum<Type>(in, {__VA_ARGS__});       \
  }

SKERRY_ENUM_JSON(ProcessKind, ProcessKind::vswitch, ProcessKind::driver_tap, ProcessKind::driver_afxdp,
                 ProcessKind::driver_user, ProcessKind::stack, ProcessKind::resolver, ProcessKind::program)
SKERRY_ENUM_JSON(ObjectKind, ObjectKind::region, ObjectKind::session, ObjectKind::arena, ObjectKind::stats,
                 ObjectKind::pipe, ObjectKind::control, ObjectKind::listener, ObjectKind::tap,
                 ObjectKind::xdp_map, ObjectKind::xdp_socket, ObjectKind::interface_watch, ObjectKind::passt,
                 ObjectKind::rules, ObjectKind::names, ObjectKind::name_server)
SKERRY_ENUM_JSON(Access, Access::read, Access::write, Access::read_write)
SKERRY_ENUM_JSON(Restart, Restart::never, Restart::on_failure, Restart::always)
SKERRY_ENUM_JSON(Uplink, Uplink::none, Uplink::tap, Uplink::afxdp, Uplink::user)
#undef SKERRY_ENUM_JSON

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Publish, host, host_port, port, udp)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Allow, name, addresses, port, udp)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Subnet, base, prefix_bits)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Network, name, subnet, uplink, interface, queues, core, filter,
                                   filter_lines)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(StackLimits, sockets, stream_bytes, lossy_seed)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Program, name, argv, executable, env, working_directory, stdout_path,
                                   stderr_path, network, address, mac, filter, filter_lines, joins, shares,
                                   publish, allow, name_servers, restart, core, stack, strict, attached)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Object, name, kind, bytes, interface, host_address, guest_address, publish)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Grant, fd, object, access)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Process, name, kind, network, program, core, restart, settings, grants)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(LinkEnd, process, end)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(PlannedLink, name, a, b)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Plan, name, source, filter, filter_lines, ends_with_last, networks,
                                   programs, objects, processes, links)

std::string plan_to_json(const Plan& plan) {
  return json(plan).dump();
}

Result<Plan> plan_from_json(std::string_view text) {
  try {
    Plan plan = json::parse(text).get<Plan>();
    const std::vector<std::string> broken = check_plan(plan);
    if (!broken.empty()) return Error{fmt::format("the plan is not sound: {}", broken.front())};
    return plan;
  } catch (const std::exception& e) {
    return Error{fmt::format("the plan is no plan: {}", e.what())};
  }
}

}  // namespace skerry::supervisor
