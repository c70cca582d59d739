#include "supervisor/name_server.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <sstream>

#include "base/system_error.hpp"
#include "wire/address_text.hpp"

namespace skerry::supervisor {
namespace {

constexpr uint16_t kDnsPort = 53;

struct Server {
  std::string address;
  std::string zone;  // RFC 4007: the interface that an address of a link belongs to; empty: of no link
  uint16_t port = kDnsPort;
  int family = AF_INET;
};

bool is_address(int family, const std::string& text) {
  in6_addr unused;  // room for either
  return ::inet_pton(family, text.c_str(), &unused) == 1;
}

bool is_zone(const std::string& text) {
  return !text.empty() && text.size() < IFNAMSIZ && std::all_of(text.begin(), text.end(), [](char c) {
    return c > ' ' && c < 0x7f && c != '/' && c != ':' && c != '%' && c != ']';
  });
}

std::optional<Server> read_server(std::string_view text) {
  Server server;
  std::optional<std::string_view> port;
  if (text.starts_with('[')) {
    const size_t end = text.find("]:");
    if (end == std::string_view::npos) return std::nullopt;
    server.address = text.substr(1, end - 1);
    port = text.substr(end + 2);
  } else if (const size_t colon = text.find(':');
             colon != std::string_view::npos && text.find(':', colon + 1) == std::string_view::npos) {
    server.address = text.substr(0, colon);
    port = text.substr(colon + 1);
  } else {
    server.address = text;
  }
  if (port) {
    const std::optional<uint32_t> number = parse_number(*port, 65535);
    if (!number || *number == 0) return std::nullopt;
    server.port = static_cast<uint16_t>(*number);
  }
  server.family = server.address.find(':') == std::string::npos ? AF_INET : AF_INET6;
  if (const size_t percent = server.address.find('%'); percent != std::string::npos) {
    server.zone = server.address.substr(percent + 1);
    server.address.resize(percent);
    if (server.family != AF_INET6 || !is_zone(server.zone)) return std::nullopt;
  }
  if (!is_address(server.family, server.address)) return std::nullopt;
  return server;
}

}  // namespace

Result<std::string> parse_name_server(std::string_view text) {
  const std::optional<Server> server = read_server(text);
  if (!server)
    return Error{
        fmt::format("\"{}\" is no name server's address: write one as 9.9.9.9 or 127.0.0.1:5353", text)};
  if (server->family == AF_INET) return fmt::format("{}:{}", server->address, server->port);
  return fmt::format("[{}{}{}]:{}", server->address, server->zone.empty() ? "" : "%", server->zone,
                     server->port);
}

std::vector<std::string> name_servers_in(const std::string& resolv_conf) {
  std::vector<std::string> servers;
  std::istringstream lines(resolv_conf);
  for (std::string line; std::getline(lines, line) && servers.size() < kMaxNameServers;) {
    std::istringstream words(line);
    std::string key, value;
    if (!(words >> key >> value) || key != "nameserver") continue;
    if (const Result<std::string> server = parse_name_server(value)) servers.push_back(*server);
  }
  return servers;
}

std::multimap<std::string, Ipv4Address> hosts_in(const std::string& hosts) {
  std::multimap<std::string, Ipv4Address> known;
  std::istringstream lines(hosts);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string address, name;
    words >> address;
    const std::optional<Ipv4Address> read = parse_ipv4(address);
    while (read && *read != 0 && words >> name) {
      for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
      known.emplace(name, *read);
    }
  }
  return known;
}

Result<Fd> open_name_server(const std::string& text) {
  const std::optional<Server> server = read_server(text);
  if (!server) return Error{fmt::format("\"{}\" is no name server's address", text)};
  Fd socket(::socket(server->family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_family = AF_INET;
  v6.sin6_family = AF_INET6;
  v4.sin_port = v6.sin6_port = htons(server->port);
  if (!server->zone.empty()) {
    v6.sin6_scope_id = ::if_nametoindex(server->zone.c_str());
    if (v6.sin6_scope_id == 0) v6.sin6_scope_id = parse_number(server->zone, UINT32_MAX).value_or(0);
  }
  const bool is_v4 = server->family == AF_INET;
  ::inet_pton(server->family, server->address.c_str(),
              is_v4 ? static_cast<void*>(&v4.sin_addr) : static_cast<void*>(&v6.sin6_addr));
  const auto* const address =
      is_v4 ? reinterpret_cast<const sockaddr*>(&v4) : reinterpret_cast<const sockaddr*>(&v6);
  if (socket && ::connect(socket.get(), address, is_v4 ? sizeof v4 : sizeof v6) == 0) return socket;
  if (socket || errno == EAFNOSUPPORT) socket = Fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return system_error("cannot make a socket for the name server " + text);
  return socket;
}

}  // namespace skerry::supervisor
