// The program's way to names: what it passes on, and what it takes from a resolver that somebody took over.
#include "name_door.hpp"

#include <cerrno>

#include "allowed_set.hpp"

namespace skerry {
namespace {

constexpr Ipv4Address kApi = 0x5db8d70e, kOther = 0x5db8d70f;  // 93.184.215.14, 93.184.215.15
constexpr uint32_t kDoor = 3;                                  // the door's socket; the program has 0 to 2
const Endpoint kAsker{IpAddress::v4(0x7f000001), 40000};

struct Sender {
  struct Sent {
    Endpoint to;
    std::vector<uint8_t> bytes;
  };
  int send(TimeNs, uint32_t, const Endpoint& to, const IpAddress&, const stack::DatagramRules&,
           ConstBytes bytes, ConstBytes) {
    sent.push_back({to, {bytes.begin(), bytes.end()}});
    return error;
  }
  std::vector<Sent> sent;
  int error = 0;
};

class NameDoorTest : public AllowedSet {
 protected:
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    resolver = Fd(ends[1]);
    load();
    ASSERT_TRUE(door.open(Fd(ends[0]), allowed, udp));
  }
  void say(ConstBytes bytes) {
    ASSERT_EQ(::send(resolver.get(), bytes.data(), bytes.size(), MSG_DONTWAIT),
              static_cast<ssize_t>(bytes.size()));
    door.listen(now);
  }
  void say(const resolver::Told& told) {
    uint8_t room[resolver::kWordsMax];
    say(resolver::write_told(told, room));
  }
  // How many addresses are allowed.
  size_t expect_only_what_is_listed() {
    size_t all = 0;
    hooks.engine().dynamic_set(0)->for_each(now, [&](const uint8_t* key, const filter::Element&) {
      const Ipv4Address address = load_be32(key + 4);
      const uint16_t port = load_be16(key + 8);
      ++all;
      EXPECT_TRUE(address == 0x0a4d0003 || (resolver::is_public(address, {}) && (port == 443 || port == 123)))
          << address << ':' << port;
    });
    return all;
  }
  std::string shown(uint64_t number) const { return std::string(hooks.events().name(number)); }

  Random random{1};
  stack::Udp udp{kDoor + 1, random};
  NameDoor door{kDoor, routes, hooks.events(), random};
  Fd resolver;
  Sender sender;
};

TEST_F(NameDoorTest, PassesOnWhatIsAskedAndWhoAsks) {
  const std::vector<uint8_t> question{1, 2, 3};
  EXPECT_TRUE(door.ask(kAsker, question));
  uint8_t bytes[resolver::kWordsMax];
  const ssize_t length = ::recv(resolver.get(), bytes, sizeof bytes, MSG_DONTWAIT);
  ASSERT_GT(length, 0);
  const auto asked = resolver::read_asked({bytes, static_cast<size_t>(length)});
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->asker.address, 0x7f000001u);
  EXPECT_EQ(asked->asker.port, 40000);
  EXPECT_EQ(std::vector<uint8_t>(asked->message.begin(), asked->message.end()), question);
}

TEST_F(NameDoorTest, AResolverThatDoesNotListenDelaysNobody) {
  const std::vector<uint8_t> question(100);
  uint64_t passed = 0;
  while (door.ask(kAsker, question)) ASSERT_LT(++passed, 1'000'000u);
  EXPECT_EQ(door.counters().lost, 1u);
  EXPECT_FALSE(door.ask(kAsker, std::vector<uint8_t>(resolver::kWordsMax))) << "and this is no question";
}

TEST_F(NameDoorTest, AReplyGoesToWhoAsked) {
  say(resolver::Reply{{0x7f000001, 40000}, std::vector<uint8_t>{7, 8}});
  EXPECT_EQ(door.tx(now, sender), 1u);
  ASSERT_EQ(sender.sent.size(), 1u);
  EXPECT_EQ(sender.sent[0].to, kAsker);
  EXPECT_EQ(sender.sent[0].bytes, (std::vector<uint8_t>{7, 8}));
  EXPECT_TRUE(door.is_idle());
  EXPECT_EQ(door.tx(now, sender), 0u);
  EXPECT_EQ(door.counters().answered, 1u);
}

