// What must hold between the tables of a composition, and the rules for names and addresses that `skerry run`
// shares.
#include <fmt/format.h>

#include <algorithm>

#include "supervisor/address_text.hpp"
#include "supervisor/composition_reader.hpp"

namespace skerry::supervisor {

namespace {

constexpr unsigned kMaxQueues = 64;

bool overlap(const Subnet& a, const Subnet& b) {
  return a.contains(b.base) || b.contains(a.base);
}

}  // namespace

void CompositionReader::check_networks() {
  for (size_t i = 0; i < networks_.size(); ++i) {
    const Network& mine = networks_[i].network;
    if (mine.subnet.base == 0) continue;
    for (size_t j = 0; j < i; ++j) {
      const Network& other = networks_[j].network;
      if (other.subnet.base != 0 && overlap(mine.subnet, other.subnet)) {
        networks_[i].table.mistake(
            "subnet", fmt::format("{} overlaps {} of network \"{}\": write another",
                                  format_subnet(mine.subnet), format_subnet(other.subnet), other.name));
      }
    }
    if (const std::string defect = uplink_defect(mine, machine_); !defect.empty()) {
      networks_[i].table.mistake("subnet", defect);
    }
  }
}

void CompositionReader::check_addresses() {
  for (size_t i = 0; i < programs_.size(); ++i) {
    const Program& mine = programs_[i].program;
    for (size_t j = 0; j < i; ++j) {
      const Program& other = programs_[j].program;
      if (mine.network != other.network) continue;
      if (mine.address != 0 && mine.address == other.address) {
        programs_[i].table.mistake(
            "address", fmt::format("address {} is taken by program \"{}\": write another, or leave it out",
                                   format_ipv4(mine.address), other.name));
      }
      if (mine.mac != MacAddress{} && mine.mac == other.mac) {
        programs_[i].table.mistake("mac",
                                   fmt::format("MAC address {} is taken by program \"{}\": write another, or "
                                               "leave it out",
                                               format_mac(mine.mac), other.name));
      }
    }
  }
}

void CompositionReader::check_publish() {
  std::vector<Program> before;
  for (const DraftProgram& draft : programs_) {
    const DraftNetwork* home = network(draft.program.network);
    if (home == nullptr) continue;
    if (const std::string defect = publish_defect(draft.program, home->network, before); !defect.empty())
      draft.table.mistake("publish", defect);
    before.push_back(draft.program);
  }
}

void CompositionReader::check_allow() {
  for (DraftProgram& draft : programs_) {
    const DraftNetwork* home = network(draft.program.network);
    if (home == nullptr || !draft.table.has("allow")) continue;
    std::vector<std::string> members = own_names(home->network);
    for (const DraftProgram& other : programs_)
      if (other.program.network == draft.program.network) members.push_back(other.program.name);
    if (const std::string defect = allow_defect(draft.program, home->network, members); !defect.empty())
      draft.table.mistake("allow", defect);
    leave_out_idle_servers(draft.program, members);
  }
}

void CompositionReader::check_joins() {
  for (const DraftProgram& draft : programs_) {
    const Program& mine = draft.program;
    const DraftNetwork* home = network(mine.network);
    if (home == nullptr || !draft.table.has("joins")) continue;
    std::vector<std::string> choices;
    if (home->network.uplink != Uplink::none) choices.push_back("host");
    for (const DraftProgram& other : programs_) {
      if (other.program.network == mine.network && other.program.name != mine.name)
        choices.push_back(other.program.name);
    }
    for (const std::string& peer : mine.joins) {
      if (peer == "*" || std::find(choices.begin(), choices.end(), peer) != choices.end()) continue;
      std::string why = fmt::format("there is no \"{}\" in network \"{}\" to join", peer, mine.network);
      if (peer == mine.name) why = fmt::format("program \"{}\" cannot join itself", peer);
      if (peer == "host")
        why = fmt::format("network \"{}\" has no uplink by which to join the host", mine.network);
      draft.table.mistake(
          "joins", why + (choices.empty() ? std::string("; leave it out") : suggestion(peer, choices)));
    }
  }
}

std::string name_defect(std::string_view name, size_t longest) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (name.empty()) return "is empty: write at least one letter";
  if (name.size() > longest) return fmt::format("is longer than {} characters: write a shorter one", longest);
  const bool fits = plain(name.front()) && std::all_of(name.begin(), name.end(), [&](char c) {
                      return plain(c) || c == '-' || c == '_';
                    });
  return fits ? "" : "may hold only a-z, 0-9, - and _ and begins with a letter or digit: write it so";
}

