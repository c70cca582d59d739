#include "run/control.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/check.hpp"
#include "base/system_error.hpp"

namespace skerry {
Result<std::pair<Fd, Fd>> create_control_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
    return system_error("cannot create a control socket");
  return std::pair(Fd(ends[0]), Fd(ends[1]));
}

Result<void> send_control(const Fd& socket, const nlohmann::json& body, std::span<const int> fds) {
  // Text that came from a stranger may be no UTF-8; it is replaced rather than thrown over.
  std::string text = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (text.size() > kMaxControlBytes || fds.size() > kMaxControlFds)
    return Error{"a control message is too long", EMSGSIZE};
  constexpr int kFlags = MSG_DONTWAIT | MSG_NOSIGNAL;
  ssize_t sent = 0;
  if (fds.empty()) {  // sendmsg() takes an address too, so a resolver may not call it (confine.hpp)
    sent = ::send(socket.get(), text.data(), text.size(), kFlags);
  } else {
    iovec part{text.data(), text.size()};
    alignas(cmsghdr) char ancillary[CMSG_SPACE(sizeof(int) * kMaxControlFds)] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = ancillary;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
    sent = ::sendmsg(socket.get(), &message, kFlags);
  }
  if (sent < 0) return system_error("cannot send a control message");
  return {};
}

Result<ControlMessage> receive_control(const Fd& socket) {
  std::string text(kMaxControlBytes, '\0');
  iovec part{text.data(), text.size()};
  alignas(cmsghdr) char ancillary[CMSG_SPACE(sizeof(int) * kMaxControlFds)];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = ancillary;
  message.msg_controllen = sizeof ancillary;
  const ssize_t got = ::recvmsg(socket.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0) return system_error("cannot receive a control message");

  ControlMessage result;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    for (size_t at = 0; at + sizeof(int) <= header->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
      int number;
      std::memcpy(&number, CMSG_DATA(header) + at, sizeof number);
      result.fds.emplace_back(number);
    }
  }
  if (got == 0) return Error{"the other side of the control socket is gone", EPIPE};
  if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
    return Error{"a control message was too long, or brought too many descriptors", EBADMSG};
  text.resize(static_cast<size_t>(got));
  result.body = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!result.body.is_object()) return Error{"a control message is not a JSON object", EBADMSG};
  return result;
}

Result<ControlServer> ControlServer::create(Fd socket, Waiter& waiter, Handler handler) {
  auto state = std::make_unique<State>(State{std::move(socket), waiter, std::move(handler)});
  if (const Result<void> watched = state->listen(); !watched) return watched.error();
  return ControlServer(std::move(state));
}

Result<void> ControlServer::State::listen() {
  return waiter.watch(socket.get(), [this](uint32_t) { answer(); });
}

void ControlServer::State::answer() {
  Result<ControlMessage> request = receive_control(socket);
  if (!request && request.error().system_error == EAGAIN) return;
  if (!request && request.error().system_error != EBADMSG) return waiter.unwatch(socket.get());
  id = request ? request->body.value("id", nlohmann::json()) : nlohmann::json();
  const Result<nlohmann::json> reply = [&]() -> Result<nlohmann::json> {
    if (!request) return request.error();
    try {
      return handler(*request);
    } catch (const nlohmann::json::exception& problem) {
      deferred = false;
      return Error{std::string("a control request is not understood: ") + problem.what()};
    }
  }();
  if (deferred)
    waiter.unwatch(socket.get());
  else
    send(reply);
}

void ControlServer::State::send(const Result<nlohmann::json>& reply) const {
  nlohmann::json body = reply ? *reply : nlohmann::json{{"error", reply.error().message}};
  if (reply) body["ok"] = true;
  if (!id.is_null()) body["id"] = id;
  Result<void> sent = send_control(socket, body);
  if (!sent && sent.error().system_error == EMSGSIZE)
    sent = send_control(socket, {{"error", "the answer is longer than a message"}, {"id", id}});
  // Who asks and does not read the answers gets none; who is gone is noticed at the next wait.
  static_cast<void>(sent);
}

void ControlServer::answer_later(const Result<nlohmann::json>& reply) {
  state_->deferred = false;
  state_->send(reply);
  const Result<void> watched = state_->listen();
  CHECK(watched);  // it was watched before
}

void ControlServer::tell(const nlohmann::json& body) const {
  const Result<void> sent = send_control(state_->socket, body);
  static_cast<void>(sent);
}

ControlServer::~ControlServer() {
  if (state_) state_->waiter.unwatch(state_->socket.get());
}

}  // namespace skerry
