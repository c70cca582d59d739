// Two whole stacks, Ip with Tcp and Udp, at the two ends of one wire in virtual time. Whoever uses it plays
// the two programs; everything below a socket is the code that runs in a stack process.
//
// A wire is anything with a(), b() (both Links) and deadline(): GoodWire carries memory as between processes
// of one machine, or plain Ethernet frames; BadWire loses, delays, damages and repeats.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "link/local_link.hpp"
#include "link/lossy.hpp"
#include "stack/ip.hpp"
#include "stack/tcp_component.hpp"
#include "stack/udp_component.hpp"
#include "tcp/host.hpp"

namespace skerry::sim {

inline LinkFacts facts_of_memory(uint8_t number) {
  LinkFacts facts;
  facts.mac = MacAddress{{2, 0, 0, 0, 0, number}};
  facts.max_frame = kMaxFrame;
  facts.takes_unfinished = facts.segments_tcp4 = true;
  return facts;
}

inline LinkFacts facts_of_ethernet(uint8_t number) {
  LinkFacts facts;
  facts.mac = MacAddress{{2, 0, 0, 0, 0, number}};
  return facts;
}

class GoodWire {
 public:
  GoodWire(LinkFacts (*facts)(uint8_t), const SlotGeometry& geometry = {})
      : wire_(facts(1), facts(2), geometry) {}
  LocalLink& a() { return wire_.a(); }
  LocalLink& b() { return wire_.b(); }
  TimeNs deadline() const { return kNever; }

 private:
  LocalWire wire_;
};

struct VirtualClock {
  const TimeNs* now;
  TimeNs operator()() const { return *now; }
};

class BadWire {
 public:
  // Stack A sits behind the bad end, whose weather holds for both directions; both may send super-frames,
  // which the weather meets cut up.
  BadWire(const LossyWeather& weather, uint64_t seed, const TimeNs& now)
      : wire_(facts_of_memory(1), facts_of_memory(2)), a_(wire_.a(), weather, seed, VirtualClock{&now}) {}
  Lossy<LocalLink, VirtualClock>& a() { return a_; }
  LocalLink& b() { return wire_.b(); }
  TimeNs deadline() const { return a_.deadline(); }
  uint64_t damaged() const { return a_.rx_fate().flipped + a_.tx_fate().flipped; }
  uint64_t lost() const { return a_.rx_fate().lost + a_.tx_fate().lost; }

 private:
  LocalWire wire_;
  Lossy<LocalLink, VirtualClock> a_;
};

// A datagram that reached a program.
struct Datagram {
  stack::SocketId id = 0;
  Endpoint from, to;
  std::vector<uint8_t> payload;
};

struct Mailbox {
  bool deliver(TimeNs, stack::SocketId id, const Endpoint& from, const Endpoint& to, const stack::Marks&,
               ConstBytes payload) {
    datagrams.push_back({id, from, to, {payload.begin(), payload.end()}});
    return true;
  }
  void refused(TimeNs, stack::SocketId, const stack::TransportError& error) { errors.push_back(error.error); }

  std::vector<Datagram> datagrams;
  std::vector<int> errors;
};

// One stack and the memory of its program.
template <Link L>
class Machine {
 public:
  Machine(L& link, Ipv4Address address, const tcp::HostSettings& settings)
      : program(address, settings),
        addresses_{{address, 24}},
        ip(link, {addresses_, std::nullopt, 16, 64}, program.random),
        udp(settings.connections, program.random),
        sender(ip, udp),
        tcp_(ip, program.tcp),
        udp_(ip, udp, mailbox) {}

  // One breath, `act` being the program's turn. Returns how much work was done.
  template <class Act>
  uint32_t breathe(TimeNs now, Act act) {
    uint32_t work = ip.rx(now) + tcp_.rx(now) + udp_.rx(now);
    program.take_events();
    act();
    work += udp_.tx(now) + tcp_.tx(now);
    return work + ip.tx(now);
  }
  TimeNs deadline() const { return std::min({ip.deadline(), tcp_.deadline(), udp_.deadline()}); }
  tcp::Host program;  // the program's sockets, and TCP itself
  Mailbox mailbox;    // datagrams and errors that reached it

 private:
  const stack::InterfaceAddress addresses_[1];

 public:
  stack::Ip<L> ip;
  stack::Udp udp;
  stack::UdpSender<stack::Ip<L>> sender;

 private:
  stack::TcpComponent<stack::Ip<L>> tcp_;
  stack::UdpComponent<stack::Ip<L>, Mailbox> udp_;
};

inline constexpr Ipv4Address kAddressA = 0x0a000001;
inline constexpr Ipv4Address kAddressB = 0x0a000002;

template <class W>
class Network {
 public:
  using MachineA = Machine<std::remove_reference_t<decltype(std::declval<W>().a())>>;
  using MachineB = Machine<std::remove_reference_t<decltype(std::declval<W>().b())>>;

  // `now` is the clock that the wire may read too; it is moved by run().
  Network(W& wire, TimeNs& now, const tcp::HostSettings& settings_a, const tcp::HostSettings& settings_b)
      : a(wire.a(), kAddressA, settings_a), b(wire.b(), kAddressB, settings_b), wire_(wire), now_(now) {}

  // Both stacks breathe until there is nothing to do at this instant, then time moves to the next deadline,
  // or to `next_action` if a program has something to do before. False: nothing will ever happen again.
  template <class ActA, class ActB>
  bool run(ActA act_a, ActB act_b, TimeNs next_action) {
    // What a program sent to itself is seen one breath later, hence two idle ones. Bounded, as two stacks
    // that answer each other for ever must not hang the test.
    uint32_t idle = 0;
    for (int breath = 0; breath < 100'000 && idle < 2; ++breath)
      idle = a.breathe(now_, act_a) + b.breathe(now_, act_b) == 0 ? idle + 1 : 0;
    EXPECT_EQ(idle, 2u) << "the stacks never come to rest";
    const TimeNs next = std::min({a.deadline(), b.deadline(), wire_.deadline(), next_action});
    if (next == kNever) return false;
    now_ = std::max(now_, next);
    return true;
  }

  MachineA a;
  MachineB b;

 private:
  W& wire_;
  TimeNs& now_;
};

}  // namespace skerry::sim
