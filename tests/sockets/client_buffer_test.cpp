// SO_SNDBUF and SO_RCVBUF, as the kernel has them.
#include <fcntl.h>
#include <poll.h>

#include "client_case.hpp"

namespace skerry::sockets {
namespace {

class BufferTest : public OsCase {
 protected:
  int set_and_get(int fd, int name, int bytes) {
    EXPECT_EQ(os->set_option(fd, SOL_SOCKET, name, &bytes, sizeof bytes), 0);
    int shown = 0;
    socklen_t length = sizeof shown;
    EXPECT_EQ(os->get_option(fd, SOL_SOCKET, name, &shown, &length), 0);
    return shown;
  }
  // Writes until there is no room. Delivery takes a moment, so until `expected` is reached that is given
  // time.
  size_t fill(int fd, size_t expected) {
    const std::string block(3000, 'x');
    size_t sent = 0;
    for (int turn = 0; turn < 100 || (sent < expected && turn < 5000); ++turn) {
      ssize_t result;
      while ((result = send(fd, block, MSG_DONTWAIT)) > 0) sent += static_cast<size_t>(result);
      EXPECT_EQ(result, -EAGAIN);
      if (result != -EAGAIN) break;
      ::usleep(1000);
    }
    return sent;
  }
  // What the fake stack takes of a writer whose buffer holds so many bytes, if nobody reads.
  size_t held(uint32_t buffer) { return is_client() ? buffer + FakeStack::default_size().stream_bytes : 0; }
};
ON_KERNEL_AND_CLIENT(BufferTest);

TEST_P(BufferTest, TheSizeIsDoubledAndHasALeast) {
  const int fd = os->socket(AF_INET, SOCK_STREAM);
  EXPECT_EQ(set_and_get(fd, SO_SNDBUF, 10'000), 20'000);
  EXPECT_EQ(set_and_get(fd, SO_RCVBUF, 10'000), 20'000);
  EXPECT_EQ(set_and_get(fd, SO_SNDBUF, 0), 4608);
  EXPECT_EQ(set_and_get(fd, SO_RCVBUF, 0), 2304);
  os->close(fd);
}

TEST_P(BufferTest, TheSendBufferHoldsWhatItsSizeSaysAndNoMore) {
  const auto [a, b] = connection();
  EXPECT_EQ(set_and_get(b, SO_RCVBUF, 4096), 8192);
  EXPECT_EQ(set_and_get(a, SO_SNDBUF, 32'768), 65'536);
  const size_t sent = fill(a, held(65'536));
  // The kernel counts what it needs around the bytes, so roughly.
  EXPECT_GE(sent, 16'384u);
  if (is_client()) {
    EXPECT_EQ(sent, held(65'536));
    EXPECT_EQ(send(a, "x", MSG_DONTWAIT), -EAGAIN);
  }
  expect_room_once_read(a, b, sent);
  os->close(a);
  os->close(b);
}

// A buffer may be set larger than our ring, which then is all that can ever wait.
TEST_P(BufferTest, AFullRingIsEnoughInput) {
  const auto [a, b] = connection();
  set_and_get(b, SO_RCVBUF, 212'992);
  set_and_get(b, SO_RCVLOWAT, 200'000);
  std::thread writer([&, from = a] {
    const std::string block(100'000, 'x');
    for (int i = 0; i < 2; ++i)
      for (size_t sent = 0; sent < block.size();) {
        const ssize_t now = os->send(from, block.data() + sent, block.size() - sent, 0);
        ASSERT_GT(now, 0);
        sent += static_cast<size_t>(now);
      }
  });
  size_t got = 0;
  while (got < 200'000) {
    ASSERT_EQ(wait_for(b, POLLIN), POLLIN) << got;
    const std::string piece = receive(b, 200'000, MSG_DONTWAIT);
    ASSERT_NE(piece, "");
    got += piece.size();
    set_and_get(b, SO_RCVLOWAT, 1);
  }
  writer.join();
  os->close(a);
  os->close(b);
}

TEST_P(BufferTest, ASmallerSendBufferHoldsLess) {
  const auto [a, b] = connection();
  EXPECT_EQ(set_and_get(b, SO_RCVBUF, 4096), 8192);
  EXPECT_EQ(set_and_get(a, SO_SNDBUF, 4096), 8192);
  const size_t sent = fill(a, held(8192));
  EXPECT_LT(sent, 200'000u);
  if (is_client()) {
    EXPECT_EQ(sent, held(8192));
  }
  os->close(a);
  os->close(b);
}

}  // namespace
}  // namespace skerry::sockets
