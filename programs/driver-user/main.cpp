// skerry-driver-user: the process between passt and one program's uplink port. passt was started by the
// supervisor; all that this process has of it is a connected socket.
#include "driver/driver_process.hpp"
#include "driver/user/passt_link.hpp"
#include "wire/address_text.hpp"

int main() {
  using namespace skerry;
  return run_driver<PasstLink>(
      "skerry-driver-user", Confinement::driver, [](Env& env, uint32_t mtu) -> Result<PasstLink> {
        const nlohmann::json& settings = env.settings();
        const auto mac = parse_mac(settings.value("mac", ""));
        const auto address = parse_ipv4(settings.value("address", ""));
        const auto gateway = parse_ipv4(settings.value("gateway", ""));
        if (!mac || !address || !gateway) return Error{"a MAC or IPv4 address in the settings is none"};
        Result<Fd> socket = env.take("passt");
        if (!socket) return socket.error();
        return PasstLink::create(std::move(*socket), {*mac, *address, *gateway}, mtu);
      });
}
