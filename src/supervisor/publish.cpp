#include "supervisor/publish.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/fd.hpp"
#include "supervisor/address_text.hpp"

namespace skerry::supervisor {

Result<Publish> parse_publish(std::string_view text) {
  Publish publish;
  std::string_view rest = text;
  const auto wrong = [&] {
    return Error{
        fmt::format("\"{}\" publishes no port: write HOSTPORT:PORT as 8080:80, ADDRESS:HOSTPORT:PORT as "
                    "127.0.0.1:8080:80, or either with /udp",
                    text)};
  };
  if (const size_t slash = rest.find('/'); slash != std::string_view::npos) {
    const std::string_view protocol = rest.substr(slash + 1);
    if (protocol != "udp" && protocol != "tcp") return wrong();
    publish.udp = protocol == "udp";
    rest = rest.substr(0, slash);
  }
  const size_t last = rest.rfind(':');
  if (last == std::string_view::npos || last == 0) return wrong();
  const size_t first = rest.rfind(':', last - 1);
  if (first != std::string_view::npos) {
    const std::optional<Ipv4Address> host = parse_ipv4(rest.substr(0, first));
    if (!host) return wrong();
    publish.host = *host;
  }
  const size_t begin = first == std::string_view::npos ? 0 : first + 1;
  const std::optional<uint32_t> host_port = parse_number(rest.substr(begin, last - begin), 65535);
  const std::optional<uint32_t> port = parse_number(rest.substr(last + 1), 65535);
  if (!host_port || !port || *host_port == 0 || *port == 0) return wrong();
  publish.host_port = static_cast<uint16_t>(*host_port);
  publish.port = static_cast<uint16_t>(*port);
  return publish;
}

std::string format_publish(const Publish& publish) {
  return fmt::format("{}{}{}:{}{}", publish.host == 0 ? "" : format_ipv4(publish.host),
                     publish.host == 0 ? "" : ":", publish.host_port, publish.port,
                     publish.udp ? "/udp" : "");
}

bool collide(const Publish& a, const Publish& b) {
  return a.host_port == b.host_port && a.udp == b.udp && (a.host == b.host || a.host == 0 || b.host == 0);
}

Result<void> check_free(const Publish& publish) {
  const Fd socket(::socket(AF_INET, (publish.udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0));
  const int yes = 1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(publish.host_port);
  address.sin_addr.s_addr = htonl(publish.host);
  // passt does so too: what lingers of an earlier connection is not in its way.
  if (!publish.udp) ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      (publish.udp || ::listen(socket.get(), 1) == 0))
    return {};
  const int number = errno;
  const char* advice = number == EADDRINUSE      ? "publish another, or end who has it"
                       : number == EACCES        ? "publish one from 1024 on, or start with sudo"
                       : number == EADDRNOTAVAIL ? "that address is not one of this host"
                                                 : "publish another";
  return Error{fmt::format("cannot publish port {} of the host: {}: {}", publish.host_port,
                           std::strerror(number), advice),
               number};
}

}  // namespace skerry::supervisor
