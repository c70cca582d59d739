// skerry-resolver: asks name servers for the names that one program may speak to, and tells its stack which
// addresses they lead to and what to answer the program. It reads what strangers write, so it holds nothing
// but a socket to each name server, connected to that alone, and the way to its stack, which believes it no
// further than the program's allow-list goes. Its settings are in supervisor/plan.hpp.
//
// A connected socket keeps the address of the host that it began with. When the host moves to another network
// the resolver ends, and the next one, which the supervisor starts, has other sockets.
#include <sys/random.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdio>

#include "resolver/names.hpp"
#include "run/process.hpp"
#include "supervisor/restart.hpp"

namespace skerry {
namespace {

using namespace resolver;

constexpr const char* kName = "skerry-resolver";

struct ResolverSettings {
  std::vector<KnownName> names;
  std::vector<Ipv4Prefix> own;
  std::vector<std::string> servers;
  bool again = false;

  static Result<ResolverSettings> from(const nlohmann::json& json);
};

Result<KnownName> known_name(const nlohmann::json& json) {
  KnownName known;
  if (!to_dns_name(json.at("name").get<std::string>(), known.name))
    return Error{"the settings of the resolver have a name that is none"};
  for (const nlohmann::json& port : json.at("ports"))
    known.ports.push_back({port.at("port").get<uint16_t>(), port.at("udp").get<bool>()});
  for (const nlohmann::json& text : json.at("fixed")) {
    const auto address = parse_ipv4(text.get<std::string>());
    if (!address) return Error{"the settings of the resolver have an address that is none"};
    if (known.fixed.size() < kAddressesMax) known.fixed.push_back(*address);
  }
  return known;
}

Result<ResolverSettings> ResolverSettings::from(const nlohmann::json& json) {
  try {
    ResolverSettings settings;
    for (const nlohmann::json& entry : json.at("names")) {
      Result<KnownName> known = known_name(entry);
      if (!known) return known.error();
      settings.names.push_back(std::move(*known));
    }
    for (const nlohmann::json& network : json.at("own")) {
      const auto prefix = parse_ipv4_prefix(network.get<std::string>());
      if (!prefix) return Error{"the settings of the resolver have a network that is none"};
      settings.own.push_back(*prefix);
    }
    settings.servers = json.at("servers").get<std::vector<std::string>>();
    settings.again = json.value("again", false);
    return settings;
  } catch (const nlohmann::json::exception& problem) {
    return Error{std::string("the settings of the resolver are not understood: ") + problem.what()};
  }
}

// How often what, for `skerry top`.
struct Shown {
  explicit Shown(Stats& stats)
      : asked(stats.counter("asked")),
        questions(stats.counter("questions")),
        answers(stats.counter("answers")),
        unreachable(stats.counter("unreachable")),
        untold(stats.counter("untold")),
        turned_away(stats.counter("turned_away")) {}

  Counter asked;        // by the program
  Counter questions;    // to name servers
  Counter answers;      // that came back, believed or not
  Counter unreachable;  // nobody is there, says the kernel
  Counter untold;       // words that the stack did not take in time
  Counter turned_away;  // questions of the program for which there was no room
};

// Sockets on both sides of Names, as a Component that works when something arrives or is due.
class Resolver : public Neighbours {
 public:
  // Nobody who ends so late is taken for one that dies again and again.
  static constexpr DurationNs kLeastLife = supervisor::RestartBudget::kLongLife + kSecond;

  Resolver(Names names, Fd stack, std::vector<Fd> servers, Stats& stats, TimeNs now)
      : names_(std::move(names)),
        stack_(std::move(stack)),
        servers_(std::move(servers)),
        shown_(stats),
        may_end_(now + kLeastLife) {}

  void resume(TimeNs now) { names_.resume(now, *this); }
  // No way leads to the servers from these sockets, and other ones may have one.
  bool is_over(TimeNs now) const { return now >= may_end_ && (lost_way_ || names_.is_cut_off(now)); }

  Result<void> watch(Host& host) {
    Waiter& waiter = host.waiter();
    Result<void> done = waiter.watch(stack_.get(), [this, &host](uint32_t) { hear_stack(host.now()); });
    for (size_t i = 0; done && i < servers_.size(); ++i)
      done = waiter.watch(servers_[i].get(), [this, &host, i](uint32_t) { hear_server(i, host.now()); });
    return done;
  }

  uint32_t rx(TimeNs) { return 0; }
  uint32_t tx(TimeNs now) {
    if (now < names_.deadline()) return 0;
    names_.tick(now, *this);
    return 1;
  }
  TimeNs deadline() const { return std::min(names_.deadline(), lost_way_ ? may_end_ : kNever); }
  bool arm() { return true; }
  void disarm() {}

  // A server that is not there says so later. EINVAL: the host has no longer the address that this comes
  // from.
  void ask(size_t server, ConstBytes message) override {
    shown_.questions.add(1);
    if (::send(servers_[server].get(), message.data(), message.size(), MSG_DONTWAIT) < 0)
      lost_way_ = lost_way_ || errno == EINVAL || errno == ENETUNREACH || errno == EADDRNOTAVAIL;
  }

