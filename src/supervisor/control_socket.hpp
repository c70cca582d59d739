// Sockets of the control protocol: who may connect, lines and descriptors in and out. The
// server side never blocks: its owner polls fd() and calls receive() and flush().
//
// Invariant: a peer of another user (other than root) never gets a line parsed (SO_PEERCRED, unix(7)).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.hpp"
#include "base/result.hpp"
#include "supervisor/control_protocol.hpp"

namespace skerry::supervisor {

struct ControlLine {
  std::string line;
  std::vector<Fd> descriptors;
};

class ControlConnection {
 public:
  ControlConnection(Fd fd, size_t bound) : fd_(std::move(fd)), reader_(bound) {}

  int fd() const { return fd_.get(); }
  // Appends the lines that are there. False: the peer is gone or broke the protocol; close the connection.
  bool receive(std::vector<ControlLine>& messages);
  // Queues a line (newline included) with descriptors, and sends what the socket takes. False: as receive().
  // The descriptors are duplicated before it returns.
  bool send(std::string line, std::span<const int> descriptors = {});
  bool flush();
  bool wants_to_write() const { return !queue_.empty(); }

 private:
  struct Outgoing {
    std::string line;
    size_t sent = 0;
    std::vector<Fd> descriptors;  // go with the first byte
  };

  Fd fd_;
  LineReader reader_;
  std::vector<Fd> received_;  // wait for the line that they came with to be whole
  std::vector<Outgoing> queue_;
};

class ControlListener {
 public:
  // Listens at `path`, where whoever was there before is known to be dead (RuntimeClaim).
  static Result<ControlListener> create(const std::string& path);

  int fd() const { return fd_.get(); }
  // The next connection from a permitted user, if there is one; others are closed at once.
  std::optional<ControlConnection> accept();

 private:
  explicit ControlListener(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

// The asking side: blocks, at most `timeout_ms` for a reply.
class ControlClient {
 public:
  // Errors: system_error is ENOENT or ECONNREFUSED if nothing runs there.
  static Result<ControlClient> connect(const std::string& path);

  // Errors: system_error is EPIPE if it hung up, ETIMEDOUT if it says nothing.
  Result<ControlLine> call(std::string_view line, std::span<const int> descriptors = {},
                           int timeout_ms = 10'000);
  // Waits for the other side to close. False on time-out.
  bool wait_closed(int timeout_ms);
  int fd() const { return connection_.fd(); }

 private:
  ControlClient(Fd fd, std::string path)
      : connection_(std::move(fd), kMaxReplyBytes), path_(std::move(path)) {}
  ControlConnection connection_;
  std::string path_;
};

}  // namespace skerry::supervisor
