// Real TAP devices against the kernel's own stack, each in a network namespace that exists only as long as
// the process in it. Needs root; skipped without.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "driver/pump.hpp"
#include "driver/tap/tap_device.hpp"
#include "driver/tap/tap_link.hpp"
#include "namespace_side.hpp"

namespace skerry {
namespace {

constexpr uint32_t kLeft = 0x0a630001;   // 10.99.0.1
constexpr uint32_t kRight = 0x0a630002;  // 10.99.0.2
constexpr uint16_t kPort = 7777;
constexpr size_t kTransferBytes = 32 << 20;

sockaddr_in endpoint(uint32_t address) {
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_addr.s_addr = htonl(address);
  result.sin_port = htons(kPort);
  return result;
}

uint8_t pattern(size_t at) {
  return static_cast<uint8_t>(at * 2654435761u >> 24);
}

int serve() {
  const Fd listener(::socket(AF_INET, SOCK_STREAM, 0));
  const sockaddr_in self = endpoint(kRight);
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&self), sizeof self) != 0) return 1;
  if (::listen(listener.get(), 1) != 0) return 2;
  const Fd connection(::accept(listener.get(), nullptr, nullptr));
  size_t got = 0;
  std::vector<uint8_t> buffer(1 << 16);
  while (got < kTransferBytes) {
    const ssize_t count = ::read(connection.get(), buffer.data(), buffer.size());
    if (count <= 0) return 3;
    for (ssize_t i = 0; i < count; ++i) {
      if (buffer[static_cast<size_t>(i)] != pattern(got++)) return 4;
    }
  }
  return ::write(connection.get(), "done", 4) == 4 ? 0 : 5;
}

int transfer() {
  const sockaddr_in server = endpoint(kRight);
  Fd connection;
  for (int tries = 0; tries < 2000; ++tries) {
    connection.reset(::socket(AF_INET, SOCK_STREAM, 0));
    if (::connect(connection.get(), reinterpret_cast<const sockaddr*>(&server), sizeof server) == 0) break;
    ::usleep(10'000);  // it does not listen yet
  }
  std::vector<uint8_t> bytes(kTransferBytes);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = pattern(i);
  size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t count = ::write(connection.get(), bytes.data() + sent, bytes.size() - sent);
    if (count <= 0) return 10;
    sent += static_cast<size_t>(count);
  }
  char answer[4];
  return ::recv(connection.get(), answer, 4, MSG_WAITALL) == 4 ? 0 : 11;
}

using TapDeviceTest = NeedsTap;

// A TCP stream of the kernel, from one namespace to another, through two TapLinks and a pump. That
// super-frames were carried shows in the count of frames.
TEST_F(TapDeviceTest, CarriesAStreamOfTheKernelInSuperFrames) {
  NamespaceSide right(kRight, serve), left(kLeft, transfer);
  Result<TapLink> left_link = TapLink::create(left.take_tap(), InterfaceWatch(), 1500);
  Result<TapLink> right_link = TapLink::create(right.take_tap(), InterfaceWatch(), 1500);
  ASSERT_TRUE(left_link && right_link) << "no device came";
  Pump pump(*left_link, *right_link);
  std::optional<int> left_status, right_status;
  for (uint32_t idle = 0; idle < 200'000 && (!left_status || !right_status);) {
    const uint32_t work = pump.rx(0) + pump.tx(0);
    idle = work > 0 ? 0 : idle + 1;
    if (work > 0) continue;
    ::usleep(100);
    if (!left_status) left_status = left.status();
    if (!right_status) right_status = right.status();
  }
  EXPECT_EQ(left_status, 0);
  EXPECT_EQ(right_status, 0);
  const LinkCounters& sent = right_link->counters();
  EXPECT_GE(sent.tx_bytes, kTransferBytes);
  EXPECT_LT(sent.tx_frames, kTransferBytes / 1448 / 4) << "most of it in super-frames";
  EXPECT_EQ(pump.too_long(), 0u);
}

TEST_F(TapDeviceTest, ErrorsAreSentences) {
  EXPECT_NE(open_tap("").error().message.find("1 to 15"), std::string::npos);
  EXPECT_FALSE(open_tap("a-name-that-is-too-long"));
  EXPECT_NE(open_tap("sk/bad").error().message.find("sk/bad"), std::string::npos);
  EXPECT_FALSE(set_up_interface("sk-absent", kLeft, 24, 1500));
}

}  // namespace
}  // namespace skerry
