// A host whose connections are still to be made.
#pragma once

#include <gtest/gtest.h>

#include "tcp/peer.hpp"

namespace skerry::tcp {

class Handshake : public ::testing::Test {
 protected:
  Host host_{kOurAddress, {}};
  TimeNs now_ = 10 * kSecond;

  uint32_t events(ConnectionId id) {
    host_.take_events();
    return host_.sockets[id].events;
  }
};

}  // namespace skerry::tcp