  // Waits for room, as long as the socket says: the stack takes what it is told in each breath, and an
  // address is allowed before the program hears of it. One that takes nothing any more is waited for once.
  bool tell(const Told& told) override {
    uint8_t room[kWordsMax];
    const ConstBytes words = write_told(told, room);
    ssize_t sent = 0;
    do {
      sent = ::send(stack_.get(), words.data(), words.size(), MSG_NOSIGNAL | (deaf_ ? MSG_DONTWAIT : 0));
    } while (sent < 0 && errno == EINTR);
    deaf_ = sent < 0;
    if (deaf_) shown_.untold.add(1);
    return !deaf_;
  }

 private:
  static constexpr int kMostAtOnce = 64;  // the rest wakes us again

  void hear_stack(TimeNs now) {
    uint8_t bytes[kWordsMax];
    for (int taken = 0; taken < kMostAtOnce; ++taken) {
      const ssize_t length = ::recv(stack_.get(), bytes, sizeof bytes, MSG_DONTWAIT);
      if (length <= 0) return;
      shown_.asked.add(1);
      if (const auto asked = read_asked({bytes, static_cast<size_t>(length)}))
        names_.asked(now, *asked, *this);
      shown_.turned_away.set(names_.turned_away());
    }
  }

  void hear_server(size_t server, TimeNs now) {
    uint8_t bytes[4096];
    for (int taken = 0; taken < kMostAtOnce; ++taken) {
      const ssize_t length = ::recv(servers_[server].get(), bytes, sizeof bytes, MSG_DONTWAIT);
      if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
      (length < 0 ? shown_.unreachable : shown_.answers).add(1);
      if (length == 0) continue;
      names_.answered(now, server, {bytes, length < 0 ? 0 : static_cast<size_t>(length)}, *this);
    }
  }

  Names names_;
  Fd stack_;
  std::vector<Fd> servers_;
  Shown shown_;
  const TimeNs may_end_;
  bool lost_way_ = false;
  bool deaf_ = false;  // the stack took no word of ours, last time
};

// A server to which no way led is a socket that leads nowhere; the others are asked.
Result<std::vector<Fd>> take_servers(Process& process, const std::vector<std::string>& names) {
  std::vector<Fd> servers;
  for (size_t i = 0; i < names.size(); ++i) {
    Result<Fd> server = process.env.take("server" + std::to_string(i));
    if (!server) return server.error();
    int family = AF_UNIX;
    socklen_t length = sizeof family;
    if (::getsockopt(server->get(), SOL_SOCKET, SO_DOMAIN, &family, &length) == 0 && family != AF_UNIX)
      servers.push_back(std::move(*server));
    else
      std::fprintf(stderr, "%s: no way leads to the name server %s, so it is not asked\n",
                   process.env.name().c_str(), names[i].c_str());
  }
  return servers;
}

// The heart is missed after five.
Result<void> bound_waits(const Fd& stack) {
  const timeval longest{.tv_sec = 1, .tv_usec = 0};
  if (::setsockopt(stack.get(), SOL_SOCKET, SO_SNDTIMEO, &longest, sizeof longest) != 0)
    return Error{"cannot bound how long the stack is waited for", errno};
  return {};
}

Result<void> run() {
  Result<Process> process = Process::receive();
  if (!process) return process.error();
  Result<ResolverSettings> settings = ResolverSettings::from(process->env.settings());
  if (!settings) return settings.error();
  Result<Fd> stack = process->env.take("names");
  if (!stack) return stack.error();
  Result<void> done = bound_waits(*stack);
  if (!done) return done;
  Result<std::vector<Fd>> servers = take_servers(*process, settings->servers);
  if (!servers) return servers.error();
  SipKey secret;
  if (::getrandom(&secret, sizeof secret, 0) != sizeof secret) return Error{"cannot get randomness"};

  Names names(std::move(settings->names), servers->size(), std::move(settings->own), secret);
  Host& host = process->host;
  Resolver resolver(std::move(names), std::move(*stack), std::move(*servers), process->stats, host.now());
  done = resolver.watch(host);
  if (!done) return done;
  const Result<ControlServer> control = process->serve([](ControlMessage& request) -> Result<nlohmann::json> {
    return Error{"a resolver does not know the command '" + request.body.at("command").get<std::string>() +
                 "'"};
  });
  if (!control) return control.error();
  done = confine(Confinement::resolver);
  if (!done) return done;
  // Nothing here is worth a yield: who waits for a name waits for the Internet.
  Loop loop(resolver, host, process->stats, LoopPolicy{.idle_yields = 0});
  if (settings->again) resolver.resume(host.now());
  while (!host.stop_requested() && !resolver.is_over(host.now())) loop.turn();
  if (host.stop_requested()) return {};
  return Error{"no way leads to a name server any more: it ends, to be started with new ones"};
}

}  // namespace
}  // namespace skerry

int main() {
  const skerry::Result<void> done = skerry::run();
  return done ? 0 : skerry::exit_with(skerry::kName, done.error());
}
