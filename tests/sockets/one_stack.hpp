// A whole stack whose link leads nowhere, and a program that works on the session memory by hand. They meet
// over the loopback, in virtual time: 127.0.0.1 is inside the stack.
#pragma once

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "link/local_link.hpp"
#include "run/component.hpp"
#include "sockets/datagram_component.hpp"
#include "sockets/notes.hpp"
#include "sockets/server.hpp"
#include "stack/ip.hpp"
#include "stack/tcp_component.hpp"
#include "stack/udp_component.hpp"

namespace skerry::sockets {

inline constexpr uint32_t kProcess = 0;  // slot of the program's only process
inline constexpr Ipv4Address kLoopback = 0x7f000001;

class OneStack {
 public:
  static constexpr SessionSize kSize{
      .sockets = 128, .waiters = 8, .calls = 64, .processes = 4, .stream_bytes = 1 << 14};

  OneStack()
      : memory_(SessionView::region_bytes(kSize) + 4096),
        arena_(tcp::Tcp::arena_bytes(kLimits) + 64),
        view_(align(memory_.data(), 4096), kSize),
        random_(1),
        ids_(kSize.sockets),
        wire_(facts(), facts()),
        tcp_(Bytes(align(arena_.data(), 64), tcp::Tcp::arena_bytes(kLimits)), kLimits, streams(view_), ids_,
             {1, 2}, random_),
        udp_(kSize.sockets, random_),
        ip_(wire_.a(), {.addresses = kAddresses, .gateway = std::nullopt}, random_),
        server_(view_, tcp_, udp_, ip_.routes(), ids_),
        tcp_component_(ip_, tcp_),
        udp_component_(ip_, udp_, server_),
        sender_(ip_, udp_),
        datagrams_(server_, sender_) {
    server_.process_arrived(kProcess);
  }

  // Breathes until nothing happens any more; time passes with each breath.
  void settle() {
    Fused all(ip_, tcp_component_, udp_component_, datagrams_, server_);
    for (int idle = 0, turns = 0; idle < 3 && turns < 10'000; ++turns) {
      now_ += 10 * kMicrosecond;
      const uint32_t work = all.rx(now_) + all.tx(now_);
      idle = work == 0 ? idle + 1 : 0;
    }
  }
  void pass(DurationNs time) {
    for (DurationNs step = 0; step < time; step += 10 * kMillisecond) {
      now_ += 10 * kMillisecond;
      settle();
    }
  }

