// `skerry capture`: the file that it writes, and what it says when it cannot.
#include <gmock/gmock.h>

#include <fstream>

#include "fake_supervisor.hpp"
#include "link/pcapng.hpp"
#include "supervisor/attach.hpp"

namespace skerry::ctl {
namespace {

using nlohmann::json;
using supervisor::Command;
using supervisor::Request;
using testing::HasSubstr;
using Answer = FakeSupervisor::Answer;

class Capture : public WithCommand {};

// A pipe that holds a capture of two frames, as a vswitch leaves it when the link ends.
Fd capture_pipe() {
  std::vector<uint8_t> file(8192);
  size_t bytes = pcapng_file_header(file.data(), "redis");
  const std::vector<uint8_t> frame(60, 7);
  for (int i = 0; i < 2; ++i)
    bytes += pcapng_packet(file.data() + bytes, 1, CaptureDirection::kInbound, frame);
  int ends[2];
  CHECK(::pipe2(ends, O_CLOEXEC) == 0);
  CHECK(::write(ends[1], file.data(), bytes) == static_cast<ssize_t>(bytes));
  ::close(ends[1]);
  return Fd(ends[0]);
}

FakeSupervisor::Answers capturing() {
  supervisor::Plan plan =
      *supervisor::default_plan("lan", supervisor::Uplink::none, {}, {}, supervisor::this_machine());
  const supervisor::Program program{.name = "redis", .network = "lan"};
  CHECK(supervisor::add_program(plan, program));
  return {{Command::plan,
           [plan](const Request&) {
             return Answer{{{"ok", true}, {"plan", json::parse(supervisor::plan_to_json(plan))}}};
           }},
          {Command::mirror, [pipe = std::make_shared<Fd>()](const Request& request) {
             CHECK(request.link == "lan.redis");
             *pipe = capture_pipe();
             return Answer{{{"ok", true}}, {pipe->get()}};
           }}};
}

TEST_F(Capture, WritesTheFile) {
  const FakeSupervisor lan("lan", capturing());
  const Ended counted = skerry({"capture", "redis", "-w", folder_ + "/a.pcapng", "-c", "2"});
  EXPECT_EQ(counted.status, 0) << counted.err;
  EXPECT_EQ(counted.err, "2 frames of lan.redis in " + folder_ + "/a.pcapng\n");
  EXPECT_GT(std::filesystem::file_size(folder_ + "/a.pcapng"), 200u);
  const Ended ended = skerry({"capture", "lan.redis", "-w", "-"});
  EXPECT_EQ(ended.status, 1);
  EXPECT_THAT(ended.err, HasSubstr("the link has ended"));
  EXPECT_EQ(ended.out, RunningCommand::read(folder_ + "/a.pcapng"));
}

TEST_F(Capture, ARefusedCaptureLeavesTheFileAsItIs) {
  FakeSupervisor::Answers answers = capturing();
  answers[Command::mirror] = [](const Request&) {
    return Answer{supervisor::refusal("port 'redis' is being captured already")};
  };
  const FakeSupervisor lan("lan", answers);
  const std::string path = folder_ + "/old.pcapng";
  std::ofstream(path) << "precious";
  const Ended ended = skerry({"capture", "redis", "-w", path});
  EXPECT_EQ(ended.status, 1);
  EXPECT_THAT(ended.err, HasSubstr("is being captured already"));
  EXPECT_EQ(RunningCommand::read(path), "precious");
}

TEST_F(Capture, SaysWhatIsWrong) {
  const FakeSupervisor lan("lan", capturing());
  const Ended full = skerry({"capture", "redis", "-w", "/dev/full"});
  EXPECT_EQ(full.status, 1);
  EXPECT_THAT(full.err,
              HasSubstr("cannot write /dev/full: No space left on device: make room, or write elsewhere"));
  EXPECT_THAT(skerry({"capture", "redsi", "-w", "x"}).err, HasSubstr("there is no link \"redsi\""));
  EXPECT_THAT(skerry({"capture", "redis", "-w", "/nowhere/x"}).err, HasSubstr("cannot write /nowhere/x"));
}

}  // namespace
}  // namespace skerry::ctl
