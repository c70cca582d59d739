#include "preload/resolver.hpp"

#include <netinet/in.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cstring>

#include "preload/interpose.hpp"
#include "preload/resolver_files.hpp"
#include "preload/resolver_socket.hpp"

namespace skerry::preload {
namespace {

namespace client = sockets::client;

constexpr uint16_t kDnsPort = 53;
constexpr int kAliasQuestionsMax = 8;  // questions for one name, aliases chased

uint16_t random_id() {
  uint16_t id = 0;
  client::system_call(SYS_getrandom, client::word(&id), sizeof id, 0);
  return id;
}

struct Question {
  DnsName name;
  DnsType type;
};

// One question to one server; `not_ours` says that no usable answer came. A fresh socket for each: its random
// port is half of what an off-path forger must guess (RFC 5452).
DnsAnswer ask_by_datagram(Ipv4Address server, const Question& asked, TimeNs deadline) {
  const ServerSocket socket({server, kDnsPort}, SOCK_DGRAM, deadline);
  uint8_t question[kQuestionMax];
  const uint16_t id = random_id();
  if (!socket.send(question, write_question(id, asked.name, asked.type, question))) return {};
  while (socket.has_time()) {
    uint8_t reply[1500];
    const ssize_t length = socket.receive(reply, sizeof reply);
    if (length < 0) return {};
    const DnsAnswer answer = read_answer({reply, static_cast<size_t>(length)}, id, asked.name, asked.type);
    if (answer.kind != DnsAnswer::Kind::not_ours) return answer;
  }
  return {};
}

// The same over a stream.
DnsAnswer ask_by_stream(Ipv4Address server, const Question& asked, TimeNs deadline) {
  const ServerSocket socket({server, kDnsPort}, SOCK_STREAM, deadline);
  uint8_t question[kQuestionMax];
  const uint16_t id = random_id();
  if (!socket.send_framed(question, write_question(id, asked.name, asked.type, question))) return {};
  // Of a longer one the beginning is enough: what we keep of an answer lies there.
  uint8_t reply[4096];
  const ssize_t length = socket.receive_framed(reply, sizeof reply);
  if (length < 0) return {};
  return read_answer({reply, std::min(static_cast<size_t>(length), sizeof reply)}, id, asked.name,
                     asked.type);
}

DnsAnswer ask_server(Ipv4Address server, const Question& asked, DurationNs timeout_ns) {
  const DnsAnswer answer = ask_by_datagram(server, asked, client::monotonic_ns() + timeout_ns);
  if (answer.kind != DnsAnswer::Kind::cut) return answer;
  DnsAnswer whole = ask_by_stream(server, asked, client::monotonic_ns() + timeout_ns);
  const bool is_more = whole.kind != DnsAnswer::Kind::not_ours && whole.kind != DnsAnswer::Kind::cut;
  if (is_more) return whole;
  if (whole.count == 0) whole = answer;
  whole.kind = whole.count > 0 ? DnsAnswer::Kind::addresses : DnsAnswer::Kind::failure;
  return whole;
}

// All servers in turn, as often as resolv.conf says; a server that fails is passed over.
DnsAnswer ask_servers(const ResolverConfig& config, const Question& asked) {
  DnsAnswer last;
  for (uint32_t attempt = 0; attempt < config.attempts; ++attempt)
    for (size_t i = 0; i < config.server_count; ++i) {
      const DnsAnswer answer = ask_server(config.servers[i], asked, config.timeout_s * kSecond);
      if (answer.kind != DnsAnswer::Kind::not_ours && answer.kind != DnsAnswer::Kind::failure) return answer;
      if (answer.kind == DnsAnswer::Kind::failure) last = answer;
    }
  return last;
}

// A full name, with its aliases: its addresses in `resolved`, or in `canonical` what it points to.
Resolved::Kind ask_name(const ResolverConfig& config, Question asked, Resolved& resolved) {
  DnsName told = asked.name;  // an alias that may not be is followed all the same
  for (int questions = 0; questions < kAliasQuestionsMax; ++questions) {
    const DnsAnswer answer = ask_servers(config, asked);
    const bool may_be_told = is_host_name(answer.canonical);
    if (may_be_told) told = answer.canonical;
    switch (answer.kind) {
      case DnsAnswer::Kind::pointer:
        if (!may_be_told) return Resolved::Kind::no_name;
        [[fallthrough]];
      case DnsAnswer::Kind::addresses:
        for (size_t i = 0; i < answer.count; ++i) resolved.addresses[i] = IpAddress::v4(answer.addresses[i]);
        resolved.count = answer.count;
        to_text(told, resolved.canonical, sizeof resolved.canonical);
        resolved.aliases_bytes = 0;
        return Resolved::Kind::found;
      case DnsAnswer::Kind::alias:
        asked.name = answer.canonical;
        continue;
      case DnsAnswer::Kind::no_data:
        return Resolved::Kind::no_data;
      case DnsAnswer::Kind::no_name:
        return Resolved::Kind::no_name;
      case DnsAnswer::Kind::cut:  // ask_server() gives none of these
      case DnsAnswer::Kind::failure:
        return Resolved::Kind::failure;
      case DnsAnswer::Kind::not_ours:
        return Resolved::Kind::try_again;
    }
  }
  return Resolved::Kind::failure;
}

bool join(std::string_view name, std::string_view domain, DnsName& joined) {
  char text[512];
  if (name.size() + domain.size() + 1 > sizeof text) return false;
  std::memcpy(text, name.data(), name.size());
  text[name.size()] = '.';
  std::memcpy(text + name.size() + 1, domain.data(), domain.size());
  return to_dns_name({text, name.size() + 1 + domain.size()}, joined);
}

// The order of resolv.conf(5): with enough dots the name itself first, else the search list first.
void ask_dns(std::string_view name, Resolved& resolved) {
  const ResolverConfig config = read_config();
  DnsName as_is;
  if (!to_dns_name(name, as_is)) return;
  const bool absolute = name.ends_with('.');
  const bool itself_first =
      absolute || static_cast<uint32_t>(std::count(name.begin(), name.end(), '.')) >= config.ndots;
  Resolved::Kind worst = Resolved::Kind::no_name;
  const auto try_name = [&](const DnsName& full) {
    const Resolved::Kind kind = ask_name(config, {full, DnsType::address}, resolved);
    if (kind != Resolved::Kind::no_name) worst = kind;
    return kind == Resolved::Kind::found;
  };
  if (itself_first && try_name(as_is)) {
    resolved.kind = Resolved::Kind::found;
    return;
  }
  for (size_t i = 0; !absolute && i < config.search_count; ++i) {
    DnsName full;
    if (join(name, config.search[i], full) && try_name(full)) {
      resolved.kind = Resolved::Kind::found;
      return;
    }
    if (worst == Resolved::Kind::try_again) break;  // nobody answers: more names would only wait longer
  }
  if (!itself_first && worst != Resolved::Kind::try_again && try_name(as_is)) worst = Resolved::Kind::found;
  resolved.kind = worst;
}

bool is_localhost(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  constexpr std::string_view kLocal = "localhost";  // and all below it: RFC 6761 section 6.3
  if (same_name(name, kLocal)) return true;
  return name.size() > kLocal.size() && name[name.size() - kLocal.size() - 1] == '.' &&
         same_name(after(name, name.size() - kLocal.size()), kLocal);
}

bool is_own_name(std::string_view name) {
  utsname host{};
  return client::system_call(SYS_uname, client::word(&host)) == 0 && same_name(name, host.nodename);
}

// As nss_dns says it: servers that do not answer are not there.
HostSources::Status status_of(Resolved::Kind kind) {
  switch (kind) {
    case Resolved::Kind::found:
      return HostSources::success;
    case Resolved::Kind::try_again:
    case Resolved::Kind::failure:
      return HostSources::unavail;
    case Resolved::Kind::no_name:
    case Resolved::Kind::no_data:
      break;
  }
  return HostSources::notfound;
}

void set_one(Resolved& resolved, Ipv4Address address, int family) {
  resolved.kind = family == AF_INET6 ? Resolved::Kind::no_name : Resolved::Kind::found;
  resolved.addresses[0] = IpAddress::v4(address);
  resolved.count = 1;
}

// hosts(5), and what needs no line there.
HostSources::Status look_here(std::string_view name, int family, Resolved& resolved) {
  const size_t count = find_in_hosts(name, family, resolved.addresses, kAddressesMax, resolved);
  resolved.kind = Resolved::Kind::found;
  if (count > 0) {
    resolved.count = count;
  } else if (is_localhost(name)) {
    set_one(resolved, INADDR_LOOPBACK, family);
  } else if (is_own_name(name)) {
    set_one(resolved, client::state.control->address, family);
  } else {
    resolved.kind = Resolved::Kind::no_name;
    return HostSources::notfound;
  }
  return HostSources::success;
}

// Each source in the order of nsswitch.conf(5), until one says what ends the search. The last one that was
// asked says why there is nothing.
template <class AskDns, class LookHere>
void ask_sources(AskDns dns, LookHere here) {
  const NoCancellation none;
  const HostSources sources = read_sources();
  for (size_t i = 0; i < sources.count; ++i) {
    const HostSources::Status status = sources.each[i].kind == HostSources::Kind::dns ? dns() : here();
    if (sources.each[i].ends_with & status) return;
  }
}

}  // namespace

Resolved resolve(std::string_view name, int family) {
  Resolved resolved;
  std::memcpy(resolved.canonical, name.data(), std::min(name.size(), sizeof resolved.canonical - 1));
  const auto ask = [&] {
    ask_dns(name, resolved);
    return status_of(resolved.kind);
  };
  ask_sources(ask, [&] { return look_here(name, family, resolved); });
  return resolved;
}

// To nss_dns an address without a name is not found, whatever the reason (its gethostbyaddr2_r).
Resolved resolve_address(const IpAddress& address) {
  Resolved resolved;
  const auto status = [&] {
    return resolved.kind == Resolved::Kind::found ? HostSources::success : HostSources::notfound;
  };
  const auto ask = [&] {
    if (address.is_v4())
      resolved.kind = ask_name(read_config(), {name_of_address(address.as_v4()), DnsType::pointer}, resolved);
    return status();
  };
  const auto look = [&] {
    const bool listed = find_address_in_hosts(address, resolved);
    resolved.kind = listed ? Resolved::Kind::found : Resolved::Kind::no_name;
    return status();
  };
  ask_sources(ask, look);
  return resolved;
}

}  // namespace skerry::preload
