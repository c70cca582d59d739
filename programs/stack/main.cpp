// skerry-stack: TCP/IP for exactly one program. Joins IP, TCP, UDP and the socket server to one link and one
// session, and breathes them. Read first: ARCHITECTURE.md, then stack/ip.hpp, tcp/tcp.hpp and
// sockets/session.hpp.
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include <array>
#include <memory>
#include <optional>

#include "descriptors.hpp"
#include "name_door.hpp"
#include "rules/rules.hpp"
#include "run/component.hpp"
#include "run/link_end.hpp"
#include "run/process.hpp"
#include "settings.hpp"
#include "shm/doorbell.hpp"
#include "shown_counters.hpp"
#include "socket_table.hpp"
#include "sockets/anchors.hpp"
#include "sockets/datagram_component.hpp"
#include "sockets/server.hpp"
#include "stack/ip.hpp"
#include "stack/own_sockets.hpp"
#include "stack/tcp_component.hpp"
#include "stack/udp_component.hpp"
#include "wires.hpp"

namespace skerry {
namespace {

// Frames that one breath takes from the link: about half of the flows, so that the two ends of the
// connections overlap instead of taking turns. Idle connections count too: then the limit is merely looser.
// With few connections batches are small by themselves, and datagrams know no flows.
constexpr uint32_t kLargestBite = 32;
uint32_t bite(uint32_t connections) {
  return connections < 16 ? kLargestBite : std::min(connections / 2, kLargestBite);
}

// Rings for long paths: what Linux gives one connection at most (tcp_rmem[2], 6 MiB with what the kernel
// needs around the data), to as many as one program may be expected to have busy at once.
constexpr uint32_t kLongRings = 64;
constexpr uint32_t kLongBytes = 4 << 20;

tcp::Limits limits(const StackSettings& settings) {
  return {.connections = settings.sockets};
}

// Everything of the stack in the order in which it is made; what comes later points to what came before. Wire
// is what lies between it and the link: GoodWire or BadWire.
template <class Wire>
class StackProcess {
 public:
  StackProcess(Process process, StackSettings settings, ShmLink link, Bytes arena, sockets::SessionView view);
  Result<void> load_rules(Fd memory) { return rules_.load(std::move(memory), process_.host.now()); }
  Result<void> open_doors(sockets::Anchors::Descriptors door, Fd session_wake);
  // With an allow-list: `names` leads to the resolver. Before the rules are loaded.
  Result<void> insist_on_allow_list(Fd names);
  void breathe();

 private:
  using Ip = stack::Ip<typename Wire::Link>;
  using TcpComponent = stack::TcpComponent<Ip>;
  using UdpComponent = stack::UdpComponent<Ip, Recipients<sockets::Server>>;
  using UdpSender = stack::UdpSender<Ip>;
  using DatagramComponent = sockets::DatagramComponent<UdpSender>;
  using NameComponent = skerry::NameComponent<UdpSender>;

  Result<nlohmann::json> answer(ControlMessage& request);
  Result<void> relink(ControlMessage& request);
  void show_counters();
  void report();

