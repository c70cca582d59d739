// A long and lossy wire between two interfaces, for kernels that have no netem: each frame that arrives at
// one is dropped with the given chance, or leaves the other after the given time. Frames keep their order,
// both directions are alike, and a queue holds as many frames as netem's (1000).
//
// Both interfaces belong to nobody else: no address, no bridge. What stands at their other ends must hand
// over finished frames of at most the MTU (no checksum or segmentation offload), as to a real wire.
//
// usage: bench-wire INTERFACE INTERFACE DELAY_MS LOSS_PERCENT SEED
// prints "ready", and runs until it is ended
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <optional>
#include <random>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kLongestQueue = 1000;
constexpr size_t kLongestFrame = 65536;

struct Delayed {
  Clock::time_point leaves;
  std::vector<uint8_t> bytes;
};

// One direction of the wire.
struct Direction {
  int from;
  int to;
  std::mt19937 random;
  std::deque<Delayed> queue;

  void take_in(Clock::duration delay, double loss) {
    static uint8_t frame[kLongestFrame];
    ssize_t length;
    while ((length = recv(from, frame, sizeof frame, MSG_DONTWAIT)) > 0) {
      if (std::uniform_real_distribution<>()(random) < loss || queue.size() == kLongestQueue) continue;
      queue.push_back({Clock::now() + delay, {frame, frame + length}});
    }
  }

  void let_out(Clock::time_point now) {
    while (!queue.empty() && queue.front().leaves <= now) {
      // What the interface has no room for is lost, as on any wire.
      send(to, queue.front().bytes.data(), queue.front().bytes.size(), MSG_DONTWAIT);
      queue.pop_front();
    }
  }

  Clock::time_point next() const { return queue.empty() ? Clock::time_point::max() : queue.front().leaves; }
};

// A socket that has every frame that arrives at the interface, and sends there; nothing: errno says why.
std::optional<int> open_interface(const char* name) {
  const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(if_nametoindex(name));
  const int on = 1, room = 8 << 20;
  if (fd < 0 || address.sll_ifindex == 0) return std::nullopt;
  if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) != 0) return std::nullopt;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return std::nullopt;
  return fd;
}

[[noreturn]] void carry(Direction (&ways)[2], Clock::duration delay, double loss) {
  prctl(PR_SET_TIMERSLACK, 1);
  for (;;) {
    const Clock::time_point next = std::min(ways[0].next(), ways[1].next());
    timespec wait{1, 0};
    if (next != Clock::time_point::max()) {
      const auto left = std::max(next - Clock::now(), Clock::duration::zero());
      wait = {0, std::chrono::duration_cast<std::chrono::nanoseconds>(left).count()};
    }
    pollfd ends[] = {{ways[0].from, POLLIN, 0}, {ways[1].from, POLLIN, 0}};
    if (ppoll(ends, 2, &wait, nullptr) < 0 && errno != EINTR) std::abort();
    for (Direction& way : ways) {
      way.take_in(delay, loss);
      way.let_out(Clock::now());
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: bench-wire INTERFACE INTERFACE DELAY_MS LOSS_PERCENT SEED\n");
    return 2;
  }
  const std::optional<int> a = open_interface(argv[1]), b = open_interface(argv[2]);
  if (!a || !b) {
    std::perror("bench-wire");
    return 1;
  }
  const auto delay = std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double, std::milli>(std::atof(argv[3])));
  const auto seed = static_cast<uint32_t>(std::atoi(argv[5]));
  Direction ways[] = {{*a, *b, std::mt19937(seed), {}}, {*b, *a, std::mt19937(seed + 1), {}}};
  std::puts("ready");
  std::fflush(stdout);
  carry(ways, delay, std::atof(argv[4]) / 100);
}
