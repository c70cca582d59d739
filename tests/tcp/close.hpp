// A connection between a host and a peer that is there, and is to end.
#pragma once

#include <gtest/gtest.h>

#include <optional>

#include "tcp/peer.hpp"

namespace skerry::tcp {

class Close : public ::testing::Test {
 public:
  void start(const PeerSettings& settings = {}, const HostSettings& host_settings = {}) {
    host_.emplace(kOurAddress, host_settings);
    peer_.emplace(*host_, settings);
    listener_ = host_->listen(80);
    id_ = peer_->connect(now_, listener_).value();
    host_->take_events();
  }
  Sent one() {
    const auto sent = peer_->drain(now_);
    EXPECT_EQ(sent.size(), 1u);
    return sent.empty() ? Sent{} : sent[0];
  }
  uint32_t events() {
    host_->take_events();
    return host_->sockets.count(id_) == 1 ? host_->sockets[id_].events : uint32_t{kGone};
  }
  uint32_t time_waits() {
    uint32_t count = 0;
    host_->tcp.for_each(
        [](void* context, ConnectionId id, const Info& info) {
          if (info.state != State::time_wait) return;
          EXPECT_EQ(id, kNoConnection);
          ++*static_cast<uint32_t*>(context);
        },
        &count);
    return count;
  }

  std::optional<Host> host_;
  std::optional<Peer> peer_;
  ConnectionId listener_ = kNoConnection;
  ConnectionId id_ = kNoConnection;
  TimeNs now_ = 10 * kSecond;
};

}  // namespace skerry::tcp
