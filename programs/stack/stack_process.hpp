// The stack of one program, whole: joins IP, TCP, UDP and the socket server to one link and one session. Made
// and breathed in stack_process.cpp; who knocks meanwhile, stack_process_doors.cpp answers. Read first:
// stack/ip.hpp, tcp/tcp.hpp and sockets/session.hpp.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "allow_list.hpp"
#include "granted_memory.hpp"
#include "name_door.hpp"
#include "rules/rules.hpp"
#include "run/process.hpp"
#include "settings.hpp"
#include "shm/doorbell.hpp"
#include "shown_counters.hpp"
#include "sockets/anchors.hpp"
#include "sockets/datagram_component.hpp"
#include "sockets/server.hpp"
#include "stack/ip.hpp"
#include "stack/own_sockets.hpp"
#include "stack/tcp_component.hpp"
#include "stack/udp_component.hpp"
#include "wires.hpp"

namespace skerry {

// Everything of the stack in the order in which it is made; what comes later points to what came before. Wire
// is what lies between it and the link: GoodWire or BadWire.
template <class Wire>
class StackProcess {
 public:
  StackProcess(Process process, StackSettings settings, ShmLink link, const GrantedMemory& memory);
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

}  // namespace skerry
