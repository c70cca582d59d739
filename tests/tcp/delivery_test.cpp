// How fast data reaches the peer, and what keeps more from being sent: draft-cheng-iccrg-delivery-rate-
// estimation section 3, Linux tcp_chrono, and the round trip as a receiver sees it (tcp_rcv_rtt_measure_ts).
#include <gtest/gtest.h>

#include "tcp/peer.hpp"

namespace skerry::tcp {
namespace {

using Limit = Delivery::Limit;

class DeliveryTest : public ::testing::Test {
 public:
  void start(const PeerSettings& offers = {}, const Options& options = {}) {
    HostSettings settings;
    settings.stream_bytes = 1 << 20;
    host_.emplace(kOurAddress, settings);
    peer_.emplace(*host_, offers);
    peer_->window = offers.window;
    const ConnectionId listener = host_->listen(80);
    host_->tcp.set_options(now_, listener, options);
    id_ = peer_->connect(now_, listener).value();
  }
  // The program writes, and all that goes out is acknowledged so much later, except a last segment of `but`.
  void send(uint32_t bytes, DurationNs round_trip, uint32_t but = 0) {
    host_->write(now_, id_, std::string(bytes, 's'));
    for (const Sent& sent : peer_->drain(now_)) sent_ += static_cast<uint32_t>(sent.payload.size());
    now_ += round_trip;
    peer_->send(now_, kTcpAck, 1, 1 + sent_ - but);
  }
  Delivery delivery() { return host_->tcp.info(id_).delivery; }
  DurationNs waited(Limit limit) { return delivery().waited(limit); }

  std::optional<Host> host_;
  std::optional<Peer> peer_;
  ConnectionId id_ = kNoConnection;
  uint32_t sent_ = 0;
  TimeNs now_ = 10 * kSecond;
};

TEST_F(DeliveryTest, TheRateIsWhatWasAcknowledgedInARoundTrip) {
  start();
  EXPECT_EQ(delivery().bytes_per_second(), 0u);
  send(100'000, 10 * kMillisecond);  // ten segments go out
  send(0, 10 * kMillisecond);        // twenty
  EXPECT_EQ(delivery().bytes_per_second(), 20u * 1460 * 100);
  EXPECT_FALSE(delivery().rate_is_the_programs());
}

TEST_F(DeliveryTest, AProgramThatSendsLittleMarksItsRate) {
  start();
  send(1000, 10 * kMillisecond);
  EXPECT_EQ(delivery().bytes_per_second(), 100'000u);
  EXPECT_TRUE(delivery().rate_is_the_programs());
}

TEST_F(DeliveryTest, LittleAfterMuchSaysNothing) {
  start();
  send(100'000, 10 * kMillisecond);
  send(0, 10 * kMillisecond);
  while (sent_ < 100'000) send(0, 10 * kMillisecond);
  const uint64_t rate = delivery().bytes_per_second();
  EXPECT_GT(rate, 1'000'000u);
  for (int i = 0; i < 5; ++i) send(1000, 10 * kMillisecond);
  EXPECT_EQ(delivery().bytes_per_second(), rate);
}

TEST_F(DeliveryTest, TimeWithoutAnythingToSendIsNotInASample) {
  start();
  send(1000, 10 * kMillisecond);
  now_ += 5 * kSecond;
  send(2000, 10 * kMillisecond);
  EXPECT_EQ(delivery().bytes_per_second(), 200'000u);
}

// Section 3.1.3: ACKs that come together do not make the path faster than the sender was.
TEST_F(DeliveryTest, AcksThatComeTogetherCountForAsLongAsSendingTook) {
  start();
  send(100'000, 10 * kMillisecond, 1460);
  send(0, kMillisecond);
  EXPECT_EQ(delivery().bytes_per_second(), (sent_ - 9u * 1460) * 100);
}

TEST_F(DeliveryTest, BusyIsFromTheFirstByteSentToTheLastAcknowledged) {
  start();
  send(1000, 30 * kMillisecond);
  EXPECT_EQ(waited(Limit::network), 30 * kMillisecond);
  EXPECT_EQ(delivery().limit(), Limit::nothing);
  now_ += kSecond;
  send(1000, 20 * kMillisecond);
  EXPECT_EQ(waited(Limit::network), 50 * kMillisecond);
  EXPECT_EQ(waited(Limit::window), 0u);
  EXPECT_EQ(waited(Limit::buffer), 0u);
}

TEST_F(DeliveryTest, APeerWithASmallWindowIsWhatStops) {
  PeerSettings offers;
  offers.window = 3000;
  start(offers);
  peer_->window = 3000;
  send(5000, 30 * kMillisecond);
  EXPECT_EQ(sent_, 2920u);
  EXPECT_EQ(delivery().limit(), Limit::window);
  peer_->drain(now_);
  EXPECT_EQ(waited(Limit::window), 30 * kMillisecond);
  EXPECT_EQ(delivery().limit(), Limit::network);
}

TEST_F(DeliveryTest, ASendBufferThatIsAllOnItsWayIsWhatStops) {
  Options options;
  options.send_buffer = 4096;
  options.no_delay = true;
  start({}, options);
  send(4096, 30 * kMillisecond);
  EXPECT_EQ(sent_, 4096u);
  EXPECT_EQ(waited(Limit::buffer), 30 * kMillisecond);
  EXPECT_EQ(waited(Limit::network), 0u);
}

TEST_F(DeliveryTest, AReceiverSeesTheRoundTripByTheEchoOfItsAcks) {
  PeerSettings offers;
  offers.timestamps = true;
  start(offers);
  uint32_t seq = 1;
  const auto receive = [&](DurationNs after) {
    now_ += after;
    peer_->send(now_, kTcpAck, seq, 1, std::string(1000, 'r'));
    seq += 1000;
    host_->read(now_, id_);
    for (int i = 0; i < 2 && peer_->drain(now_).empty(); ++i) host_->tcp.expire(now_ += 50 * kMillisecond);
  };
  receive(20 * kMillisecond);
  EXPECT_EQ(host_->tcp.info(id_).receive_rtt_us, 20'000u);
  for (int i = 0; i < 60; ++i) receive(4 * kMillisecond);
  EXPECT_NEAR(host_->tcp.info(id_).receive_rtt_us, 4000, 1000);
}

}  // namespace
}  // namespace skerry::tcp
