// skerry-driver-afxdp: the process between an interface of Linux and the switch's uplink port. The supervisor
// has taken the interface and opened the sockets; this process binds them, and has no right to open one.
#include "driver/afxdp/afxdp_link.hpp"
#include "driver/driver_process.hpp"

int main() {
  using namespace skerry;
  const auto open = [](Env& env, uint32_t mtu) -> Result<AfxdpLink> {
    const Result<Fd> sockets_by_queue = env.take("sockets_by_queue");
    if (!sockets_by_queue) return sockets_by_queue.error();
    Result<Fd> watch = env.take("watch");
    if (!watch) return watch.error();
    std::vector<Fd> sockets;
    for (unsigned queue = 0; queue < env.settings().at("queues").get<unsigned>(); ++queue) {
      Result<Fd> socket = env.take("socket" + std::to_string(queue));
      if (!socket) return socket.error();
      sockets.push_back(std::move(*socket));
    }
    return AfxdpLink::create(std::move(sockets), *sockets_by_queue, InterfaceWatch(std::move(*watch)),
                             env.settings().at("interface").get<std::string>(), mtu);
  };
  return run_driver<AfxdpLink>("skerry-driver-afxdp", Confinement::driver_afxdp, open);
}
