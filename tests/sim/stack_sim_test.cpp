// Whole stacks over good and bad wires, with programs that a seed drives: connections both ways, datagrams
// beside them. Whatever the seed: every byte of every stream arrives once and in order, no datagram arrives
// changed, and in the end no frame, no connection and no timer is left.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "sim/network.hpp"

namespace skerry::sim {
namespace {

struct Scenario {
  const char* name;
  LossyWeather weather;
  uint32_t stream_bytes = 65536;
  uint32_t connections = 3;
  uint32_t most_bytes = 100'000;
};

void PrintTo(const Scenario& scenario, std::ostream* out) {
  *out << scenario.name;
}

// Byte `position` of the stream `key`.
uint8_t pattern(uint32_t key, uint32_t position) {
  const uint32_t mixed = (position + key * 7919) * 2654435761u;
  return static_cast<uint8_t>(mixed >> 24);
}

// A program with connections over which it sends, reads and hangs up as chance has it.
template <class M>
class Program {
 public:
  Program(M& machine, bool is_server, const Scenario& scenario, Random& random)
      : machine_(machine), is_server_(is_server), scenario_(scenario), random_(random) {}

  void listen() { listener_ = machine_.program.listen(80); }

  void connect(TimeNs now, const IpAddress& server) {
    tcp::Host& host = machine_.program;
    const tcp::ConnectionId id = host.open();
    ASSERT_EQ(host.tcp.connect(now, id, {server, 80}), 0);
    start(id, host.tcp.local(id).port * 2u);
  }

  void act(TimeNs now) {
    tcp::Host& host = machine_.program;
    while (listener_) {
      const auto id = host.accept(*listener_);
      if (!id) break;
      start(*id, host.tcp.remote(*id).port * 2u + 1);
    }
    for (auto it = talks_.begin(); it != talks_.end();) {
      if (host.ids.is_allocated(it->first)) {
        if (it->second.next_action <= now && !it->second.closed) converse(now, it->first, it->second);
        ++it;
      } else {
        ++finished_;
        it = talks_.erase(it);
      }
    }
  }

  TimeNs next_action() const {
    TimeNs next = kNever;
    for (const auto& [id, talk] : talks_)
      if (!talk.closed) next = std::min(next, talk.next_action);
    return next;
  }
  uint32_t finished() const { return finished_; }
  uint64_t received() const { return received_; }
  void hang_up(TimeNs now) { machine_.program.tcp.close(now, *listener_, false), listener_.reset(); }

 private:
  struct Talk {
    uint32_t key = 0;
    uint32_t to_send = 0, sent = 0, received = 0;
    bool shut = false, closed = false;
    TimeNs next_action = 0;
  };

  void start(tcp::ConnectionId id, uint32_t key) {
    Talk& talk = talks_[id] = {};
    talk.key = key;
    talk.to_send = random_.below(scenario_.most_bytes + 1);
  }

