#include "sockets/client_passing.hpp"

#include <fcntl.h>

#include <cstring>

#include "sockets/client_anchor.hpp"
#include "sockets/client_call.hpp"
#include "sockets/client_descriptors.hpp"
#include "sockets/client_session.hpp"

namespace skerry::sockets::client {
namespace {

// Visits every descriptor number of the message's SCM_RIGHTS, and stores it back if the visitor changed it.
template <class Visit>
void for_each_descriptor(const msghdr& message, Visit visit) {
  auto* headers = const_cast<msghdr*>(&message);
  for (cmsghdr* header = CMSG_FIRSTHDR(headers); header != nullptr; header = CMSG_NXTHDR(headers, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const auto* end = static_cast<const unsigned char*>(headers->msg_control) + headers->msg_controllen;
    const auto left = static_cast<size_t>(end - reinterpret_cast<unsigned char*>(header));
    if (header->cmsg_len < CMSG_LEN(0) || header->cmsg_len > left) return;  // the kernel refuses it
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      unsigned char* place = CMSG_DATA(header) + i * sizeof(int);
      int number;
      std::memcpy(&number, place, sizeof number);
      const int before = number;
      visit(number);
      if (number != before) std::memcpy(place, &number, sizeof number);
    }
  }
}

// A connection to the stack that stands for the socket, or -errno. It is in the table from its first moment
// on, so that a child that is forked while it is on its way does not keep it, and with it the socket.
int make_carrier(uint32_t socket) {
  int connection = -1;
  {
    const Lock table = lock_table();
    connection = connect_carrier();
    if (connection < 0) return connection;
  }
  AnchorReply reply;
  const AnchorRequest request{
      .op = AnchorOp::carry, .slot = state.slot, .pid = process_id(), .socket = socket};
  if (ask_anchor(connection, request, reply, nullptr, 0)) return connection;
  forget_internal(connection);
  return -ETOOMANYREFS;
}

void take_over(int carrier, bool close_on_exec) {
  // A close() of ours that the stack has not seen yet would take the new reference away with the old one.
  wait_for_posted();
  AnchorReply reply;
  const AnchorRequest request{
      .op = AnchorOp::claim, .slot = state.slot, .pid = process_id(), .session = state.control->mac};
  if (!ask_anchor(carrier, request, reply, nullptr, 0) || reply.socket >= state.size.sockets) return;
  install_over(carrier, reply.socket, close_on_exec);
}

}  // namespace

bool passes_sockets(const msghdr* message) {
  if (!state.attached || message == nullptr || message->msg_control == nullptr) return false;
  bool found = false;
  for_each_descriptor(*message, [&](const int& number) { found = found || socket_of(number) != kNoSocket; });
  return found;
}

Passing::Passing(const msghdr& message)
    : message_(message), undo_([](void* passing) { static_cast<Passing*>(passing)->end(); }, this) {
  if (message.msg_controllen > sizeof control_) {
    error_ = -ENOBUFS;
    return;
  }
  std::memcpy(control_, message.msg_control, message.msg_controllen);
  message_.msg_control = control_;
  for_each_descriptor(message_, [this](int& number) { carry(number); });
}

void Passing::end() {
  const Lock table = lock_table();
  for (uint32_t i = 0; i < count_; ++i) forget_carrier(carriers_[i]);
  count_ = 0;
}

void Passing::carry(int& number) {
  const uint32_t socket = socket_of(number);
  if (socket == kNoSocket || error_ != 0) return;
  const NoHandlers none;
  const int carrier = count_ < kMost ? make_carrier(socket) : -EINVAL;
  if (carrier < 0) {
    error_ = carrier;
    return;
  }
  carriers_[count_++] = carrier;
  number = carrier;
}

void receive_sockets(const msghdr* message, int flags) {
  if (!state.attached || message->msg_control == nullptr || message->msg_controllen < CMSG_LEN(sizeof(int)))
    return;
  for_each_descriptor(*message, [&](const int& number) {
    if (is_anchor(number)) take_over(number, flags & MSG_CMSG_CLOEXEC);
  });
}

}  // namespace skerry::sockets::client
