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
    case ProcessKind::stack:
      return "stack";
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
    case ProcessKind::stack:
      return "skerry-stack";
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

std::string_view to_string(Uplink uplink) {
  return uplink == Uplink::tap ? "tap" : "none";
}

Result<Uplink> parse_uplink(std::string_view text) {
  if (text == "none") return Uplink::none;
  if (text == "tap") return Uplink::tap;
  if (text == "user" || text.starts_with("afxdp:"))
    return Error{fmt::format("uplink \"{}\" is not there yet: write \"tap\" or \"none\"", text)};
  return Error{fmt::format("there is no uplink \"{}\": write \"tap\" or \"none\"", text)};
}

}  // namespace skerry::supervisor
