#include "sockets/anchors.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace skerry::sockets {
namespace {

// What an epoll event is about: the kind above, the index below.
enum class Source : uint32_t { listener = 0, connection = 1, process = 2 };

uint64_t tag(Source source, uint32_t index) {
  return (static_cast<uint64_t>(source) << 32) | index;
}

bool watch(int epoll, int fd, Source source, uint32_t index) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = tag(source, index);
  return ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

constexpr uint32_t kStrangers =
    256;  // connections beside one for each process: carriers, and who just knocked
constexpr uint32_t kMostAtOnce = 32;  // who knocks without end does not stop the stack
constexpr size_t kMaxPassed = 2;      // descriptors in one message, either way

}  // namespace

Result<Anchors> Anchors::create(SessionView view, Descriptors descriptors, Handlers handlers) {
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return Error{"cannot make an epoll descriptor for the program's processes", errno};
  const int flags = ::fcntl(descriptors.listener.get(), F_GETFL);
  if (flags < 0 || ::fcntl(descriptors.listener.get(), F_SETFL, flags | O_NONBLOCK) < 0) {
    return Error{"the session listener is not a usable socket", errno};
  }
  return Anchors(view, std::move(descriptors), std::move(handlers), std::move(epoll));
}

Anchors::Anchors(SessionView view, Descriptors descriptors, Handlers handlers, Fd epoll)
    : view_(view),
      descriptors_(std::move(descriptors)),
      handlers_(std::move(handlers)),
      epoll_(std::move(epoll)),
      connections_(view.size().processes + kStrangers),
      slots_(view.size().processes) {
  watch(epoll_.get(), descriptors_.listener.get(), Source::listener, 0);
}

void Anchors::serve() {
  std::array<epoll_event, 32> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < count; ++i) {
    const uint64_t data = events[static_cast<size_t>(i)].data.u64;
    const auto index = static_cast<uint32_t>(data);
    switch (static_cast<Source>(data >> 32)) {
      case Source::listener:
        accept_all();
        break;
      case Source::connection:
        if (connections_[index].socket) read_request(index);
        break;
      case Source::process:
        if (slots_[index].live) end_process(index);
        break;
    }
  }
}

void Anchors::accept_all() {
  for (uint32_t taken = 0; taken < kMostAtOnce; ++taken) {
    Fd socket(::accept4(descriptors_.listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) return;
    const auto free = std::find_if(connections_.begin(), connections_.end(),
                                   [](const Connection& connection) { return !connection.socket; });
    if (free == connections_.end()) continue;  // closes the newcomer: too many processes at the door
    const auto index = static_cast<uint32_t>(free - connections_.begin());
    watch(epoll_.get(), socket.get(), Source::connection, index);
    *free = Connection{.socket = std::move(socket)};
  }
}

void Anchors::read_request(uint32_t index) {
  AnchorRequest request;
  iovec piece{&request, sizeof request};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxPassed)];
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  // MSG_DONTWAIT: the flags of the connection are ours alone, but a sleep here would stop the stack.
  const ssize_t length =
      ::recvmsg(connections_[index].socket.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;

  std::array<Fd, kMaxPassed> passed;
  if (length > 0) {
    size_t taken = 0;
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
      const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count; ++i) {
        int fd;
        std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
        Fd owned(fd);
        if (taken < passed.size()) passed[taken++] = std::move(owned);
      }
    }
  }
  if (length <= 0) {
    close_connection(index);
    return;
  }
  if (length != sizeof request || request.magic != kSessionMagic) {
    ++faults_;
    close_connection(index);
    return;
  }

  AnchorReply reply;
  reply.size = view_.size();
  switch (request.op) {
    case AnchorOp::attach: {
      reply.error = attach(index, request, std::move(passed[0]), reply);
      const int given[] = {descriptors_.region.get(), descriptors_.session_ring.get()};
      reply_to(index, reply, given, reply.error == 0 ? 2 : 0);
      return;
    }
    case AnchorOp::fork:
    case AnchorOp::spawn:
      reply.error = fork(index, request, reply);
      reply_to(index, reply, nullptr, 0);
      return;
    case AnchorOp::spawned:
      reply.error = spawned(index, request, std::move(passed[0]));
      reply_to(index, reply, nullptr, 0);
      return;
    case AnchorOp::carry:
      reply.error = carry(index, request);
      reply_to(index, reply, nullptr, 0);
      return;
    case AnchorOp::execute:
      if (execute(index, request) == 0) return;
      break;
    case AnchorOp::claim:
      reply.error = claim(index, request, reply);
      reply_to(index, reply, nullptr, 0);
      return;
    case AnchorOp::doorbell: {
      int ends[2] = {-1, -1};
      if (request.slot >= view_.size().waiters) {
        reply.error = EINVAL;
      } else if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
        reply.error = errno;
      }
      Fd read_end(ends[0]);
      if (reply.error == 0) handlers_.doorbell_made(request.slot, Fd(ends[1]));
      const int given[] = {read_end.get()};
      reply_to(index, reply, given, reply.error == 0 ? 1 : 0);
      return;
    }
  }
  ++faults_;
  close_connection(index);
}

void Anchors::reply_to(uint32_t index, const AnchorReply& reply, const int* descriptors, uint32_t count) {
  iovec piece{const_cast<AnchorReply*>(&reply), sizeof reply};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxPassed)] = {};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  if (count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    std::memcpy(CMSG_DATA(header), descriptors, sizeof(int) * count);
  }
  if (::sendmsg(connections_[index].socket.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    close_connection(index);
  }
}

void Anchors::close_connection(uint32_t index) {
  const uint32_t slot = connections_[index].slot;
  const uint32_t carried = connections_[index].carried;
  end_image(connections_[index]);
  connections_[index] = Connection{};  // closing also leaves the epoll set: we hold no duplicate
  if (carried != kNoSocket) handlers_.put_down(carried);
  if (slot == UINT32_MAX || !slots_[slot].live) return;
  slots_[slot].connection = UINT32_MAX;
  // With a pidfd that alone tells the end: a process may close its anchor with close_range() and live on.
  if (!slots_[slot].pidfd) end_process(slot);
}

bool Anchors::watch_process(uint32_t slot, Fd pidfd) {
  if (!pidfd || !watch(epoll_.get(), pidfd.get(), Source::process, slot)) return false;
  slots_[slot].pidfd = std::move(pidfd);
  return true;
}

void Anchors::forget_pidfd(uint32_t slot) {
  Fd& pidfd = slots_[slot].pidfd;
  if (!pidfd) return;
  // Explicitly, because the program holds the same open file: closing our descriptor would leave it watched.
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, pidfd.get(), nullptr);
  pidfd.reset();
}

void Anchors::end_process(uint32_t slot) {
  Slot& process = slots_[slot];
  if (process.connection != UINT32_MAX) {
    connections_[process.connection].slot = UINT32_MAX;
    connections_[process.connection].socket.reset();
  }
  forget_pidfd(slot);
  process = Slot{};
  view_.process_ids()[slot].store(0);
  handlers_.died(slot);
}

}  // namespace skerry::sockets
