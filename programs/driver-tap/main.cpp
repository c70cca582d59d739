// skerry-driver-tap: the process between a TAP device and the switch's uplink port. The device was opened by
// the supervisor; this process has no right to open one.
#include "driver/driver_process.hpp"
#include "driver/tap/tap_link.hpp"

int main() {
  using namespace skerry;
  return run_driver<TapLink>(
      "skerry-driver-tap", Confinement::driver, [](Env& env, uint32_t mtu) -> Result<TapLink> {
        Result<Fd> device = env.take("tap");
        if (!device) return device.error();
        Result<Fd> watch = env.take("watch");
        if (!watch) return watch.error();
        return TapLink::create(std::move(*device), InterfaceWatch(std::move(*watch)), mtu);
      });
}
