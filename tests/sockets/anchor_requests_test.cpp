// The door protocol: doorbells, carriers, and what liars get.
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "anchors_case.hpp"

namespace skerry::sockets {
namespace {

TEST_F(AnchorsTest, DoorbellGivesTheReadEnd) {
  const Fd on = connect();
  const Answer answer = ask(on, {.op = AnchorOp::doorbell, .slot = 3});
  ASSERT_EQ(answer.fds.size(), 1u);
  ASSERT_EQ(bells_.size(), 1u);
  EXPECT_EQ(bells_[0].first, 3u);
  ASSERT_EQ(::write(bells_[0].second.get(), "x", 1), 1);
  char byte;
  EXPECT_EQ(::read(answer.fds[0].get(), &byte, 1), 1);
}

TEST_F(AnchorsTest, NonsenseIsRefused) {
  const Fd on = connect();
  EXPECT_EQ(ask(on, {.op = AnchorOp::doorbell, .slot = kSize.waiters}).reply.error, EINVAL);
  EXPECT_EQ(ask(on, {.op = AnchorOp::fork, .slot = 2}).reply.error, EINVAL);
  EXPECT_EQ(ask(on, {.op = AnchorOp::attach, .slot = 3}).reply.error, EINVAL);

  const Fd wrong_magic = connect();
  EXPECT_EQ(ask(wrong_magic, {.magic = 1}).length, 0) << "the connection ends";
  const Fd wrong_op = connect();
  EXPECT_EQ(ask(wrong_op, {.op = static_cast<AnchorOp>(99)}).length, 0);
  const Fd short_one = connect();
  send(short_one, "abc", 3);
  EXPECT_EQ(receive(short_one).length, 0);
  EXPECT_EQ(anchors_->faults(), 3u);
}

TEST_F(AnchorsTest, ACarrierTellsWhoeverReceivesItWhatItIs) {
  view_.control().mac = MacAddress{{2, 0, 0, 0, 0, 2}};
  const Fd anchor = connect();
  const uint32_t slot = ask(anchor, {.pid = 7}).reply.slot;
  Fd carrier = connect();
  EXPECT_EQ(ask(carrier, {.op = AnchorOp::carry, .slot = slot, .socket = kUsed}).reply.error, 0);
  EXPECT_EQ(carriers_, 1);
  const AnchorRequest claim{.op = AnchorOp::claim, .slot = slot, .session = view_.control().mac};
  for (int receiver = 0; receiver < 2; ++receiver) {
    const Answer answer = ask(carrier, claim);
    EXPECT_EQ(answer.reply.error, 0);
    EXPECT_EQ(answer.reply.socket, kUsed);
  }
  EXPECT_EQ(claims_, (std::vector<std::pair<uint32_t, uint32_t>>{{kUsed, slot}, {kUsed, slot}}));
  EXPECT_EQ(ask(carrier, {.op = AnchorOp::claim, .slot = slot}).reply.error, EINVAL)
      << "another session's program";
  EXPECT_EQ(ask(carrier, {.op = AnchorOp::claim, .slot = slot + 1, .session = claim.session}).reply.error,
            EINVAL);
  EXPECT_EQ(claims_.size(), 2u);
  carrier.reset();
  serve();
  EXPECT_EQ(carriers_, 0);
}

TEST_F(AnchorsTest, AConnectionIsAnAnchorOrCarriesOneSocket) {
  const Fd anchor = connect();
  const uint32_t slot = ask(anchor, {.pid = 7}).reply.slot;
  EXPECT_EQ(ask(anchor, {.op = AnchorOp::carry, .socket = kUsed}).reply.error, EINVAL);
  EXPECT_EQ(ask(anchor, {.op = AnchorOp::claim, .slot = slot}).reply.error, EINVAL);
  const Fd carrier = connect();
  EXPECT_EQ(ask(carrier, {.op = AnchorOp::carry, .socket = kUsed + 1}).reply.error, EBADF);
  EXPECT_EQ(ask(carrier, {.op = AnchorOp::carry, .socket = UINT32_MAX}).reply.error, EBADF);
  EXPECT_EQ(ask(carrier, {.op = AnchorOp::carry, .socket = kUsed}).reply.error, 0);
  EXPECT_EQ(ask(carrier, {.op = AnchorOp::carry, .socket = kUsed}).reply.error, EINVAL);
  EXPECT_EQ(ask(carrier, {.pid = 8}).reply.error, EINVAL);
  EXPECT_EQ(ask(carrier, {.op = AnchorOp::fork, .slot = slot}).reply.error, EINVAL);
  EXPECT_EQ(carriers_, 1);
}

TEST_F(AnchorsTest, WhatIsNoPidfdIsNotWatched) {
  Fd anchor = connect();
  const Fd file(::memfd_create("not a process", MFD_CLOEXEC));
  const uint32_t slot = ask(anchor, {.pid = 7}, file.get()).reply.slot;
  serve();
  EXPECT_TRUE(anchors_->is_live(slot));
  anchor.reset();
  serve();
  EXPECT_FALSE(anchors_->is_live(slot));
}

TEST_F(AnchorsTest, ProcessesBeyondTheLimitAreToldSo) {
  std::vector<Fd> anchors;
  for (uint32_t i = 0; i < kSize.processes; ++i) {
    anchors.push_back(connect());
    EXPECT_EQ(ask(anchors.back(), {.pid = 100 + i}).reply.error, 0);
  }
  const Fd last = connect();
  EXPECT_EQ(ask(last, {.pid = 200}).reply.error, EAGAIN);
}

TEST_F(AnchorsTest, OneCallAcceptsOnlySoMany) {
  const auto open_descriptors = [] {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return std::distance(begin(all), end(all));
  };
  std::vector<Fd> knocking;
  for (int i = 0; i < 40; ++i) knocking.push_back(connect());
  const auto before = open_descriptors();
  anchors_->serve();
  EXPECT_EQ(open_descriptors() - before, 32);
  anchors_->serve();
  EXPECT_EQ(open_descriptors() - before, 40) << "the rest comes next";
}

}  // namespace
}  // namespace skerry::sockets
