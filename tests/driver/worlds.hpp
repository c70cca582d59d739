// The devices that the conformance suite runs over, each with the wire behind it. Real ones live in a network
// namespace of the test's own, which ends with the world.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <deque>

#include "base/check.hpp"
#include "base/fd.hpp"
#include "conformance.hpp"
#include "driver/afxdp/afxdp_link.hpp"
#include "driver/afxdp/xdp_device.hpp"
#include "driver/sim/simulated_nic.hpp"
#include "driver/tap/tap_device.hpp"
#include "driver/tap/tap_link.hpp"
#include "driver/tap/virtio_header.hpp"
#include "driver/user/passt_link.hpp"

namespace skerry {

// This thread is in a network namespace of its own while the object lives.
class OwnNetwork {
 public:
  OwnNetwork() : before_(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
    CHECK(before_ && ::unshare(CLONE_NEWNET) == 0);
  }
  ~OwnNetwork() { CHECK(::setns(before_.get(), CLONE_NEWNET) == 0); }
  OwnNetwork(const OwnNetwork&) = delete;
  OwnNetwork& operator=(const OwnNetwork&) = delete;

 private:
  Fd before_;
};

inline void shell(const std::string& command) {
  CHECK(::system(command.c_str()) == 0);
}

// The far side of an interface of the kernel's: sends and receives raw frames on it.
class PacketWire {
 public:
  explicit PacketWire(const std::string& interface)
      : socket_(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)) {
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(kTestEtherType);
    address.sll_ifindex = static_cast<int>(::if_nametoindex(interface.c_str()));
    CHECK(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }

  // That the interface was down once is said once, instead of sending.
  void send(const Octets& frame) {
    for (int tries = 0; tries < 2; ++tries) {
      if (::send(socket_.get(), frame.data(), frame.size(), MSG_DONTWAIT) >= 0 || errno != ENETDOWN) return;
    }
  }
  std::optional<Octets> receive(int patience_ms) {
    Octets frame(100'000);
    for (int looks = 0; looks < 2; ++looks) {
      pollfd entry{socket_.get(), POLLIN, 0};
      if (::poll(&entry, 1, patience_ms) != 1) continue;
      const ssize_t got = ::recv(socket_.get(), frame.data(), frame.size(), MSG_DONTWAIT);
      if (got < 0) continue;  // the interface went down: the socket says so once
      frame.resize(static_cast<size_t>(got));
      return frame;
    }
    return std::nullopt;
  }

 private:
  Fd socket_;
};

// TapLink on a socket that stands for the device: it keeps frames apart as a TAP does, and needs no
// privilege.
class TapOnSocket {
 public:
  static const char* skip_reason() { return nullptr; }

  TapOnSocket() {
    ::signal(SIGPIPE, SIG_IGN);
    int ends[2];
    CHECK(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends) == 0);
    kernel_.reset(ends[0]);
    Result<TapLink> link = TapLink::create(Fd(ends[1]), InterfaceWatch(), 1500);
    CHECK(link);
    device_.emplace(std::move(*link));
  }

  TapLink& device() { return *device_; }
  void wire_sends(const Octets& frame) {
    Octets packet(sizeof(VirtioNetHeader));
    packet.insert(packet.end(), frame.begin(), frame.end());
    [[maybe_unused]] const ssize_t sent = ::write(kernel_.get(), packet.data(), packet.size());
  }
  std::optional<Octets> wire_receives() {
    Octets packet(100'000);
    const ssize_t got = ::read(kernel_.get(), packet.data(), packet.size());
    if (got < static_cast<ssize_t>(sizeof(VirtioNetHeader))) return std::nullopt;
    return Octets(packet.begin() + sizeof(VirtioNetHeader), packet.begin() + got);
  }

 private:
  Fd kernel_;
  std::optional<TapLink> device_;
};

// A TAP device, with a socket on the host's side of it.
class TapDevice {
 public:
  static const char* skip_reason() {
    if (::geteuid() != 0) return "opening a TAP device needs root";
    return ::access("/dev/net/tun", R_OK | W_OK) == 0 ? nullptr : "this machine has no /dev/net/tun";
  }

  TapDevice() {
    Result<Fd> tap = open_tap("sk-test");
    CHECK(tap && set_up_interface("sk-test", 0x0a630001, 24, 1500));
    Result<Fd> watch = InterfaceWatch::open("sk-test");
    CHECK(watch);
    Result<TapLink> link = TapLink::create(std::move(*tap), InterfaceWatch(std::move(*watch)), 1500);
    CHECK(link);
    device_.emplace(std::move(*link));
    wire_.emplace("sk-test");
  }

  TapLink& device() { return *device_; }
  void wire_sends(const Octets& frame) { wire_->send(frame); }
  std::optional<Octets> wire_receives(int patience_ms = 10'000) { return wire_->receive(patience_ms); }
  void set_up(bool up) { shell(std::string("ip link set sk-test ") + (up ? "up" : "down")); }
  void unplug() { shell("ip link delete sk-test"); }

 private:
  OwnNetwork network_;
  std::optional<TapLink> device_;
  std::optional<PacketWire> wire_;
};

// One end of a veth pair through AF_XDP, with a socket on the other. Native mode cannot be had while the
// other end has an MTU that needs more than a page.
template <bool kGeneric>
class AfxdpOnVeth {
 public:
  static const char* skip_reason() {
    if (::geteuid() != 0) return "taking an interface for AF_XDP needs root";
    static const bool may = [] {
      const OwnNetwork network;
      shell("ip link add sk-test type veth peer name sk-far");
      const Result<XdpDevice> taken = take_interface("sk-test");
      return taken || taken.error().system_error != EPERM;
    }();
    return may ? nullptr : "root may not load an XDP program here";
  }

  explicit AfxdpOnVeth(unsigned queues = 1) {
    const std::string many =
        " numtxqueues " + std::to_string(queues) + " numrxqueues " + std::to_string(queues);
    shell("ip link add sk-test" + many + " type veth peer name sk-far" + many);
    if (kGeneric) shell("ip link set sk-far mtu 9000");
    shell("ip link set sk-test up; ip link set sk-far up");
    Result<XdpDevice> taken = take_interface("sk-test");
    CHECK(taken);
    taken_ = std::move(*taken);
    std::vector<Fd> sockets;
    for (unsigned queue = 0; queue < receive_queues("sk-test"); ++queue) {
      Result<Fd> socket = open_xdp_socket();
      CHECK(socket);
      sockets.push_back(std::move(*socket));
    }
    Result<Fd> watch = InterfaceWatch::open("sk-test");
    CHECK(watch);
    Result<AfxdpLink> link = AfxdpLink::create(std::move(sockets), taken_.sockets_by_queue,
                                               InterfaceWatch(std::move(*watch)), "sk-test", 1500);
    CHECK(link);
    device_.emplace(std::move(*link));
    wire_.emplace("sk-far");
  }

  AfxdpLink& device() { return *device_; }
  void wire_sends(const Octets& frame) { wire_->send(frame); }
  std::optional<Octets> wire_receives(int patience_ms = 10'000) { return wire_->receive(patience_ms); }
  void set_up(bool up) { shell(std::string("ip link set sk-test ") + (up ? "up" : "down")); }
  void plug(bool in) { shell(std::string("ip link set sk-far ") + (in ? "up" : "down")); }
  void unplug() { shell("ip link delete sk-test"); }

 private:
  OwnNetwork network_;
  XdpDevice taken_;
  std::optional<AfxdpLink> device_;
  std::optional<PacketWire> wire_;
};
// A card of the simulation without faults; its clock stands still.
class SimulatedCard {
 public:
  static const char* skip_reason() { return nullptr; }

  auto& device() { return device_; }
  void wire_sends(const Octets& frame) { device_.arrive(frame); }
  std::optional<Octets> wire_receives(int = 0) {
    device_.arm();  // it moves when it is called
    if (wire_.empty()) return std::nullopt;
    Octets frame = std::move(wire_.front());
    wire_.pop_front();
    return frame;
  }
  void set_up(bool up) { device_.set_up(up); }

 private:
  std::deque<Octets> wire_;
  SimulatedNic<TimeNs (*)()> device_{
      FaultPlan{}, 1, [] { return kSecond; }, LinkFacts{},
      [this](ConstBytes frame) { wire_.emplace_back(frame.begin(), frame.end()); }};
};

using AfxdpNative = AfxdpOnVeth<false>;
using AfxdpGeneric = AfxdpOnVeth<true>;

// PasstLink, and in passt's place one who keeps the stream whole when the socket is full.
class PasstOnSocket {
 public:
  static const char* skip_reason() { return nullptr; }

  PasstOnSocket() {
    int ends[2];
    CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    passt_.reset(ends[0]);
    Result<PasstLink> link =
        PasstLink::create(Fd(ends[1]), {{{2, 0, 0, 0, 0, 2}}, 0x0a4d0002, 0x0a4d0001}, 1500);
    CHECK(link && wire_receives());  // it introduces itself
    device_.emplace(std::move(*link));
  }

  // What was begun goes on as soon as there is room, as passt does it.
  PasstLink& device() {
    flush();
    return *device_;
  }
  // Lost, if the frame before it is still on its way into a full socket.
  void wire_sends(const Octets& frame) {
    if (!flush()) return;
    unsent_.resize(FrameStream::kLengthBytes);
    store_be32(unsent_.data(), static_cast<uint32_t>(frame.size()));
    unsent_.insert(unsent_.end(), frame.begin(), frame.end());
    flush();
  }
  std::optional<Octets> wire_receives() {
    Octets length(FrameStream::kLengthBytes);
    if (::recv(passt_.get(), length.data(), length.size(), MSG_DONTWAIT) !=
        static_cast<ssize_t>(length.size()))
      return std::nullopt;
    Octets frame(load_be32(length.data()));
    if (::recv(passt_.get(), frame.data(), frame.size(), MSG_DONTWAIT) != static_cast<ssize_t>(frame.size()))
      return std::nullopt;
    return frame;
  }
  void unplug() { passt_.reset(); }

 private:
  bool flush() {
    const ssize_t sent = ::send(passt_.get(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) unsent_.erase(unsent_.begin(), unsent_.begin() + sent);
    return unsent_.empty();
  }

  Fd passt_;
  Octets unsent_;
  std::optional<PasstLink> device_;
};

}  // namespace skerry
