#include "preload/resolver.hpp"

#include <netinet/in.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cstring>

#include "preload/resolver_files.hpp"
#include "sockets/client_descriptors.hpp"
#include "sockets/client_message.hpp"
#include "sockets/client_setup.hpp"

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

// One question to one server, at most one time-out long. A fresh socket for each: its random port is half of
// what an off-path forger must guess (RFC 5452).
class Exchange {
 public:
  explicit Exchange(Ipv4Address server) : fd_(client::open(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    if (fd_ < 0) return;
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(kDnsPort);
    to.sin_addr.s_addr = htonl(server);
    connected_ = client::connect(socket(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  }
  ~Exchange() {
    if (fd_ >= 0) client::close(fd_);
  }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  // `not_ours` says that no usable answer came.
  DnsAnswer ask(const DnsName& name, DurationNs timeout_ns) {
    uint8_t question[kQuestionMax];
    const uint16_t id = random_id();
    const iovec out{question, write_question(id, name, question)};
    if (!connected_ || client::send(socket(), &out, 1, MSG_NOSIGNAL) < 0) return {};
    const TimeNs deadline = client::monotonic_ns() + timeout_ns;
    for (TimeNs now = client::monotonic_ns(); now < deadline; now = client::monotonic_ns()) {
      client::state.names[socket()].receive_timeout_ns = deadline - now;
      uint8_t reply[1500];
      const iovec in{reply, sizeof reply};
      const ssize_t length = client::receive(socket(), &in, 1, 0);
      if (length == -EINTR) continue;
      if (length < 0) return {};
      const DnsAnswer answer = read_answer({reply, static_cast<size_t>(length)}, id, name);
      if (answer.kind != DnsAnswer::Kind::not_ours) return answer;
    }
    return {};
  }

 private:
  uint32_t socket() const { return client::socket_of(fd_); }

  int fd_;
  bool connected_ = false;
};

// All servers in turn, as often as resolv.conf says; a server that fails is passed over.
DnsAnswer ask_servers(const ResolverConfig& config, const DnsName& name) {
  DnsAnswer last;
  for (uint32_t attempt = 0; attempt < config.attempts; ++attempt)
    for (size_t i = 0; i < config.server_count; ++i) {
      const DnsAnswer answer = Exchange(config.servers[i]).ask(name, config.timeout_s * kSecond);
      if (answer.kind != DnsAnswer::Kind::not_ours && answer.kind != DnsAnswer::Kind::failure) return answer;
      if (answer.kind == DnsAnswer::Kind::failure) last = answer;
    }
  return last;
}

// A full name, with its aliases.
Resolved::Kind ask_name(const ResolverConfig& config, DnsName name, Resolved& resolved) {
  for (int questions = 0; questions < kAliasQuestionsMax; ++questions) {
    const DnsAnswer answer = ask_servers(config, name);
    switch (answer.kind) {
      case DnsAnswer::Kind::addresses:
        for (size_t i = 0; i < answer.count; ++i) resolved.addresses[i] = IpAddress::v4(answer.addresses[i]);
        resolved.count = answer.count;
        to_text(answer.canonical, resolved.canonical, sizeof resolved.canonical);
        return Resolved::Kind::found;
      case DnsAnswer::Kind::alias:
        name = answer.canonical;
        continue;
      case DnsAnswer::Kind::no_data:
        return Resolved::Kind::no_data;
      case DnsAnswer::Kind::no_name:
        return Resolved::Kind::no_name;
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
    const Resolved::Kind kind = ask_name(config, full, resolved);
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

void set_one(Resolved& resolved, Ipv4Address address) {
  resolved.kind = Resolved::Kind::found;
  resolved.addresses[0] = IpAddress::v4(address);
  resolved.count = 1;
}

}  // namespace

Resolved resolve(std::string_view name) {
  Resolved resolved;
  std::memcpy(resolved.canonical, name.data(), std::min(name.size(), sizeof resolved.canonical - 1));
  resolved.count = find_in_hosts(name, resolved.addresses, kAddressesMax);
  if (resolved.count > 0)
    resolved.kind = Resolved::Kind::found;
  else if (is_localhost(name))
    set_one(resolved, INADDR_LOOPBACK);
  else if (is_own_name(name))
    set_one(resolved, client::state.control->address);
  else
    ask_dns(name, resolved);
  return resolved;
}

}  // namespace skerry::preload
