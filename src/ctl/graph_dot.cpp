#include "ctl/graph_dot.hpp"

#include <fmt/format.h>

#include <map>
#include <vector>

#include "ctl/running.hpp"
#include "supervisor/address_text.hpp"

namespace skerry::ctl {
namespace {

using supervisor::ObjectKind;
using supervisor::Plan;
using supervisor::Process;
using supervisor::ProcessKind;

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    if (c == '\n') {
      result += "\\n";
      continue;
    }
    result += c;
  }
  return result + "\"";
}

using Rows = std::map<std::string, nlohmann::json>;  // by process

// Solid and dark while it runs, dashed and grey when it does not; its restarts show.
std::string node(const std::string& name, const std::string& kind, std::vector<std::string> lines,
                 const Rows& rows) {
  lines.insert(lines.begin(), name == kind ? name : name + "\n" + kind);
  std::string style = kind == "program" ? "bold" : "solid";
  if (const auto row = rows.find(name); row != rows.end()) {
    const std::string state = text_of(row->second, "state");
    if (const uint64_t restarts = number_of(row->second, "restarts"); restarts > 0)
      lines.push_back(fmt::format("started {} times", restarts + 1));
    if (state != "running") {
      lines.push_back(state);
      style = "dashed\" color=\"gray50\" fontcolor=\"gray50";
    }
  }
  return fmt::format("  {} [label={} style=\"{}\"];\n", quoted(name),
                     quoted(fmt::format("{}", fmt::join(lines, "\n"))), style);
}

std::string edge(const std::string& a, const std::string& b, const std::string& label) {
  return fmt::format("  {} -- {} [label={}];\n", quoted(a), quoted(b), quoted(label));
}

// What a driver leads to, and by what.
std::string device_of(const Plan& plan, const Process& driver) {
  for (const supervisor::Grant& grant : driver.grants) {
    const supervisor::Object& object = *plan.object(grant.object);
    if (object.kind == ObjectKind::xdp_map) return edge(driver.name, object.interface, "AF_XDP");
    if (object.kind == ObjectKind::tap) return edge(driver.name, "host", object.interface);
    if (object.kind != ObjectKind::passt) continue;
    std::vector<std::string> ports;
    for (const supervisor::Publish& publish : object.publish)
      ports.push_back(supervisor::format_publish(publish));
    return edge(driver.name, object.name, "socket") +
           edge(object.name, "host", fmt::format("{}", fmt::join(ports, "\n")));
  }
  return "";
}

std::string process_text(const Plan& plan, const Process& process, const Rows& rows) {
  std::vector<std::string> lines;
  if (process.kind == ProcessKind::program)
    lines.push_back(supervisor::format_ipv4(plan.program(process.program)->address));
  if (process.core) lines.push_back(fmt::format("core {}", *process.core));
  std::string text = node(process.name, std::string(to_string(process.kind)), lines, rows);
  if (process.kind == ProcessKind::stack) text += edge(process.program, process.name, "session");
  if (process.kind == ProcessKind::resolver) text += edge(process.program + ".stack", process.name, "names");
  for (const supervisor::Grant& grant : process.grants) {
    if (plan.object(grant.object)->kind == ObjectKind::passt) text += node(grant.object, "passt", {}, rows);
  }
  return text;
}

}  // namespace

std::string dot_of(const Plan& plan, const nlohmann::json& processes) {
  Rows rows;
  for (const nlohmann::json& row : processes) rows[text_of(row, "name")] = row;
  std::string text = fmt::format(
      "graph {} {{\n  rankdir=LR;\n  node [shape=box fontname=\"sans-serif\" fontsize=11];\n"
      "  edge [fontname=\"sans-serif\" fontsize=9];\n",
      quoted(plan.name));
  bool reaches_host = false;
  for (const supervisor::Network& network : plan.networks) {
    text += fmt::format("  subgraph {} {{\n  label={};\n  fontname=\"sans-serif\";\n",
                        quoted("cluster_" + network.name),
                        quoted(fmt::format("{} {}", network.name, format_subnet(network.subnet))));
    for (const Process& process : plan.processes) {
      if (process.network == network.name) text += process_text(plan, process, rows);
    }
    text += "  }\n";
    using supervisor::Uplink;
    reaches_host = reaches_host || network.uplink == Uplink::tap || network.uplink == Uplink::user;
    if (network.uplink == Uplink::afxdp)
      text += fmt::format("  {} [shape=ellipse];\n", quoted(network.interface));
  }
  for (const supervisor::PlannedLink& link : plan.links)
    text += edge(link.b.process, link.a.process, link.name);
  for (const Process& process : plan.processes) text += device_of(plan, process);
  if (reaches_host) text += "  \"host\" [shape=ellipse];\n";
  return text + "}\n";
}

}  // namespace skerry::ctl
