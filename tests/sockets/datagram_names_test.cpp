// With whom a datagram socket may be connected, and where it is shown to be.
#include <gtest/gtest.h>

#include "one_stack.hpp"

namespace skerry::sockets {
namespace {

class DatagramNames : public ::testing::Test {
 protected:
  int32_t connect(uint32_t socket, Ipv4Address address, uint16_t port) {
    Endpoint to{IpAddress::v4(address), port};
    return stack_.call(Op::connect, socket, &to);
  }

  OneStack stack_;
  SessionView& view_ = stack_.view();
};

TEST_F(DatagramNames, EverybodyIsAPeerOnlyWithSoBroadcast) {  // socket(7), __ip4_datagram_connect()
  for (const Ipv4Address everybody : {0x0a0000ffu, 0xffffffffu}) {
    const uint32_t id = stack_.open(false);
    ASSERT_EQ(connect(id, kLoopback, 9), 0);
    EXPECT_EQ(connect(id, everybody, 9), -EACCES);
    EXPECT_EQ(view_.names(id).remote, (Endpoint{IpAddress::v4(kLoopback), 9})) << "the old one stays";
    stack_.call(Op::set_options, id, nullptr, kBroadcast);
    EXPECT_EQ(connect(id, everybody, 9), 0);
    stack_.close(id);
  }
}

TEST_F(DatagramNames, NobodyIsThisHost) {  // ip(7)
  const uint32_t id = stack_.open(false);
  ASSERT_EQ(connect(id, 0, 9), 0);
  EXPECT_EQ(view_.names(id).remote, (Endpoint{IpAddress::v4(kLoopback), 9}));
}

TEST_F(DatagramNames, WhatIsForIpv6AloneIsShownAtNoAddressAfterADisconnectToo) {
  const uint32_t id = stack_.open(false);
  Endpoint any{IpAddress{}, 7};
  ASSERT_EQ(stack_.call(Op::bind, id, &any, kV6Only), 0);
  ASSERT_EQ(stack_.call(Op::disconnect, id), 0);
  EXPECT_EQ(view_.names(id).local, (Endpoint{IpAddress{}, 7}));
}

}  // namespace
}  // namespace skerry::sockets