  void converse(TimeNs now, tcp::ConnectionId id, Talk& talk) {
    tcp::Host& host = machine_.program;
    talk.next_action = now + 1 + random_.next() % kMillisecond;
    ASSERT_EQ(host.tcp.error(id), 0);
    const tcp::State state = host.tcp.state(id);
    if (state == tcp::State::syn_sent || state == tcp::State::syn_received) return;
    const uint32_t peer_key = is_server_ ? talk.key - 1 : talk.key + 1;
    for (const uint8_t byte : host.read(now, id, 1 + random_.below(40'000))) {
      ASSERT_EQ(byte, pattern(peer_key, talk.received)) << "byte " << talk.received;
      ++talk.received;
      ++received_;
    }
    uint8_t chunk[30'000];
    const uint32_t length = std::min(1 + random_.below(sizeof chunk), talk.to_send - talk.sent);
    for (uint32_t i = 0; i < length; ++i) chunk[i] = pattern(talk.key, talk.sent + i);
    talk.sent += host.write(now, id, chunk, length);
    if (talk.sent == talk.to_send && !talk.shut) {
      talk.shut = true;
      ASSERT_EQ(host.tcp.shutdown_write(now, id), 0);
    }
    if (talk.shut && (host.sockets[id].events & tcp::kPeerClosed) != 0 && host.readable(id) == 0) {
      talk.closed = true;
      host.tcp.close(now, id, false);
    }
  }

  M& machine_;
  const bool is_server_;
  const Scenario& scenario_;
  Random& random_;
  std::optional<tcp::ConnectionId> listener_;
  std::map<tcp::ConnectionId, Talk> talks_;
  uint32_t finished_ = 0;
  uint64_t received_ = 0;
};

tcp::HostSettings settings_for(const Scenario& scenario, uint64_t seed) {
  tcp::HostSettings settings;
  settings.stream_bytes = scenario.stream_bytes;
  settings.connections = 2 * scenario.connections + 2;
  settings.seed = seed;
  return settings;
}

// All slots of a link's end are free, but for the frames that a stack keeps at hand.
template <Link L>
uint32_t free_slots(L& link) {
  std::vector<Frame> frames;
  while (const auto frame = link.allocate(100)) frames.push_back(*frame);
  while (const auto frame = link.allocate(link.facts().max_frame)) frames.push_back(*frame);
  for (const Frame& frame : frames) link.give_back(frame);
  return static_cast<uint32_t>(frames.size());
}

// With `few_frames`, stacks may drop what waits for an answer to ARP, since the question needs a frame too.
template <class W>
void simulate(W& wire, TimeNs& now, const Scenario& scenario, uint64_t seed, bool few_frames = false) {
  Random random(seed);
  const uint32_t slots_a = free_slots(wire.a());
  const uint32_t slots_b = free_slots(wire.b());
  Network<W> network(wire, now, settings_for(scenario, 2 * seed), settings_for(scenario, 2 * seed + 1));
  Program a(network.a, false, scenario, random);
  Program b(network.b, true, scenario, random);
  Endpoint echo{IpAddress::v4(0), 7};
  ASSERT_EQ(network.b.udp.bind(0, echo, false), 0);
  // Where the wire is bad the two get to know each other first: a connection whose three questions by ARP are
  // lost rightly fails.
  const bool good = scenario.weather.loss == 0 && scenario.weather.flip == 0;
  for (int attempt = 0; !good && attempt < 100 && network.b.mailbox.datagrams.empty(); ++attempt) {
    ASSERT_EQ(network.a.sender.send(now, 0, {network.b.program.address, 7}, {}, {}, {}, {}), 0);
    network.run([] {}, [] {}, now + 100 * kMillisecond);
  }
  network.b.mailbox.datagrams.clear();
  b.listen();
  for (uint32_t i = 0; i < scenario.connections; ++i) a.connect(now, network.b.program.address);

  uint32_t datagrams = 0, sent = 0;
  const TimeNs limit = now + 3600 * kSecond;
  const auto is_over = [&] {
    return a.finished() == scenario.connections && b.finished() == scenario.connections;
  };
  while (!is_over()) {
    const bool alive =
        network.run([&] { a.act(now); }, [&] { b.act(now); }, std::min(a.next_action(), b.next_action()));
    ASSERT_TRUE(alive || is_over()) << "stuck: nothing will ever happen";
    ASSERT_LT(now, limit) << "takes too long";
    if (testing::Test::HasFailure()) return;
    if (datagrams < 200) {
      const auto length = 4 + random.below(4000);  // some are cut
      std::vector<uint8_t> payload(length);
      store_be32(payload.data(), datagrams);
      for (uint32_t i = 4; i < length; ++i) payload[i] = pattern(datagrams, i);
      const int error = network.a.sender.send(now, 0, {network.b.program.address, 7}, {}, {}, payload, {});
      ASSERT_TRUE(error == 0 || error == EAGAIN) << error;
      ++datagrams;
      sent += error == 0;
    }
  }
  b.hang_up(now);
  while (network.run([] {}, [] {}, kNever))
    ASSERT_LT(now, limit + 300 * kSecond);  // TIME-WAIT ends by itself

  for (const Datagram& datagram : network.b.mailbox.datagrams) {
    if (datagram.payload.empty()) continue;  // one of the first, late
    const uint32_t key = load_be32(datagram.payload.data());
    ASSERT_LT(key, datagrams);
    for (uint32_t i = 4; i < datagram.payload.size(); ++i) ASSERT_EQ(datagram.payload[i], pattern(key, i));
  }
  const auto expect_clean = [](auto& machine) {
    EXPECT_EQ(machine.program.ids.allocated(), 0u);
    EXPECT_FALSE(machine.program.tcp.has_output());
    EXPECT_EQ(machine.ip.neighbours().held(), 0u);
  };
  expect_clean(network.a);
  expect_clean(network.b);
  // One small and one large frame may be kept for the next segment.
  EXPECT_GE(free_slots(wire.a()) + 2, slots_a);
  EXPECT_GE(free_slots(wire.b()) + 2, slots_b);
  if (good) {
    const uint64_t unresolved = network.a.ip.drops()[stack::DropReason::unresolved];
    if (!few_frames) {
      EXPECT_EQ(unresolved, 0u);
    }
    // Where pieces come late, more packets may be incomplete at a time than there are places for.
    const uint64_t incomplete = network.b.ip.drops()[stack::DropReason::fragments_missing];
    EXPECT_GE(network.b.mailbox.datagrams.size() + unresolved + incomplete, sent);
  }
}

class StackSim : public testing::TestWithParam<Scenario> {
 protected:
  // SKERRY_SIM_SEEDS asks for more, SKERRY_SIM_SEED for exactly one.
  template <class Run>
  void for_each_seed(uint64_t count, Run run) {
    const char* const count_text = std::getenv("SKERRY_SIM_SEEDS");
    const char* const seed_text = std::getenv("SKERRY_SIM_SEED");
    if (count_text) count = std::strtoull(count_text, nullptr, 10);
    const uint64_t first = seed_text ? std::strtoull(seed_text, nullptr, 10) : 1;
    for (uint64_t seed = first; seed < first + (seed_text ? 1 : count); ++seed) {
      run(seed);
      ASSERT_FALSE(HasFailure()) << "SKERRY_SIM_SEED=" << seed;
    }
  }
};

TEST_P(StackSim, SurvivesTheWeather) {
  uint64_t damaged = 0, lost = 0;
  for_each_seed(100, [&](uint64_t seed) {
    TimeNs now = kSecond;
    BadWire wire(GetParam().weather, seed, now);
    simulate(wire, now, GetParam(), seed);
    damaged += wire.damaged();
    lost += wire.lost();
  });
  // The scenario did what it says.
  EXPECT_EQ(GetParam().weather.flip > 0, damaged > 0);
  EXPECT_EQ(GetParam().weather.loss > 0, lost > 0);
}

INSTANTIATE_TEST_SUITE_P(
    Weathers, StackSim,
    testing::Values(
        Scenario{"fair", {.delay_ns = 50 * kMicrosecond}},
        Scenario{
            "one_percent_of_everything",
            {.loss = 0.01, .duplicate = 0.01, .flip = 0.01, .reorder = 0.01, .delay_ns = 100 * kMicrosecond}},
        Scenario{"flips", {.flip = 0.05, .delay_ns = 50 * kMicrosecond}},
        Scenario{
            "disorder",
            {.duplicate = 0.1, .reorder = 0.3, .reorder_ns = kMillisecond, .delay_ns = 200 * kMicrosecond}},
        Scenario{"storm",
                 {.loss = 0.1, .duplicate = 0.05, .flip = 0.05, .reorder = 0.1, .delay_ns = 2 * kMillisecond},
                 32768,
                 2,
                 30'000}),
    [](const auto& test) { return std::string(test.param.name); });

class GoodWires : public StackSim {};

TEST_P(GoodWires, LoseNothing) {
  for (LinkFacts (*facts)(uint8_t) : {facts_of_memory, facts_of_ethernet}) {
    for_each_seed(40, [&](uint64_t seed) {
      TimeNs now = kSecond;
      GoodWire wire(facts);
      simulate(wire, now, GetParam(), seed);
    });
  }
}

// With so few slots frames run out all the time, and nobody may lose or forget anything for it.
TEST_P(GoodWires, WithFewFrames) {
  for_each_seed(40, [&](uint64_t seed) {
    TimeNs now = kSecond;
    GoodWire wire(facts_of_memory, {4, 2});
    simulate(wire, now, GetParam(), seed, true);
  });
}

INSTANTIATE_TEST_SUITE_P(Sizes, GoodWires,
                         testing::Values(Scenario{"usual", {}}, Scenario{"tiny_streams", {}, 1024, 3, 20'000},
                                         Scenario{"many", {}, 16384, 20, 10'000}),
                         [](const auto& test) { return std::string(test.param.name); });

// The first thing that a stack hears of its neighbour is the answer to its own question: what it had to say
// meanwhile is not lost.
TEST(StackSim, AFirstBurstWaitsForTheNeighbour) {
  tcp::HostSettings settings;
  settings.connections = settings.half_open = 64;
  settings.stream_bytes = 4096;
  TimeNs now = kSecond;
  GoodWire wire(facts_of_memory);
  Network<GoodWire> network(wire, now, settings, settings);
  Endpoint echo{IpAddress::v4(0), 7};
  ASSERT_EQ(network.b.udp.bind(0, echo, false), 0);
  const IpAddress b = network.b.program.address;
  network.b.program.listen(80, 64);
  std::vector<tcp::ConnectionId> ids;
  for (int i = 0; i < 64; ++i) ASSERT_EQ(network.a.sender.send(now, 0, {b, 7}, {}, {}, {}, {}), 0);
  for (int i = 0; i < 50; ++i) {
    ids.push_back(network.a.program.open());
    ASSERT_EQ(network.a.program.tcp.connect(now, ids.back(), {b, 80}), 0);
  }
  while (now < kSecond + 100 * kMillisecond) network.run([] {}, [] {}, now + 10 * kMillisecond);
  EXPECT_EQ(network.b.mailbox.datagrams.size(), 64u);
  for (const tcp::ConnectionId id : ids) EXPECT_EQ(network.a.program.tcp.state(id), tcp::State::established);
}

TEST(StackSim, AMissingNeighbourFailsEveryConnect) {
  tcp::HostSettings settings;
  settings.connections = 64;
  settings.stream_bytes = 4096;
  TimeNs now = kSecond;
  GoodWire wire(facts_of_memory);
  Network<GoodWire> network(wire, now, settings, settings);
  tcp::Host& host = network.a.program;
  std::vector<tcp::ConnectionId> ids;
  for (int i = 0; i < 50; ++i) {
    ids.push_back(host.open());
    ASSERT_EQ(host.tcp.connect(now, ids.back(), {IpAddress::v4(kAddressB + 1), 80}), 0);
  }
  while (now < 5 * kSecond) network.run([] {}, [] {}, now + 100 * kMillisecond);
  for (const tcp::ConnectionId id : ids) EXPECT_EQ(host.tcp.error(id), EHOSTUNREACH);
}

// A program that speaks to itself, over loopback and over its own address, while the link is dead: it has no
// frame to give.
TEST(StackSim, Loopback) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    for (const Ipv4Address server : {0x7f000001u, kAddressA}) {
      const Scenario scenario{"loopback", {}, 65536, 3, 300'000};
      TimeNs now = kSecond;
      Random random(seed);
      GoodWire wire(facts_of_ethernet);
      while (wire.a().allocate(100)) {
      }
      Network<GoodWire> network(wire, now, settings_for(scenario, seed), settings_for(scenario, seed));
      Program listening(network.a, true, scenario, random);
      Program calling(network.a, false, scenario, random);
      listening.listen();
      for (uint32_t i = 0; i < scenario.connections; ++i) calling.connect(now, IpAddress::v4(server));
      const TimeNs limit = now + 60 * kSecond;
      while (calling.finished() < scenario.connections || listening.finished() < scenario.connections) {
        const bool alive = network.run([&] { calling.act(now), listening.act(now); }, [] {},
                                       std::min(calling.next_action(), listening.next_action()));
        ASSERT_TRUE(alive && now < limit) << seed;
        ASSERT_FALSE(HasFailure()) << seed;
      }
      EXPECT_EQ(wire.a().counters().tx_frames, 0u);
      EXPECT_GT(calling.received() + listening.received(), 0u);
    }
  }
}

}  // namespace
}  // namespace skerry::sim