  Process process_;
  const StackSettings settings_;
  ShmLink link_;
  Wire wire_;
  const sockets::SessionView view_;
  Random random_;
  IndexPool ids_;
  tcp::Tcp tcp_;
  stack::Udp udp_;
  const stack::OwnSockets own_sockets_;
  Ip ip_;
  sockets::Server server_;
  NameDoor name_door_;
  Recipients<sockets::Server> recipients_;
  TcpComponent tcp_component_;
  UdpComponent udp_component_;
  UdpSender udp_sender_;
  DatagramComponent datagrams_;
  NameComponent names_;
  Rules rules_;
  std::optional<AllowList> allowed_;
  std::optional<sockets::Anchors> anchors_;
  std::optional<ControlServer> control_;
  std::optional<Waker> session_wake_;
  ShownCounters shown_;
  Counter in_use_;  // a level, not a sum: the supervisor lets a stack go once it is 0
};

// What must not be guessed by strangers: keys, and the seed of ports and packet identifiers.
template <class T>
T secret() {
  T value;
  CHECK(::getrandom(&value, sizeof value, 0) == sizeof value);
  return value;
}

uint64_t real_time_offset() {
  timespec real, monotonic;
  ::clock_gettime(CLOCK_REALTIME, &real);
  ::clock_gettime(CLOCK_MONOTONIC, &monotonic);
  const auto nanoseconds = [](const timespec& t) {
    return static_cast<uint64_t>(t.tv_sec) * kSecond + static_cast<uint64_t>(t.tv_nsec);
  };
  return nanoseconds(real) - nanoseconds(monotonic);
}

// Memory that the supervisor made and that is at least so large; mapped for good.
Result<Bytes> map(const Fd& memory, size_t needed, const char* what) {
  struct stat facts;
  if (::fstat(memory.get(), &facts) < 0 || static_cast<uint64_t>(facts.st_size) < needed) {
    return Error{fmt::format("the {} is smaller than the {} bytes that the settings need", what, needed)};
  }
  void* at = ::mmap(nullptr, needed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memory.get(), 0);
  if (at == MAP_FAILED) return Error{fmt::format("cannot map the {}", what), errno};
  return Bytes(static_cast<uint8_t*>(at), needed);
}

tcp::Streams streams_of(const sockets::SessionView& view) {
  const uint32_t bytes = view.size().stream_bytes;
  return {.base = view.streams(),
          .stride = 2 * uint64_t{bytes},
          .rx_offset = 0,
          .tx_offset = bytes,
          .stream_bytes = bytes,
          .long_base = view.long_streams(),
          .long_rings = view.size().long_rings,
          .long_bytes = view.size().long_bytes};
}

template <class Wire>
StackProcess<Wire>::StackProcess(Process process, StackSettings settings, ShmLink link, Bytes arena,
                                 sockets::SessionView view)
    : process_(std::move(process)),
      settings_(std::move(settings)),
      link_(std::move(link)),
      wire_(link_, settings_),
      view_(view),
      random_(secret<uint64_t>()),
      ids_(settings_.sockets),
      tcp_(arena, limits(settings_), streams_of(view), ids_, secret<SipKey>(), random_),
      udp_(settings_.sockets + 1, random_),  // the last is the stack's own
      own_sockets_(tcp_, udp_),
      ip_(wire_.link(),
          {.addresses = settings_.addresses,
           .gateway = settings_.gateway,
           .gateway_holds = settings_.gateway_holds},
          random_),
      server_(view, tcp_, udp_, ip_.routes(), ids_),
      name_door_(settings_.sockets, ip_.routes(), ip_.filter().events(), random_),
      recipients_(server_, name_door_),
      tcp_component_(ip_, tcp_),
      udp_component_(ip_, udp_, recipients_),
      udp_sender_(ip_, udp_),
      datagrams_(server_, udp_sender_),
      names_(name_door_, udp_sender_),
      rules_(ip_.filter(), filter::Place::stack, secret<SipKey>(), [this] { return process_.host.now(); }),
      shown_(process_.stats),
      in_use_(process_.stats.counter("sockets.in_use")) {
  server_.set_real_time_offset(real_time_offset());
  ip_.filter().ask_sockets(&stack::OwnSockets::find, &own_sockets_);
  // The session's first words, which the program shows as its interface.
  sockets::Control& control = view_.control();
  control.magic = sockets::kSessionMagic;
  control.version = sockets::kSessionVersion;
  control.address = settings_.addresses.front().address;
  control.prefix_length = settings_.addresses.front().prefix_bits;
  control.gateway = settings_.gateway.value_or(0);
  control.mtu = settings_.mtu;
  control.mac = settings_.mac;
  control.one_core = settings_.one_core ? 1 : 0;
}

template <class Wire>
Result<void> StackProcess<Wire>::open_doors(sockets::Anchors::Descriptors door, Fd session_wake) {
  Result<sockets::Anchors> anchors = sockets::Anchors::create(
      view_, std::move(door),
      {.arrived = [this](uint32_t slot) { server_.process_arrived(slot); },
       .died = [this](uint32_t slot) { server_.process_died(slot); },
       .forked = [this](uint32_t parent, uint32_t child) { server_.process_forked(parent, child); },
       .executed = [this](uint32_t slot) { server_.process_executed(slot); },
       .doorbell_made = [this](uint32_t w, Fd ring) { server_.doorbell_made(w, std::move(ring)); },
       .carry = [this](uint32_t socket) { return server_.carry(socket); },
       .claim = [this](uint32_t socket, uint32_t slot) { server_.claim(socket, slot); },
       .put_down = [this](uint32_t socket) { server_.put_down(socket); }});
  if (!anchors) return anchors.error();
  anchors_.emplace(std::move(*anchors));

  Result<ControlServer> control = process_.serve([this](ControlMessage& request) { return answer(request); });
  if (!control) return control.error();
  control_.emplace(std::move(*control));

  Result<Waker> waker = Waker::adopt(std::move(session_wake));
  if (!waker) return waker.error();
  session_wake_.emplace(std::move(*waker));

  Waiter& waiter = process_.host.waiter();
  Result<void> done = waiter.watch(anchors_->descriptor(), [this](uint32_t) { anchors_->serve(); });
  if (done) done = waiter.watch(session_wake_->fd(), [this](uint32_t) { session_wake_->drain(); });
  if (done) done = watch_link(waiter, link_);
  return done;
}

template <class Wire>
Result<void> StackProcess<Wire>::insist_on_allow_list(Fd names) {
  allowed_.emplace(ip_.filter(), *settings_.allow);
  rules_.insist_on(
      [](const filter::Ruleset& ruleset) -> Result<void> {
        if (AllowList::is_in(ruleset)) return {};
        return Error{"these rules lack the allow-list that the program was started with"};
      },
      [this](TimeNs now) { allowed_->begin(now); });
  Result<void> done = name_door_.open(std::move(names), *allowed_, udp_);
  if (done)
    done = process_.host.waiter().watch(name_door_.descriptor(),
                                        [this](uint32_t) { name_door_.listen(process_.host.now()); });
  shown_.add("names.asked", name_door_.counters().asked);
  shown_.add("names.answered", name_door_.counters().answered);
  shown_.add("names.refused", name_door_.counters().refused);
  shown_.add("names.lost", name_door_.counters().lost);
  shown_.add("names.faults", name_door_.counters().faults);
  return done;
}

template <class Wire>
Result<nlohmann::json> StackProcess<Wire>::answer(ControlMessage& request) {
  const std::string command = request.body.at("command");
  if (command == "sockets") {
    nlohmann::json table =
        socket_table(tcp_, udp_, server_, settings_.sockets, request.body.value("first", size_t{0}));
    table["ok"] = true;
    return table;
  }
  if (command == "relink") {
    if (Result<void> done = relink(request); !done) return done.error();
    return nlohmann::json{{"ok", true}};
  }
  if (command == "load_rules") return rules_.begin_load(request, process_.host.now(), *control_);
  if (Rules::answers(command)) return rules_.answer(command, request, process_.host.now());
  return Error{fmt::format("a stack has no command \"{}\"", command)};
}

// The neighbour at the other end of the link was started anew: the old region is never used again, and what
// was in flight in it is lost, as on a wire.
template <class Wire>
Result<void> StackProcess<Wire>::relink(ControlMessage& request) {
  if (request.fds.size() != 3) return Error{"relink needs region, ring and wake"};
  Result<ShmLink> fresh =
      open_link({std::move(request.fds[0]), std::move(request.fds[1]), std::move(request.fds[2])},
                settings_.link, settings_.mac);
  if (!fresh) return fresh.error();
  Waiter& waiter = process_.host.waiter();
  waiter.unwatch(link_.wake_fd());
  ip_.forget_frames();
  link_ = std::move(*fresh);
  return watch_link(waiter, link_);
}

template <class Wire>
void StackProcess<Wire>::show_counters() {
  shown_.add(link_.counters());
  shown_.add(ip_.counters(), ip_.drops(), ip_.filter());
  shown_.add(tcp_.counters());
  shown_.add(server_.counters(), server_.rings());
  shown_.add("session.faults", anchors_->faults());
  shown_.add("filter.load slices", rules_.slices().slices());
  shown_.add("filter.longest load slice us", rules_.slices().longest_us());
}

template <class Wire>
void StackProcess<Wire>::report() {
  shown_.publish();
  in_use_.set(server_.in_use());
  ip_.set_receive_limit(bite(server_.connected()));
}

template <class Wire>
void StackProcess<Wire>::breathe() {
  Fused all(rules_.slices(), ip_, tcp_component_, udp_component_, names_, datagrams_, server_);
  Loop loop(all, process_.host, process_.stats, LoopPolicy::among_neighbours(settings_.one_core));
  show_counters();
  loop.on_report([this] { report(); });
  loop.run();
  rules_.slices().abandon();
}

template <class Wire>
Result<void> start(Process process, StackSettings settings, Descriptors fds, ShmLink link) {
  Result<Bytes> arena = map(fds.arena, tcp::Tcp::arena_bytes(limits(settings)), "arena");
  if (!arena) return arena.error();
  sockets::SessionSize size;
  size.sockets = settings.sockets;
  size.stream_bytes = settings.stream_bytes;
  if (settings.stream_bytes < kLongBytes) {
    size.long_rings = kLongRings;
    size.long_bytes = kLongBytes;
  }
  Result<Bytes> session = map(fds.session, sockets::SessionView::region_bytes(size), "session region");
  if (!session) return session.error();

  const auto stack =
      std::make_unique<StackProcess<Wire>>(std::move(process), std::move(settings), std::move(link), *arena,
                                           sockets::SessionView(session->data(), size));
  Result<void> done =
      stack->open_doors({std::move(fds.listener), std::move(fds.session), std::move(fds.session_ring)},
                        std::move(fds.session_wake));
  if (done && fds.names) done = stack->insist_on_allow_list(std::move(fds.names));
  if (done) done = confine(Confinement::stack);
  // A stranger's bytes, so behind the walls; and before its first frame.
  if (done) done = stack->load_rules(std::move(fds.rules));
  if (done) stack->breathe();
  return done;
}

Result<void> run() {
  Result<Process> process = Process::receive();
  if (!process) return process.error();
  Result<StackSettings> settings = StackSettings::from(process->env.settings());
  if (!settings) return settings.error();
  Result<Descriptors> fds = Descriptors::take(process->env, settings->allow.has_value());
  if (!fds) return fds.error();
  Result<LinkDescriptors> ends = take_link(process->env, settings->link["end"]);
  if (!ends) return ends.error();
  Result<ShmLink> link = open_link(std::move(*ends), settings->link, settings->mac);
  if (!link) return link.error();
  const auto begin = settings->lossy_seed ? &start<BadWire> : &start<GoodWire>;
  return begin(std::move(*process), std::move(*settings), std::move(*fds), std::move(*link));
}

}  // namespace
}  // namespace skerry

int main() {
  const skerry::Result<void> done = skerry::run();
  return done ? 0 : skerry::exit_with("skerry-stack", done.error());
}
