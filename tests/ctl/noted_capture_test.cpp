// Packets with comments: that the file is one, and holds what was said. What tcpdump makes of it is for
// tests/programs.
#include "ctl/noted_capture.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>

#include "ctl/capture_file.hpp"
#include "link/pcapng.hpp"

namespace skerry::ctl {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class NotedCaptureTest : public testing::Test {
 protected:
  ~NotedCaptureTest() override { ::unlink(path_.c_str()); }
  std::vector<uint8_t> file() const {
    std::ifstream stream(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  std::string path_ = testing::TempDir() + "noted" + std::to_string(::getpid()) + ".pcapng";
};

TEST_F(NotedCaptureTest, HoldsThePacketAndWhatIsSaidOfIt) {
  Result<NotedCapture> capture = NotedCapture::open(path_, "web.stack");
  ASSERT_TRUE(capture);
  const json row{{"what", "drop"},   {"hook", "input"},      {"by", "inet mine in handle 5"},
                 {"file", "/w.nft"}, {"line", 6U},           {"ago_ns", 5U},
                 {"length", 1500U},  {"bytes", "4500002801"}};
  const auto adds = [&](const json& one) { return *capture->add(one); };
  EXPECT_TRUE(adds(row));
  EXPECT_FALSE(adds({{"what", "drop"}})) << "without bytes it is none";
  EXPECT_FALSE(adds({{"what", "refuse"}, {"layer", "names"}, {"packet", "name a.example"}, {"bytes", ""}}));
  EXPECT_TRUE(adds(row));
  const std::vector<uint8_t> written = file();
  const auto packets = read_capture(written);
  ASSERT_TRUE(packets);
  ASSERT_EQ(packets->size(), 2U);
  const CapturedPacket& first = packets->front();
  EXPECT_EQ(first.link, CaptureLink::raw_ip);
  EXPECT_EQ(first.original_bytes, 1500U);
  EXPECT_EQ(std::vector<uint8_t>(first.bytes.begin(), first.bytes.end()),
            (std::vector<uint8_t>{0x45, 0, 0, 0x28, 1}));
  EXPECT_GE(packets->back().at, first.at);
  EXPECT_THAT(std::string(written.begin(), written.end()),
              HasSubstr("drop at input by inet mine in handle 5, /w.nft:6"));
}

TEST_F(NotedCaptureTest, KnowsWhatLeaves) {
  for (const auto& [hook, direction] : {std::pair{"ingress", CaptureDirection::kInbound},
                                        {"prerouting", CaptureDirection::kInbound},
                                        {"input", CaptureDirection::kInbound},
                                        {"output", CaptureDirection::kOutbound},
                                        {"postrouting", CaptureDirection::kOutbound},
                                        {"egress", CaptureDirection::kOutbound}}) {
    Result<NotedCapture> capture = NotedCapture::open(path_, "web.stack");
    ASSERT_TRUE(capture);
    ASSERT_TRUE(*capture->add({{"what", "drop"}, {"hook", hook}, {"bytes", "4500002801"}}));
    const std::vector<uint8_t> written = file();
    // epb_flags, of 4 bytes
    const uint32_t option[] = {2 | 4 << 16, static_cast<uint32_t>(direction)};
    EXPECT_THAT(std::string(written.begin(), written.end()),
                HasSubstr(std::string(reinterpret_cast<const char*>(option), sizeof option)))
        << hook;
  }
}

TEST_F(NotedCaptureTest, SaysWhereItCannotWrite) {
  EXPECT_THAT(NotedCapture::open("/nowhere/x", "web").error().message, HasSubstr("cannot write /nowhere/x"));
}

// What a stack says may be anything, and the file is still one.
TEST_F(NotedCaptureTest, BelievesNothing) {
  Result<NotedCapture> capture = NotedCapture::open(path_, "web.stack");
  ASSERT_TRUE(capture);
  const std::string wide(100'000, 'z');
  for (const json& row :
       {json(7), json{{"bytes", "zz!"}, {"what", 5}},
        json{{"bytes", wide}, {"by", wide}, {"length", UINT64_MAX}, {"ago_ns", UINT64_MAX}}})
    EXPECT_TRUE(capture->add(row));
  const std::vector<uint8_t> written = file();
  const auto packets = read_capture(written);
  ASSERT_TRUE(packets) << packets.error().message;
  EXPECT_EQ(packets->size(), 2U);
  EXPECT_EQ(note_of({{"what", "log"}, {"hook", "input"}, {"by", "\x1b[2J"}}), "log at input: ?[2J");
}

TEST_F(NotedCaptureTest, ALongCommentEndsWithAWholeCharacter) {
  for (const char* before : {"", "a", "ab"}) {
    std::string by = before;
    for (int i = 0; i < 1000; ++i) by += "€";
    const std::string note = note_of({{"what", "log"}, {"hook", "input"}, {"by", by}});
    EXPECT_GT(note.size(), 1000U);
    EXPECT_TRUE(note.ends_with("€")) << before;
  }
}

}  // namespace
}  // namespace skerry::ctl
