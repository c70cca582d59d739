// The control socket between the supervisor and a process: one JSON object a packet (AF_UNIX,
// SOCK_SEQPACKET), with descriptors beside it (SCM_RIGHTS, unix(7)). The supervisor asks, the process answers
// each request once, in their order:
//
//   {"command":"stats","id":7}  →  {"ok":true,…,"id":7}   or   {"error":"one sentence","id":7}
//
// An answer that cannot be sent is lost, so an answer says what it is the answer to.
//
// Invariant: nothing blocks; a packet is at most 64 KiB with at most 16 descriptors, and what does not fit or
// is no JSON object is refused whole, its descriptors closed.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <vector>

#include "base/fd.hpp"
#include "base/result.hpp"
#include "run/waiter.hpp"

namespace skerry {

inline constexpr size_t kMaxControlBytes = 64 * 1024;
inline constexpr size_t kMaxControlFds = 16;

struct ControlMessage {
  nlohmann::json body;  // an object
  std::vector<Fd> fds;
};

// A connected pair: first for the supervisor, second for the process.
Result<std::pair<Fd, Fd>> create_control_pair();

// Fails with EAGAIN if the other side does not read.
Result<void> send_control(const Fd& socket, const nlohmann::json& body, std::span<const int> fds = {});

// The next packet. Fails with EAGAIN if there is none, EPIPE if the other side is gone, EBADMSG if the packet
// is refused.
Result<ControlMessage> receive_control(const Fd& socket);

// The process's side: answers requests while the waiter waits. The handler may throw what nlohmann::json
// throws at a member that is missing or of the wrong type: that becomes an error reply.
class ControlServer {
 public:
  using Handler = std::function<Result<nlohmann::json>(ControlMessage& request)>;

  // The supervisor may come and go: its end of file is no error. The waiter must outlive the server.
  static Result<ControlServer> create(Fd socket, Waiter& waiter, Handler handler);

  // Called by the handler: the answer to the request in hand is given later, by answer_later(). Until then no
  // other request is read. What the handler returns is not sent.
  void defer() { state_->deferred = true; }
  void answer_later(const Result<nlohmann::json>& reply);

  // Says something unasked, {"event":…}. A supervisor that does not listen misses it.
  void tell(const nlohmann::json& body) const;

  ControlServer(ControlServer&&) = default;
  ControlServer& operator=(ControlServer&&) = delete;
  ~ControlServer();

 private:
  struct State {
    Fd socket;
    Waiter& waiter;
    Handler handler;
    bool deferred = false;
    nlohmann::json id = nullptr;  // of the request in hand

    Result<void> listen();
    void answer();
    void send(const Result<nlohmann::json>& reply) const;
  };
  explicit ControlServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

  std::unique_ptr<State> state_;  // stays where it is while the server moves
};

}  // namespace skerry