TEST_F(NameDoorTest, OnlySoManyRepliesWait) {
  for (int i = 0; i < 100; ++i) say(resolver::Reply{{0x7f000001, 40000}, std::vector<uint8_t>{7}});
  EXPECT_EQ(door.tx(now, sender), 64u);
  EXPECT_EQ(door.counters().lost, 36u);
  EXPECT_EQ(door.counters().faults, 0u);
}

TEST_F(NameDoorTest, AnAddressIsAllowedOnceItIsSaid) {
  uint8_t address[4];
  store_be32(address, kApi);
  EXPECT_FALSE(passes(kApi, 443));
  say(resolver::Allow{{443, false}, 60, address});
  EXPECT_TRUE(passes(kApi, 443));
  EXPECT_EQ(door.counters().faults, 0u);
}

TEST_F(NameDoorTest, AReplyThatLeadsToWhatFoundNoRoomIsNone) {
  load(rules_with_set({}, "skerry_allow", 3));
  allowed.begin(now);
  const resolver::Asker asker{0x7f000001, 40000};
  const std::vector<uint8_t> reply{7};
  uint8_t first[8], second[4];
  store_be32(first, kApi);
  store_be32(first + 4, kOther);
  store_be32(second, kOther + 1);
  say(resolver::Allow{{443, false}, 60, first, true, "api.example.org"});
  say(resolver::Reply{asker, reply, true});
  EXPECT_EQ(door.tx(now, sender), 1u);

  say(resolver::Allow{{443, false}, 60, second, true, "other.example.org"});
  say(resolver::Reply{asker, reply, true});
  EXPECT_EQ(door.tx(now, sender), 0u);
  EXPECT_EQ(door.counters().lost, 1u);
  EXPECT_EQ(door.counters().faults, 0u) << "the resolver has done nothing wrong";
  EXPECT_EQ(hooks.events()[hooks.events().next() - 1].name_event, filter::NameEvent::no_room);
  EXPECT_EQ(shown(hooks.events().next() - 1), "other.example.org");
  say(resolver::Reply{asker, reply});
  EXPECT_EQ(door.tx(now, sender), 1u) << "that there is no such name";
  say(resolver::Allow{{443, false}, 60, first, true, "api.example.org"});
  say(resolver::Reply{asker, reply, true});
  EXPECT_EQ(door.tx(now, sender), 1u) << "of a name that is allowed already";

  now += 61 * kSecond;
  say(resolver::Allow{{443, false}, 60, second, true, "other.example.org"});
  say(resolver::Reply{asker, reply, true});
  EXPECT_EQ(door.tx(now, sender), 1u) << "the time of the others is over";
}

// The first port finds room and the next one does not.
TEST_F(NameDoorTest, AReplyNeedsAllPortsOfItsName) {
  load(rules_with_set({}, "skerry_allow", 2));
  allowed.begin(now);
  uint8_t address[4];
  store_be32(address, kApi);
  const uint8_t message[] = {7};
  const resolver::Reply reply{{0x7f000001, 40000}, message, true};
  for (const bool first_fails : {false, true}) {
    const resolver::AllowedPort here{443, false}, full{123, true};
    say(resolver::Allow{first_fails ? full : here, 60, address, false});
    say(resolver::Allow{first_fails ? here : full, 60, address, true});
    say(reply);
    EXPECT_EQ(door.tx(now, sender), 0u) << first_fails;
  }
}

TEST_F(NameDoorTest, WhatAResolverMayNotSayIsAFault) {
  uint8_t address[4];
  store_be32(address, kApi);
  say(resolver::Allow{{80, false}, 60, address});
  say(resolver::Reply{{0x7f000001, 0}, std::vector<uint8_t>{7}});
  say(resolver::Reply{{kApi, 443}, std::vector<uint8_t>{7}});
  say(resolver::Reply{{0x7f000001, 40000}, std::vector<uint8_t>(kReplyMax + 1)});
  say(std::vector<uint8_t>{9, 9, 9});
  EXPECT_EQ(door.counters().faults, 5u);
  EXPECT_TRUE(door.is_idle());
  EXPECT_FALSE(passes(kApi, 80));
}