std::string address_defect(Ipv4Address address, const Network& network) {
  const std::string subnet = format_subnet(network.subnet);
  if (!network.subnet.contains(address))
    return fmt::format("is outside network \"{}\" ({})", network.name, subnet);
  if (address == network.subnet.base) return fmt::format("is the network's own in {}", subnet);
  if (address == network.subnet.broadcast()) return fmt::format("is the broadcast address of {}", subnet);
  if (address == network.subnet.gateway()) return fmt::format("is kept for the host in {}", subnet);
  return "";
}

std::string choose_uplink(Network& network, const UplinkName& uplink, const Machine& machine) {
  if (needs_root(uplink.kind) && !machine.root) {
    return fmt::format("uplink \"{}\" needs root: start with sudo, or write \"none\"", to_string(uplink));
  }
  if (uplink.kind == Uplink::user && !has_passt(machine)) {
    return "uplink \"user\" needs passt: apt install passt, or write \"none\"";
  }
  network.uplink = uplink.kind;
  network.interface = uplink.interface;
  if (uplink.kind != Uplink::afxdp) return "";
  network.queues = machine.receive_queues(uplink.interface);
  if (network.queues == 0) {
    return fmt::format("there is no interface \"{}\" here: write one that `ip link` shows", uplink.interface);
  }
  if (network.queues > kMaxQueues) {
    return fmt::format(
        "{} has {} queues and at most {} can be had: `ethtool -L {} combined {}` makes them fewer",
        uplink.interface, network.queues, kMaxQueues, uplink.interface, kMaxQueues);
  }
  if (const auto use = machine.use_by_host(uplink.interface)) {
    return fmt::format(
        "the host itself uses {} {}, and would hear nothing through it any more: write another interface, or "
        "{}",
        uplink.interface, use->as, use->remedy);
  }
  return "";
}

std::string publish_defect(const Program& program, const Network& network,
                           const std::vector<Program>& others) {
  if (program.publish.empty()) return "";
  if (network.uplink != Uplink::user) {
    return fmt::format(
        "ports are published by the uplink \"user\", and network \"{}\" has \"{}\": choose that one, or "
        "publish none",
        network.name, to_string(network.uplink));
  }
  if (!joins_host(program)) {
    return fmt::format("\"{}\" publishes a port but is not joined with \"host\": add it to joins",
                       program.name);
  }
  for (size_t i = 0; i < program.publish.size(); ++i) {
    const Publish& mine = program.publish[i];
    for (size_t j = 0; j < i; ++j) {
      if (mine.host_port != program.publish[j].host_port || mine.udp != program.publish[j].udp) continue;
      return fmt::format(
          "port {} of the host is published twice by \"{}\", and passt listens on a number once: leave "
          "the address out, or choose another port",
          mine.host_port, program.name);
    }
    for (const Program& other : others) {
      for (const Publish& theirs : other.publish) {
        if (other.name != program.name && collide(mine, theirs))
          return fmt::format("port {} of the host is published by \"{}\" already: choose another",
                             mine.host_port, other.name);
      }
    }
  }
  return "";
}

std::string uplink_defect(const Network& network, const Machine& machine) {
  if (network.uplink != Uplink::tap && network.uplink != Uplink::user) return "";
  for (const HostSubnet& host : machine.host_subnets) {
    if (overlap(network.subnet, host.subnet)) {
      return fmt::format("{} overlaps {} on {} of this machine: write another subnet",
                         format_subnet(network.subnet), format_subnet(host.subnet), host.interface);
    }
  }
  return "";
}

}  // namespace skerry::supervisor
