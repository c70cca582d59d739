// What the stack answers to Op::info, and what it publishes of a send buffer.
#include <gtest/gtest.h>

#include "one_stack.hpp"
#include "sockets/session_info.hpp"

namespace skerry::sockets {
namespace {

class InfoCall : public ::testing::Test {
 protected:
  uint64_t ask(uint32_t socket, InfoValue which) {
    EXPECT_EQ(stack_.call(Op::info, socket), 0);
    return stack_.view().call(0).value[which];
  }
  uint32_t high(uint32_t socket, InfoValue which) { return static_cast<uint32_t>(ask(socket, which) >> 32); }
  uint32_t low(uint32_t socket, InfoValue which) { return static_cast<uint32_t>(ask(socket, which)); }

  OneStack stack_;
};

TEST_F(InfoCall, TellsOfBytesSegmentsAndTimes) {
  const auto [listener, client, server] = stack_.connected();
  stack_.write(client, std::string(3000, 'i'));
  stack_.pass(100 * kMillisecond);
  EXPECT_EQ(stack_.read(server).size(), 3000u);
  EXPECT_EQ(ask(client, kInfoState) & 0xff, static_cast<uint64_t>(tcp::State::established));
  EXPECT_EQ(ask(client, kInfoAcked), 3000u);
  EXPECT_EQ(ask(client, kInfoSent), 3000u);
  EXPECT_EQ(ask(server, kInfoReceived), 3000u);
  EXPECT_EQ(high(client, kInfoDataSegments), 1u);
  EXPECT_EQ(low(server, kInfoDataSegments), 1u);
  EXPECT_EQ(low(client, kInfoPath), 65535u);  // the longest packet: it goes over the loopback
  EXPECT_GE(ask(client, kInfoLastSent), 90u);
  EXPECT_GE(ask(server, kInfoLastReceived), 90u);
  EXPECT_EQ(high(client, kInfoBuffers), OneStack::kSize.stream_bytes);
}

TEST_F(InfoCall, TellsHowFastDataArrivesAndWhatStopsIt) {
  const auto [listener, client, server] = stack_.connected();
  stack_.write(client, std::string(3000, 'i'));
  stack_.pass(100 * kMillisecond);
  EXPECT_GT(ask(client, kInfoRate), 0u);
  EXPECT_EQ(low(client, kInfoReceiveRtt), 1u) << "the program could have sent more";
  EXPECT_GT(ask(client, kInfoBusy), 0u);
  EXPECT_EQ(ask(server, kInfoBusy), 0u);
  // More than the peer reads: its window closes, and that counts on while it is closed.
  stack_.write(client, std::string(OneStack::kSize.stream_bytes, 'w'));
  stack_.pass(100 * kMillisecond);
  stack_.write(client, std::string(5000, 'w'));
  stack_.pass(100 * kMillisecond);
  const uint64_t stopped = ask(client, kInfoWindowStops);
  EXPECT_GT(stopped, 50'000u);
  stack_.pass(100 * kMillisecond);
  EXPECT_GE(ask(client, kInfoWindowStops), stopped + 90'000);
  EXPECT_GE(ask(client, kInfoBusy), ask(client, kInfoWindowStops));
}

TEST_F(InfoCall, TellsOfAListenersQueue) {
  const uint32_t listener = stack_.listener(7, 5);
  for (int i = 0; i < 2; ++i) stack_.connect(stack_.open(true), 7);
  stack_.settle();
  EXPECT_EQ(high(listener, kInfoQueue), 2u);
  EXPECT_EQ(low(listener, kInfoQueue), 5u);
}

TEST_F(InfoCall, TheSendBufferIsPublished) {
  const auto [listener, client, server] = stack_.connected();
  const SocketOut& out = stack_.view().out(client);
  EXPECT_EQ(out.tx_limit.load(), OneStack::kSize.stream_bytes) << "it may have the whole of a small ring";
  Call& call = stack_.view().call(0);
  std::fill(std::begin(call.value), std::end(call.value), 0);
  call.value[kOptionSendBuffer] = 5000;
  stack_.call(Op::set_options, client);
  EXPECT_EQ(out.tx_limit.load(), 5000u);
}

}  // namespace
}  // namespace skerry::sockets
