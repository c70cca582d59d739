#include "supervisor/allow.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "resolver/words.hpp"
#include "supervisor/address_text.hpp"
#include "supervisor/machine.hpp"
#include "supervisor/plan.hpp"
#include "wire/dns.hpp"

namespace skerry::supervisor {
namespace {

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

// A name of hosts: it ends in a label that is no number, or it would be an address that went wrong.
bool is_name(std::string_view text) {
  DnsName unused;
  const size_t dot = text.rfind('.');
  const std::string_view last = dot == std::string_view::npos ? text : text.substr(dot + 1);
  return to_dns_name(text, unused) && std::all_of(text.begin(), text.end(), is_plain) &&
         !std::all_of(last.begin(), last.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Whether name servers are to be asked.
bool is_asked_for(const Allow& allow, const std::vector<std::string>& members) {
  return !allow.name.empty() && allow.addresses.empty() &&
         std::find(members.begin(), members.end(), allow.name) == members.end();
}

}  // namespace

Result<Allow> parse_allow(std::string_view text) {
  Allow allow;
  const auto wrong = [&](std::string_view why) {
    return Error{
        fmt::format("\"{}\" {}: write NAME:PORT as api.example.org:443, ADDRESS:PORT, or :PORT for who "
                    "connects to the program; for UDP with /udp behind it",
                    text, why)};
  };
  std::string_view rest = text;
  if (const size_t slash = rest.find('/'); slash != std::string_view::npos) {
    const std::string_view protocol = rest.substr(slash + 1);
    if (protocol != "udp" && protocol != "tcp") return wrong("is of a protocol that is not known here");
    allow.udp = protocol == "udp";
    rest = rest.substr(0, slash);
  }
  const size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos) return wrong("says no port to allow");
  const std::optional<uint32_t> port = parse_number(rest.substr(colon + 1), 65535);
  if (!port || *port == 0) return wrong("says no port to allow");
  allow.port = static_cast<uint16_t>(*port);
  std::string host(rest.substr(0, colon));
  if (host.empty()) return allow;
  if (host.find(':') != std::string::npos)
    return wrong("allows an address of IPv6, which no stack speaks yet");
  if (host.find('*') != std::string::npos)
    return Error{
        fmt::format("\"{}\" allows names that nobody wrote down, into which a program could put what it "
                    "wants to tell: write each name",
                    text)};
  if (const std::optional<Ipv4Address> address = parse_ipv4(host)) {
    if (*address >> 24 == 0) return wrong("allows an address that nobody has");
    allow.addresses.push_back(*address);
    return allow;
  }
  for (char& c : host) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  if (host.ends_with('.')) host.pop_back();
  if (!is_name(host)) return wrong("allows what is neither a name nor an address");
  allow.name = std::move(host);
  return allow;
}

std::string format_allow(const Allow& allow) {
  const std::string host = !allow.name.empty()        ? allow.name
                           : !allow.addresses.empty() ? format_ipv4(allow.addresses.front())
                                                      : "";
  return fmt::format("{}:{}{}", host, allow.port, allow.udp ? "/udp" : "");
}

void know_hosts(Program& program, const Machine& machine) {
  for (Allow& allow : program.allow) {
    const auto [begin, end] = machine.hosts.equal_range(allow.name);
    for (auto known = begin; known != end; ++known)
      if (known->second >> 24 != 127 || allow.name == "localhost") allow.addresses.push_back(known->second);
  }
  if (!program.allow.empty() && program.name_servers.empty()) program.name_servers = machine.name_servers;
}

void leave_out_idle_servers(Program& program, const std::vector<std::string>& members) {
  const auto is_asked = [&](const Allow& allow) { return is_asked_for(allow, members); };
  if (std::none_of(program.allow.begin(), program.allow.end(), is_asked)) program.name_servers.clear();
}

std::vector<std::string> own_names(const Network& network) {
  if (network.uplink == Uplink::tap || network.uplink == Uplink::user) return {"host"};
  return {};
}

std::string allow_defect(const Program& program, const Network& network,
                         const std::vector<std::string>& members) {
  if (program.allow.size() > kMaxAllowed)
    return fmt::format("an allow-list has room for {} entries, and this one has {}: write fewer", kMaxAllowed,
                       program.allow.size());
  const auto asked = std::find_if(program.allow.begin(), program.allow.end(),
                                  [&](const Allow& allow) { return is_asked_for(allow, members); });
  if (asked == program.allow.end()) return "";
  if (network.uplink == Uplink::none || !joins_host(program))
    return fmt::format(
        "\"{}\" names nobody in network \"{}\", which {}: {}", asked->name, network.name,
        network.uplink == Uplink::none ? "has no uplink that leads further" : "is all that it is joined with",
        network.uplink == Uplink::none
            ? "give it one (--uplink user; in a composition uplink = \"user\"), or leave the name out"
            : "add \"host\" to joins, or leave the name out");
  if (program.name_servers.empty())
    return fmt::format(
        "nobody can be asked for \"{}\", because /etc/resolv.conf names no server that can be asked: name "
        "one as resolver, 9.9.9.9 for one",
        asked->name);
  return "";
}

bool has_rules(const Program& program) {
  return !program.filter.empty() || !program.allow.empty();
}

// Established flows come first: they stay when the address that they began with is no longer allowed, and
// most packets need no lookup. What goes out against the list is told to the program, what comes in to
// nobody.
std::string allow_rules(const Program& program) {
  if (program.allow.empty()) return "";
  std::string incoming;
  const auto open = [&](uint16_t port, bool udp) {
    incoming += fmt::format("    {} dport {} accept\n", udp ? "udp" : "tcp", port);
  };
  for (const Allow& allow : program.allow)
    if (allow.is_incoming()) open(allow.port, allow.udp);
  for (const Publish& publish : program.publish) open(publish.port, publish.udp);
  return fmt::format(
      "table inet {0} {{\n"
      "  set {1} {{ type inet_proto . ipv4_addr . inet_service; flags dynamic,timeout; size 8192; }}\n"
      "  chain out {{\n"
      "    type filter hook output priority 0; policy drop;\n"
      "    oifname lo accept\n"
      "    ct state established,related accept\n"
      "    meta l4proto {{ tcp, udp }} meta l4proto . ip daddr . th dport @{1} accept\n"
      "    reject with icmpx type admin-prohibited\n"
      "  }}\n"
      "  chain in {{\n"
      "    type filter hook input priority 0; policy drop;\n"
      "    iifname lo accept\n"
      "    ct state established,related accept\n"
      "{2}"
      "  }}\n"
      "}}\n",
      resolver::kAllowTable, resolver::kAllowSet, incoming);
}

}  // namespace skerry::supervisor
