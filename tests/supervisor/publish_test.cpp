// Published ports as people write them, and what the host has to say about them.
#include "supervisor/publish.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "base/fd.hpp"

namespace skerry::supervisor {
namespace {

using testing::HasSubstr;

TEST(Publish, IsReadAndWritten) {
  const std::pair<const char*, Publish> table[] = {
      {"8080:80", {0, 8080, 80, false}},
      {"127.0.0.1:8080:80", {0x7f000001, 8080, 80, false}},
      {"53:5353/udp", {0, 53, 5353, true}},
      {"127.0.0.1:65535:1/udp", {0x7f000001, 65535, 1, true}},
  };
  for (const auto& [text, value] : table) {
    const Result<Publish> parsed = parse_publish(text);
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(*parsed, value);
    EXPECT_EQ(format_publish(value), text);
  }
  EXPECT_EQ(parse_publish("8080:80/tcp")->udp, false);
}

TEST(Publish, WhatPublishesNothingIsRefused) {
  for (const char* text : {"",
                           "80",
                           ":80",
                           "80:",
                           "80:0",
                           "0:80",
                           "65536:80",
                           "80:65536",
                           "a:80",
                           "80:80/sctp",
                           "80:80/",
                           "localhost:80:80",
                           "127.0.0.1:80",
                           "127.0.0.1:80:80:80",
                           "1.2.3:80:80",
                           "::1:80:80",
                           "80 :80",
                           "-1:80",
                           "080:80",
                           "80-90:80-90"}) {
    const Result<Publish> parsed = parse_publish(text);
    EXPECT_FALSE(parsed) << text;
  }
}

TEST(Publish, CollidesOnTheSamePortOfTheSameAddress) {
  const Publish all = *parse_publish("80:80"), one = *parse_publish("127.0.0.1:80:81"),
                two = *parse_publish("127.0.0.2:80:80"), udp = *parse_publish("80:80/udp"),
                other = *parse_publish("81:80");
  EXPECT_TRUE(collide(all, one));
  EXPECT_TRUE(collide(one, all));
  EXPECT_TRUE(collide(one, one));
  EXPECT_FALSE(collide(one, two));
  EXPECT_FALSE(collide(all, udp));
  EXPECT_FALSE(collide(all, other));
}

TEST(Publish, APortThatIsTakenIsNotFree) {
  for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
    const Fd socket(::socket(AF_INET, type, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), length), 0);
    if (type == SOCK_STREAM) {
      ASSERT_EQ(::listen(socket.get(), 1), 0);
    }
    ASSERT_EQ(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
    const Publish publish{0, ntohs(address.sin_port), 80, type == SOCK_DGRAM};
    const Result<void> free = check_free(publish);
    ASSERT_FALSE(free);
    EXPECT_THAT(free.error().message,
                HasSubstr("Address already in use: publish another, or end who has it"));
  }
  const Result<void> foreign = check_free(*parse_publish("192.0.2.77:8080:80"));
  ASSERT_FALSE(foreign);
  EXPECT_THAT(foreign.error().message, HasSubstr("that address is not one of this host"));
}

}  // namespace
}  // namespace skerry::supervisor
