// The MTU of a path (RFC 1191): routers say that it is smaller, and time says that it is wider.
#include <gtest/gtest.h>

#include "tcp/constants.hpp"
#include "tcp/send.hpp"

namespace skerry::tcp {
namespace {

class PathMtu : public Send {};

TEST_F(PathMtu, ASmallerPathIsUsedAtOnce) {  // RFC 1191 section 6.5
  start();
  write(5840);
  EXPECT_EQ(drain().size(), 4u);
  const Endpoint local = host_->tcp.local(id_);
  const Endpoint remote = host_->tcp.remote(id_);
  host_->tcp.unreachable(now_, local, remote, peer_->our_isn + 99999, 90, 1000);
  host_->tcp.unreachable(now_, local, remote, peer_->our_isn + 1, 90, 100);
  host_->tcp.unreachable(now_, local, remote, peer_->our_isn + 1, 90, 9000);
  EXPECT_EQ(info().mss, 1460u) << "not in flight; absurdly small; not smaller";
  host_->tcp.unreachable(now_, local, remote, peer_->our_isn + 1, 90, 1000);
  EXPECT_EQ(info().mss, 960u);
  EXPECT_EQ(info().congestion_window, 14600u) << "congestion is not to blame";
  const auto sent = drain();
  ASSERT_EQ(sent.size(), 7u);
  EXPECT_EQ(sent[0].seq, 1u);
  EXPECT_EQ(sent[0].payload.size(), 960u);
  ack(5841);
  EXPECT_EQ(info().congestion_window, 14600u);
  write(960);
  EXPECT_EQ(drain().size(), 1u);
}

// A stranger who says that the path takes next to nothing would cost us dear; our own stack knows.
TEST_F(PathMtu, OfAPathThatTakesLittleOnlyOurOwnStackIsBelieved) {
  start();
  write(1000);
  drain();
  const auto takes = [&](uint16_t mtu, bool own) {
    host_->tcp.unreachable(now_, host_->tcp.local(id_), host_->tcp.remote(id_), peer_->our_isn + 1, 90, mtu,
                           own);
    return info().mss;
  };
  EXPECT_EQ(takes(551, false), 1460U);
  EXPECT_EQ(takes(552, false), 512U);
  EXPECT_EQ(takes(540, true), 500U);
  EXPECT_EQ(takes(40 + kLeastMss - 1, true), 500U) << "less than leaves room for payload";
}

TEST_F(PathMtu, APathThatBecameWiderIsFoundOut) {  // RFC 1191 section 6.3
  start();
  write(2000);
  drain();
  host_->tcp.unreachable(now_, host_->tcp.local(id_), host_->tcp.remote(id_), peer_->our_isn + 1, 90, 1000);
  drain();
  ack(2001);
  peer_->run(now_, now_ + 590 * kSecond);
  write(2000);
  EXPECT_EQ(drain()[0].payload.size(), 960u);
  ack(4001);
  peer_->run(now_, now_ + 20 * kSecond);
  write(2000);
  EXPECT_EQ(drain()[0].payload.size(), 1460u);
  // It did not: that is said again, and believed for as long.
  host_->tcp.unreachable(now_, host_->tcp.local(id_), host_->tcp.remote(id_), peer_->our_isn + 4001, 90,
                         1000);
  EXPECT_EQ(drain()[0].payload.size(), 960u);
  ack(6001);
  peer_->run(now_, now_ + 590 * kSecond);
  EXPECT_EQ(info().mss, 960u);
  peer_->run(now_, now_ + 20 * kSecond);
  EXPECT_EQ(info().mss, 1460u);
  EXPECT_EQ(host_->tcp.deadline(), kNever);
}

TEST_F(PathMtu, APathThatIsStillSmallIsAskedForAgain) {
  HostSettings settings;
  host_.emplace(kOurAddress, settings);
  host_->path.mss = 960;
  peer_.emplace(*host_);
  id_ = peer_->accept(now_);
  peer_->run(now_, now_ + 610 * kSecond);
  EXPECT_EQ(info().mss, 960u);
  host_->path.mss = 1460;
  peer_->run(now_, now_ + 600 * kSecond);
  EXPECT_EQ(info().mss, 1460u);
}

}  // namespace
}  // namespace skerry::tcp