TEST_F(NameDoorTest, NoiseFromAResolverAllowsNothing) {
  for (int i = 0; i < 20'000; ++i) {
    uint8_t noise[24];
    for (uint8_t& byte : noise) byte = static_cast<uint8_t>(random.next());
    noise[0] = static_cast<uint8_t>(random.below(5));
    say(ConstBytes(noise, 1 + random.below(24)));
    door.tx(now, sender);
  }
  for (const Sender::Sent& sent : sender.sent) EXPECT_TRUE(routes.is_local(sent.to.address.as_v4()));
  expect_only_what_is_listed();
}

TEST_F(NameDoorTest, WhatAResolverAllowsIsPublicAndAtAListedPort) {
  static constexpr uint16_t kPorts[] = {80, 123, 443, 5432};
  static constexpr uint32_t kSpecial[] = {0x7f000001, 0x0a000001, 0xa9fea9fe, 0xe0000001, 0xffffffff, 0};
  const uint64_t faults = door.counters().faults;
  for (int i = 0; i < 2000; ++i) {
    uint8_t address[4];
    store_be32(address, random.below(2) == 0 ? kSpecial[random.below(std::size(kSpecial))]
                                             : static_cast<uint32_t>(random.next()));
    say(resolver::Allow{{kPorts[random.below(std::size(kPorts))], random.below(2) == 0},
                        static_cast<uint32_t>(random.below(7200)),
                        address});
  }
  EXPECT_GT(door.counters().faults, faults);
  EXPECT_GT(expect_only_what_is_listed(), 50u);
}

TEST_F(NameDoorTest, NamesThatLeadNowhereAreShownButNotSoManyThatNothingElseIs) {
  say(resolver::RefusedName{resolver::NoAnswer::not_public, "in\x1b[2Jside"});
  EXPECT_EQ(shown(0), "in?[2Jside");
  EXPECT_EQ(hooks.events()[0].name_event, filter::NameEvent::not_public);
  say(resolver::RefusedName{resolver::NoAnswer::unanswered, std::string(300, 'x')});
  EXPECT_EQ(shown(1), std::string(255, 'x')) << "longer than any name is";
  EXPECT_EQ(hooks.events()[1].name_event, filter::NameEvent::unanswered);
  for (int i = 0; i < 1000; ++i) say(resolver::RefusedName{resolver::NoAnswer::not_allowed, "much"});
  EXPECT_EQ(door.counters().refused, 1002u);
  EXPECT_LE(hooks.events().next(), 61u);
  now += 60 * kSecond;
  const uint64_t before = hooks.events().next();
  say(resolver::RefusedName{resolver::NoAnswer::not_allowed, "later"});
  ASSERT_EQ(hooks.events().next(), before + 1);
  EXPECT_EQ(shown(before), "later");
}

TEST_F(NameDoorTest, HowManyNamesAreNotShownIsSaid) {
  const auto refuse = [&](int times) {
    for (int i = 0; i < times; ++i) say(resolver::RefusedName{resolver::NoAnswer::not_allowed, "much"});
  };
  const filter::Events& events = hooks.events();
  refuse(200);
  const uint64_t at_once = events.next();
  ASSERT_LT(at_once, 200u);
  EXPECT_EQ(events.names_left_out(), 200 - at_once);
  now += 60 * kSecond;
  refuse(2);
  EXPECT_EQ(events.next(), at_once + 2);
  EXPECT_EQ(events.names_left_out(), 200 - at_once);
}

TEST_F(NameDoorTest, TheProgramCannotStandInItsPlace) {
  for (const Ipv4Address address : {0x7f000035u, 0u}) {
    Endpoint place{address == 0 ? IpAddress{} : IpAddress::v4(address), 53};
    EXPECT_EQ(udp.bind(0, place, true), EADDRINUSE) << address;
  }
  Endpoint own{IpAddress::v4(stack::kOurs), 53};
  EXPECT_EQ(udp.bind(1, own, false), 0) << "a name server of the program's is another thing";
  EXPECT_EQ(udp.match({IpAddress::v4(0x7f000035), 53}, kAsker), kDoor);
  EXPECT_TRUE(door.is_mine(kDoor) && !door.is_mine(1));
}

}  // namespace
}  // namespace skerry
