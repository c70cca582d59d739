// A packet on the control socket, from a process that the supervisor started but does not believe: it becomes
// an object or an error, and whoever answers requests answers each, whatever its members are.
#include <sys/socket.h>

#include <cstdlib>
#include <optional>

#include "run/control.hpp"

namespace {

using skerry::Result;

struct Pair {
  Pair() : waiter(std::move(*skerry::Waiter::create())) {
    auto ends = skerry::create_control_pair();
    CHECK(ends);
    supervisor = std::move(ends->first);
    auto created = skerry::ControlServer::create(
        std::move(ends->second), waiter, [](skerry::ControlMessage& request) -> Result<nlohmann::json> {
          const std::string command = request.body.at("command");
          return nlohmann::json{{"heard", command}, {"port", request.body.value("port", 0)}};
        });
    CHECK(created);
    server.emplace(std::move(*created));
  }
  skerry::Waiter waiter;
  skerry::Fd supervisor;
  std::optional<skerry::ControlServer> server;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Pair pair;
  if (size == 0 || size > skerry::kMaxControlBytes) return 0;
  if (::send(pair.supervisor.get(), data, size, 0) != static_cast<ssize_t>(size)) std::abort();
  pair.waiter.wait(0);
  const Result<skerry::ControlMessage> reply = skerry::receive_control(pair.supervisor);
  if (!reply || reply->body.contains("ok") == reply->body.contains("error")) std::abort();
  return 0;
}
