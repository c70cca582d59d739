#include "stack_process.hpp"

#include <sys/random.h>
#include <time.h>

#include <algorithm>

#include "run/component.hpp"
#include "run/loop.hpp"

namespace skerry {
namespace {

// Frames that one breath takes from the link: about half of the flows, so that the two ends of the
// connections overlap instead of taking turns. Idle connections count too: then the limit is merely looser.
// With few connections batches are small by themselves, and datagrams know no flows.
constexpr uint32_t kLargestBite = 32;
uint32_t bite(uint32_t connections) {
  return connections < 16 ? kLargestBite : std::min(connections / 2, kLargestBite);
}

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

}  // namespace

template <class Wire>
StackProcess<Wire>::StackProcess(Process process, StackSettings settings, ShmLink link,
                                 const GrantedMemory& memory)
    : process_(std::move(process)),
      settings_(std::move(settings)),
      link_(std::move(link)),
      wire_(link_, settings_),
      view_(memory.session),
      random_(secret<uint64_t>()),
      ids_(settings_.sockets),
      tcp_(memory.arena, limits(settings_), streams_of(view_), ids_, secret<SipKey>(), random_),
      udp_(settings_.sockets + 1, random_),  // the last is the stack's own
      own_sockets_(tcp_, udp_),
      ip_(wire_.link(),
          {.addresses = settings_.addresses,
           .gateway = settings_.gateway,
           .gateway_holds = settings_.gateway_holds},
          random_),
      server_(view_, tcp_, udp_, ip_.routes(), ids_),
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

// What main.cpp calls, for either wire.
template StackProcess<GoodWire>::StackProcess(Process, StackSettings, ShmLink, const GrantedMemory&);
template StackProcess<BadWire>::StackProcess(Process, StackSettings, ShmLink, const GrantedMemory&);
template void StackProcess<GoodWire>::breathe();
template void StackProcess<BadWire>::breathe();

}  // namespace skerry
