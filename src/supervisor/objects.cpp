#include "supervisor/objects.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/system_error.hpp"
#include "driver/afxdp/xdp_device.hpp"
#include "driver/interface_watch.hpp"
#include "driver/tap/tap_device.hpp"
#include "link/shm_link.hpp"
#include "run/stats.hpp"
#include "shm/doorbell.hpp"
#include "shm/region.hpp"
#include "supervisor/address_text.hpp"
#include "supervisor/name_server.hpp"

namespace skerry::supervisor {
namespace {

constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;  // of rules

Result<Fd> create_memory(const std::string& name, size_t bytes) {
  Result<Region> region = Region::create(("skerry-" + name).c_str(), bytes);
  if (!region) return region.error();
  Fd fd(::fcntl(region->fd(), F_DUPFD_CLOEXEC, 0));
  if (!fd) return system_error("cannot keep the region " + name);
  return fd;
}

Result<Fd> create_tap(const Object& object) {
  Result<Fd> device = open_tap(object.interface);
  if (!device) return device;
  const size_t slash = object.host_address.find('/');
  const std::optional<Ipv4Address> address = parse_ipv4(object.host_address.substr(0, slash));
  if (!address || slash == std::string::npos)
    return Error{"the address " + object.host_address + " of " + object.interface + " is none"};
  const int prefix_bits = std::atoi(object.host_address.c_str() + slash + 1);
  const Result<void> up =
      set_up_interface(object.interface, *address, static_cast<uint8_t>(prefix_bits), kMtu);
  if (!up) return up.error();
  return device;
}

}  // namespace

Result<void> Objects::create(const Object& object) {
  const auto keep = [&](Result<Fd> fd) -> Result<void> {
    if (!fd) return fd.error();
    held_[object.name] = {std::move(*fd), Fd(), {}, {}};
    return {};
  };
  switch (object.kind) {
    case ObjectKind::region:
      return keep(create_memory(object.name, object.bytes != 0 ? object.bytes : ShmLink::region_bytes()));
    case ObjectKind::session:
    case ObjectKind::arena:
      return keep(create_memory(object.name, object.bytes));
    case ObjectKind::stats:
      return keep(create_stats_memory());
    case ObjectKind::tap:
      return keep(create_tap(object));
    case ObjectKind::xdp_map: {
      Result<XdpDevice> device = take_interface(object.interface);
      if (!device) return device.error();
      Held held{std::move(device->sockets_by_queue), Fd(), {}, {}};
      held.beside.push_back(std::move(device->attachment));
      held.beside.push_back(std::move(device->promiscuity));
      held_[object.name] = std::move(held);
      return {};
    }
    case ObjectKind::xdp_socket:
      return keep(open_xdp_socket());
    case ObjectKind::interface_watch:
      return keep(InterfaceWatch::open(object.interface));
    case ObjectKind::passt: {
      // The old one first, because it has the ports. If somebody took one meanwhile, passt says so and ends,
      // its driver with it, and both are tried again for a while.
      const bool again = held_.erase(object.name) > 0;
      Result<Passt> passt = Passt::start(object, log_fd_, !again);
      if (!passt) return passt.error();
      Fd socket = passt->take_socket();
      held_[object.name] = {std::move(socket), Fd(), {}, std::move(*passt)};
      return {};
    }
    case ObjectKind::pipe: {
      Result<DoorbellPipe> pipe = DoorbellPipe::create();
      if (!pipe) return pipe.error();
      held_[object.name] = {std::move(pipe->wake), std::move(pipe->ring), {}, {}};
      return {};
    }
    case ObjectKind::rules: {
      Fd none(::memfd_create(("skerry-" + object.name).c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
      if (!none || ::fcntl(none.get(), F_ADD_SEALS, kSeals) != 0)
        return system_error("cannot make memory for rules");
      return keep(std::move(none));
    }
    case ObjectKind::names: {
      int ends[2];
      if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return system_error("cannot make a socket for a resolver");
      held_[object.name] = {Fd(ends[0]), Fd(ends[1]), {}, {}};
      return {};
    }
    case ObjectKind::name_server:
      return keep(open_name_server(object.host_address));
    case ObjectKind::control:
    case ObjectKind::listener:
      return {};
  }
  return {};
}

void Objects::adopt_listener(const std::string& name, Fd listener) {
  held_[name] = {std::move(listener), Fd(), {}, {}};
}

Result<void> Objects::adopt_rules(const std::string& name, Fd memory) {
  if ((::fcntl(memory.get(), F_GET_SEALS) & kSeals) != kSeals)
    return Error{"rules come in memory that is sealed, and this is none"};
  held_[name] = {std::move(memory), Fd(), {}, {}};
  return {};
}

void Objects::drop(const std::string& name) {
  held_.erase(name);
}

int Objects::descriptor(const std::string& name, Access access) const {
  const auto found = held_.find(name);
  if (found == held_.end()) return -1;
  return access == Access::write ? found->second.write.get() : found->second.fd.get();
}

pid_t Objects::passt_of(const std::string& name) const {
  const auto found = held_.find(name);
  return found == held_.end() ? -1 : found->second.passt.pid();
}

uint64_t inode_of(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 ? status.st_ino : 0;
}

}  // namespace skerry::supervisor
