// A connection whose host writes letters, and whose peer says by hand what it has.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "tcp/peer.hpp"

namespace skerry::tcp {

class Send : public ::testing::Test {
 protected:
  void start(const PeerSettings& settings = {}, const HostSettings& host_settings = {}) {
    host_.emplace(kOurAddress, host_settings);
    peer_.emplace(*host_, settings);
    id_ = peer_->accept(now_);
    host_->take_events();
  }
  void write(uint32_t bytes) {
    std::string text(bytes, ' ');
    for (uint32_t i = 0; i < bytes; ++i) text[i] = static_cast<char>('a' + (written_ + i) % 26);
    ASSERT_EQ(host_->write(now_, id_, text), bytes);
    written_ += bytes;
  }
  void ack(uint32_t to) { peer_->send(now_, kTcpAck, 1, to); }
  std::vector<Sent> drain() { return peer_->drain(now_); }
  void option(void (*change)(Options&)) {
    Options options = host_->tcp.options(id_);
    change(options);
    host_->tcp.set_options(now_, id_, options);
  }
  Info info() { return host_->tcp.info(id_); }

  std::optional<Host> host_;
  std::optional<Peer> peer_;
  ConnectionId id_ = kNoConnection;
  uint32_t written_ = 0;
  TimeNs now_ = 10 * kSecond;
};

}  // namespace skerry::tcp
