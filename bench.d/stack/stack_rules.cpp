// What rules cost a stack for a request and its answer, without other processes and cores, whose noise is
// larger:
//
//   bench-stack-rules BATCH [ROUNDS [KIB]]
//
// A server's stack answers fifty connections, ten requests in a breath, between two of which so much other
// memory is used as a program may do (48 KiB: what the first cache holds). Rounds of a hundred breaths
// without rules and with those of the batch (what skerry-nftc prints) take turns. Prints for receiving a
// request, for sending its answer and for both the nanoseconds without rules, with them, and the middle of
// what those of a pair of rounds differ by, with its 95 % interval.
#include <x86intrin.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "filter/load.hpp"
#include "link/local_link.hpp"
#include "stack/ip.hpp"
#include "stack/tcp_component.hpp"
#include "tcp/host.hpp"

namespace {

using namespace skerry;
using namespace skerry::stack;

constexpr uint32_t kConnections = 50, kAtOnce = 10, kBreaths = 100;
constexpr Ipv4Address kServer = 0x0a4d0002, kClient = 0x0a4d0003;  // 10.77.0.2, .3

class End {
 public:
  End(LocalLink& link, Ipv4Address address)
      : address_{{address, 24}},
        ip_(link, IpSettings{address_, 0}, random_),
        host_(address, settings()),
        component_(ip_, host_.tcp) {}

  void receive(TimeNs now) {
    ip_.rx(now);
    component_.rx(now);
  }
  void send(TimeNs now) {
    component_.tx(now);
    ip_.tx(now);
  }
  tcp::Host& host() { return host_; }
  Ip<LocalLink>& ip() { return ip_; }

 private:
  static tcp::HostSettings settings() {
    tcp::HostSettings settings;
    settings.connections = kConnections + 8;
    settings.half_open = settings.time_wait = 64;
    settings.stream_bytes = 4096;
    return settings;
  }

  std::array<InterfaceAddress, 1> address_;
  Random random_{7};
  Ip<LocalLink> ip_;
  tcp::Host host_;
  TcpComponent<Ip<LocalLink>> component_;
};

LinkFacts facts(uint8_t last) {
  LinkFacts facts;
  facts.mac = {{2, 0, 0, 0, 0, last}};
  facts.max_frame = kMaxFrame;
  facts.takes_unfinished = facts.segments_tcp4 = facts.vouches = true;
  return facts;
}

class Conversation {
 public:
  explicit Conversation(size_t memory_bytes)
      : wire_(facts(1), facts(2), {}),
        server_(wire_.a(), kServer),
        client_(wire_.b(), kClient),
        memory_(memory_bytes) {
    const tcp::ConnectionId listener = server_.host().listen(6379, 64);
    for (uint32_t i = 0; i < kConnections; ++i) {
      clients_.push_back(client_.host().open());
      client_.host().tcp.connect(now_, clients_.back(), {IpAddress::v4(kServer), 6379});
      for (int breath = 0; breath < 8; ++breath) {
        breathe(client_);
        breathe(server_);
      }
      const auto id = server_.host().accept(listener);
      if (!id) std::abort();
      servers_.push_back(*id);
    }
  }

  // Cycles that the server's stack took for a request, in a round: receiving and sending.
  std::array<double, 2> round() {
    uint64_t received = 0, sent = 0;
    for (uint32_t breath = 0; breath < kBreaths; ++breath, first_ = (first_ + kAtOnce) % kConnections) {
      for (uint32_t i = 0; i < kAtOnce; ++i)
        client_.host().write(now_, clients_[first_ + i], "*2\r\n$3\r\nGET\r\n$16\r\nkey:__rand_int__\r\n");
      client_.send(now_);
      use_memory();
      uint64_t begin = __rdtsc();
      server_.receive(now_);
      received += __rdtsc() - begin;
      for (uint32_t i = 0; i < kAtOnce; ++i) {
        const tcp::ConnectionId id = servers_[first_ + i];
        if (server_.host().read(now_, id).empty()) std::abort();
        server_.host().write(now_, id, "$3\r\nxxx\r\n");
      }
      use_memory();
      begin = __rdtsc();
      server_.send(now_);
      sent += __rdtsc() - begin;
      client_.receive(now_);
      for (uint32_t i = 0; i < kAtOnce; ++i) client_.host().read(now_, clients_[first_ + i]);
      client_.host().take_events();
      server_.host().take_events();
      now_ += 20 * kMicrosecond;
    }
    constexpr double kRequests = kBreaths * kAtOnce;
    return {static_cast<double>(received) / kRequests, static_cast<double>(sent) / kRequests};
  }

