// Stands in for a stack in the supervisor's tests: it is started, confined, asked and killed like one, and
// does what a program tells it over a session: "inode" answers with that of the session's region, "die" exits
// with status 3, "hang" never breathes again, "forbidden" makes a system call that no stack may make, "lie"
// fills the link to the vswitch with nonsense. That of a program named "slow" takes its time before it
// serves.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <string>

#include "run/link_end.hpp"
#include "run/process.hpp"

namespace {

using namespace skerry;

constexpr size_t kLiedBytes = 64 * 1024;  // all words that the two sides of a link share

// All work is done by handlers, between breaths.
struct Idle {
  uint32_t rx(TimeNs) { return 0; }
  uint32_t tx(TimeNs) { return 0; }
  TimeNs deadline() { return kNever; }
  bool arm() { return true; }
  void disarm() {}
};

class Sessions {
 public:
  Sessions(Fd listener, uint64_t inode, std::function<void()> lie, Host& host)
      : listener_(std::move(listener)), inode_(inode), lie_(std::move(lie)), host_(host) {}

  Result<void> listen() {
    return host_.waiter().watch(listener_.get(), [this](uint32_t) {
      Fd session(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!session) return;
      const int number = session.get();
      sessions_.emplace(number, std::move(session));
      const Result<void> watched = host_.waiter().watch(number, [this, number](uint32_t) { obey(number); });
      CHECK(watched);
    });
  }

 private:
  void obey(int session) {
    char text[32] = {};
    const ssize_t length = ::recv(session, text, sizeof text - 1, 0);
    const std::string order(text, length > 0 ? static_cast<size_t>(length) : 0);
    if (order == "die") ::_exit(3);
    if (order == "lie") lie_();
    if (order == "forbidden") ::close(::open("/etc/passwd", O_RDONLY));
    if (order == "hang") {
      for (volatile int forever = 1; forever != 0;) {
      }
    }
    const std::string answer = std::to_string(inode_);
    if (order == "inode") ::send(session, answer.data(), answer.size(), MSG_NOSIGNAL);
    if (!order.empty()) return;
    host_.waiter().unwatch(session);
    sessions_.erase(session);
  }

  Fd listener_;
  uint64_t inode_;
  std::function<void()> lie_;
  Host& host_;
  std::map<int, Fd> sessions_;
};

Result<void> run() {
  Result<Process> process = Process::receive();
  if (!process) return process.error();
  Env& env = process->env;
  if (env.name() == "slow.stack") ::usleep(500'000);
  Result<LinkDescriptors> link_fds = take_link(env, "link");
  Result<Fd> arena = env.take("arena"), region = env.take("session.region"), wake = env.take("session.wake"),
             ring = env.take("session.ring"), listener = env.take("session.listener");
  if (!link_fds || !arena || !region || !wake || !ring || !listener) return Error{"a descriptor is missing"};
  const Fd ring_copy(::fcntl(link_fds->ring.get(), F_DUPFD_CLOEXEC, 0));
  void* const words =
      ::mmap(nullptr, kLiedBytes, PROT_READ | PROT_WRITE, MAP_SHARED, link_fds->region.get(), 0);
  const auto lie = [&] {
    std::memset(words, 0xff, kLiedBytes);
    if (::write(ring_copy.get(), "", 1) != 1) ::_exit(4);
  };
  Result<ShmLink> link = open_link(std::move(*link_fds), env.settings());
  if (!link) return link.error();
  struct stat status {};
  ::fstat(region->get(), &status);
  Sessions sessions(std::move(*listener), status.st_ino, lie, process->host);
  const Result<void> listening = sessions.listen();
  if (!listening) return listening;

  Counter relinks = process->stats.counter("relinks");
  process->stats.counter("sockets.in_use").set(0);
  const Result<ControlServer> control =
      process->serve([&](ControlMessage& request) -> Result<nlohmann::json> {
        if (request.body.at("command") == "relink" && request.fds.size() == 3) relinks.add(1);
        if (request.body.at("command") == "sockets")
          return nlohmann::json{{"rows", {{{"proto", "tcp"}}}}, {"more", false}};
        return nlohmann::json::object();
      });
  if (!control) return control.error();
  const Result<void> confined = confine(Confinement::stack);
  if (!confined) return confined;
  Idle idle;
  Loop loop(idle, process->host, process->stats, LoopPolicy{});
  loop.run();
  return {};
}

}  // namespace

int main() {
  const Result<void> done = run();
  return done ? 0 : exit_with("fake-stack", done.error());
}