  // ---- the program
  int32_t call(Op op, uint32_t socket, Endpoint* endpoint = nullptr, uint64_t value = 0) {
    Call& call = view_.call(0);
    call.op = static_cast<uint32_t>(op);
    call.process = kProcess;
    call.socket = socket;
    if (endpoint != nullptr) call.endpoint = *endpoint;
    call.value[0] = value;
    call.state.store(kCallRequested);
    view_.control().call_bits[0].fetch_or(1);
    settle();
    if (call.state.exchange(kCallFree) != kCallDone) return -EINTR;
    if (endpoint != nullptr) *endpoint = call.endpoint;
    return call.result;
  }
  uint32_t open(bool stream) { return static_cast<uint32_t>(call(Op::open, 0, nullptr, stream ? 1 : 0)); }
  int32_t close(uint32_t socket) { return call(Op::close, socket); }
  uint32_t listener(uint16_t port, uint32_t backlog = 16) {
    const uint32_t id = open(true);
    Endpoint at{IpAddress::v4(0), port};
    if (call(Op::bind, id, &at) != 0 || call(Op::listen, id, nullptr, backlog) != 0) return kNoSocket;
    return id;
  }
  int32_t connect(uint32_t socket, uint16_t port) {
    Endpoint to{IpAddress::v4(kLoopback), port};
    return call(Op::connect, socket, &to);
  }
  std::optional<uint32_t> accept(uint32_t listener) {
    std::atomic<uint32_t>& read = view_.in(listener).rx_read;
    if (view_.out(listener).rx_written.load() == read.load()) return std::nullopt;
    uint32_t id;
    std::memcpy(&id, view_.rx(listener) + read.load() % kSize.stream_bytes, sizeof id);
    read.store(read.load() + 4);
    view_.refs(kProcess)[id / 64].fetch_or(uint64_t{1} << (id % 64));
    return id;
  }
  void write(uint32_t socket, std::string_view bytes) {
    SocketIn& in = view_.in(socket);
    const uint32_t at = in.tx_written.load();
    if (view_.out(socket).tx_acked.load() == at) in.tx_base.store(at);
    for (uint32_t i = 0; i < bytes.size(); ++i) {
      view_.tx(socket)[(at + i - in.tx_base.load()) % kSize.stream_bytes] = static_cast<uint8_t>(bytes[i]);
    }
    in.tx_written.store(at + static_cast<uint32_t>(bytes.size()));
    note_of(socket);
  }
  std::string read(uint32_t socket) {
    const SocketOut& out = view_.out(socket);
    std::atomic<uint32_t>& at = view_.in(socket).rx_read;
    std::string bytes;
    for (; at.load() != out.rx_written.load(); at.store(at.load() + 1)) {
      bytes += static_cast<char>(view_.rx(socket)[(at.load() - out.rx_base.load()) % kSize.stream_bytes]);
    }
    // As the client has it: the stack hears of reading only when it asked to.
    if (static_cast<int32_t>(at.load() - out.rx_tell_at.load()) >= 0) note_of(socket);
    return bytes;
  }
  void set_receive_buffer(uint32_t socket, uint64_t bytes) {
    view_.call(0).value[kOptionReceiveBuffer] = bytes;
    call(Op::set_options, socket);
    view_.call(0).value[kOptionReceiveBuffer] = 0;
  }
  void note_of(uint32_t socket) { note(view_.dirty(), view_.control().dirty_summary, socket); }
  uint32_t status(uint32_t socket) const { return view_.out(socket).status.load(); }

  // A connected pair over the loopback; the listener stays open.
  struct Pair {
    uint32_t listener, client, server;
  };
  Pair connected(uint16_t port = 7) {
    Pair pair{listener(port), open(true), 0};
    connect(pair.client, port);
    settle();
    pair.server = accept(pair.listener).value_or(kNoSocket);
    return pair;
  }

  SessionView& view() { return view_; }
  Server& server() { return server_; }
  tcp::Tcp& tcp() { return tcp_; }
  IndexPool& ids() { return ids_; }
  uint8_t* region() { return align(memory_.data(), 4096); }
  size_t region_bytes() const { return SessionView::region_bytes(kSize); }

 private:
  using Ip = stack::Ip<LocalLink>;
  static constexpr tcp::Limits kLimits{.connections = kSize.sockets};
  static constexpr stack::InterfaceAddress kAddresses[] = {{0x0a000002, 24}};

  static uint8_t* align(uint8_t* at, uintptr_t to) {
    return reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(at) + to - 1) & ~(to - 1));
  }
  static LinkFacts facts() {
    LinkFacts facts;
    facts.mac = MacAddress{{2, 0, 0, 0, 0, 2}};
    return facts;
  }
  static tcp::Streams streams(const SessionView& view) {
    return {.base = view.streams(),
            .stride = 2 * uint64_t{kSize.stream_bytes},
            .rx_offset = 0,
            .tx_offset = kSize.stream_bytes,
            .stream_bytes = kSize.stream_bytes};
  }

  std::vector<uint8_t> memory_;
  std::vector<uint8_t> arena_;
  SessionView view_;
  Random random_;
  IndexPool ids_;
  LocalWire wire_;
  tcp::Tcp tcp_;
  stack::Udp udp_;
  Ip ip_;
  Server server_;
  stack::TcpComponent<Ip> tcp_component_;
  stack::UdpComponent<Ip, Server> udp_component_;
  stack::UdpSender<Ip> sender_;
  DatagramComponent<stack::UdpSender<Ip>> datagrams_;
  TimeNs now_ = kSecond;
};

}  // namespace skerry::sockets