  filter::Engine use(filter::Engine engine) { return server_.ip().filter().use(std::move(engine), now_); }

 private:
  void breathe(End& end) {
    end.receive(now_);
    end.host().take_events();
    end.send(now_);
    now_ += 20 * kMicrosecond;
  }
  void use_memory() {
    for (size_t i = 0; i < memory_.size(); i += 64) ++memory_[i];
    asm volatile("" ::: "memory");
  }

  LocalWire wire_;
  End server_, client_;
  std::vector<tcp::ConnectionId> servers_, clients_;
  std::vector<uint8_t> memory_;
  TimeNs now_ = 1000 * kSecond;
  uint32_t first_ = 0;
};

std::vector<uint8_t> content(const char* path) {
  std::vector<uint8_t> bytes;
  std::FILE* const file = std::fopen(path, "rb");
  if (file == nullptr) {
    std::perror(path);
    std::exit(2);
  }
  uint8_t part[65536];
  for (size_t got; (got = std::fread(part, 1, sizeof part, file)) > 0;)
    bytes.insert(bytes.end(), part, part + got);
  std::fclose(file);
  return bytes;
}

double cycles_in_a_nanosecond() {
  const auto begin = std::chrono::steady_clock::now();
  const uint64_t first = __rdtsc();
  while (std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(50)) {
  }
  return static_cast<double>(__rdtsc() - first) / 5e7;
}

// Of what pairs of rounds took.
class Pairs {
 public:
  void add(double without, double with) {
    without_.push_back(without);
    with_.push_back(with);
    differences_.push_back(with - without);
  }
  void print(const char* what) {
    for (std::vector<double>* values : {&without_, &with_, &differences_})
      std::sort(values->begin(), values->end());
    const size_t count = differences_.size(), middle = count / 2;
    // The interval of a median, by ranks (binomial).
    const auto half = static_cast<size_t>(std::lround(.98 * std::sqrt(static_cast<double>(count))));
    std::printf("%-8s %.1f %.1f %.1f [%.1f..%.1f]\n", what, without_[middle], with_[middle],
                differences_[middle], differences_[middle - std::min(middle, half)],
                differences_[std::min(count - 1, middle + half)]);
  }

 private:
  std::vector<double> without_, with_, differences_;
};

}  // namespace

int main(int count, char** words) {
  if (count < 2) {
    std::fputs("usage: bench-stack-rules BATCH [ROUNDS [KIB]]\n", stderr);
    return 2;
  }
  filter::Ruleset ruleset;
  if (const auto refusal = filter::load(content(words[1]), ruleset)) {
    std::fprintf(stderr, "bench-stack-rules: %s\n", refusal->sentence.c_str());
    return 1;
  }
  const long rounds = std::max(1L, count > 2 ? std::atol(words[2]) : 2000);
  const double cycles = cycles_in_a_nanosecond();
  Conversation conversation(size_t{1024} * (count > 3 ? std::atol(words[3]) : 48));
  filter::Engine other(std::move(ruleset));
  Pairs receiving, sending, both;
  for (long i = 0; i < rounds; ++i) {
    conversation.round();  // what was used last for a while comes back
    const auto without = conversation.round();
    other = conversation.use(std::move(other));
    conversation.round();
    const auto with = conversation.round();
    other = conversation.use(std::move(other));
    receiving.add(without[0] / cycles, with[0] / cycles);
    sending.add(without[1] / cycles, with[1] / cycles);
    both.add((without[0] + without[1]) / cycles, (with[0] + with[1]) / cycles);
  }
  std::puts("         without  with  more, ns a request");
  receiving.print("receive");
  sending.print("send");
  both.print("both");
  return 0;
}
