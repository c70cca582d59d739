// The words for a plan's kinds, as files, tables and JSON spell them.
#include <fmt/format.h>

#include "supervisor/plan.hpp"

namespace skerry::supervisor {

std::string_view to_string(ProcessKind kind) {
  switch (kind) {
    case ProcessKind::vswitch:
      return "vswitch";
    case ProcessKind::driver_tap:
      return "driver-tap";
    case ProcessKind::driver_afxdp:
      return "driver-afxdp";
    case ProcessKind::driver_user:
      return "driver-user";
    case ProcessKind::stack:
      return "stack";
    case ProcessKind::resolver:
      return "resolver";
    case ProcessKind::program:
      return "program";
  }
  return "unknown";
}

std::string_view to_string(ObjectKind kind) {
  switch (kind) {
    case ObjectKind::region:
      return "region";
    case ObjectKind::session:
      return "session";
    case ObjectKind::arena:
      return "arena";
    case ObjectKind::stats:
      return "stats";
    case ObjectKind::pipe:
      return "pipe";
    case ObjectKind::control:
      return "control";
    case ObjectKind::listener:
      return "listener";
    case ObjectKind::tap:
      return "tap";
    case ObjectKind::xdp_map:
      return "xdp-map";
    case ObjectKind::xdp_socket:
      return "xdp-socket";
    case ObjectKind::interface_watch:
      return "interface-watch";
    case ObjectKind::passt:
      return "passt";
    case ObjectKind::rules:
      return "rules";
    case ObjectKind::names:
      return "names";
    case ObjectKind::name_server:
      return "name-server";
  }
  return "unknown";
}

std::string_view to_string(Access access) {
  switch (access) {
    case Access::read:
      return "read";
    case Access::write:
      return "write";
    case Access::read_write:
      return "read-write";
  }
  return "unknown";
}

std::string_view executable_of(ProcessKind kind) {
  switch (kind) {
    case ProcessKind::vswitch:
      return "skerry-vswitch";
    case ProcessKind::driver_tap:
      return "skerry-driver-tap";
    case ProcessKind::driver_afxdp:
      return "skerry-driver-afxdp";
    case ProcessKind::driver_user:
      return "skerry-driver-user";
    case ProcessKind::stack:
      return "skerry-stack";
    case ProcessKind::resolver:
      return "skerry-resolver";
    case ProcessKind::program:
      return "skerry-cell";
  }
  return "";
}

std::string_view to_string(Restart restart) {
  switch (restart) {
    case Restart::never:
      return "never";
    case Restart::on_failure:
      return "on-failure";
    case Restart::always:
      return "always";
  }
  return "unknown";
}

bool is_driver(ProcessKind kind) {
  return kind == ProcessKind::driver_tap || kind == ProcessKind::driver_afxdp ||
         kind == ProcessKind::driver_user;
}

bool serves_one_program(const Process& process) {
  return !process.program.empty() && (is_driver(process.kind) || process.kind == ProcessKind::resolver);
}

std::string_view to_string(Uplink uplink) {
  switch (uplink) {
    case Uplink::none:
      return "none";
    case Uplink::tap:
      return "tap";
    case Uplink::afxdp:
      return "afxdp";
    case Uplink::user:
      return "user";
  }
  return "unknown";
}

std::string to_string(const UplinkName& uplink) {
  return std::string(to_string(uplink.kind)) + (uplink.interface.empty() ? "" : ":" + uplink.interface);
}

Result<UplinkName> parse_uplink(std::string_view text) {
  constexpr std::string_view kAfxdp = "afxdp:";
  if (text == "none") return UplinkName(Uplink::none);
  if (text == "user") return UplinkName(Uplink::user);
  if (text == "tap") return UplinkName(Uplink::tap);
  if (text.starts_with(kAfxdp) && text.size() > kAfxdp.size())
    return UplinkName(Uplink::afxdp, std::string(text.substr(kAfxdp.size())));
  return Error{fmt::format(
      "there is no uplink \"{}\": write \"user\", \"tap\", \"afxdp:INTERFACE\" or \"none\"", text)};
}

bool needs_root(Uplink uplink) {
  return uplink == Uplink::tap || uplink == Uplink::afxdp;
}

}  // namespace skerry::supervisor
