#include "driver/interface_watch.hpp"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

extern "C" unsigned if_nametoindex(const char*);  // <net/if.h> and <linux/if.h> exclude each other

namespace skerry {
namespace {

// A message about a link: all of it that is of interest here.
struct LinkMessage {
  nlmsghdr header;
  ifinfomsg info;
};

// Lets a message through if its interface has this index.
bool admit_only(int socket, int index) {
  sock_filter steps[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(LinkMessage, info) + offsetof(ifinfomsg, ifi_index)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(static_cast<uint32_t>(index)), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX), BPF_STMT(BPF_RET | BPF_K, 0)};
  const sock_fprog program{std::size(steps), steps};
  const int locked = 1;
  return ::setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0 &&
         ::setsockopt(socket, SOL_SOCKET, SO_LOCK_FILTER, &locked, sizeof locked) == 0;
}

bool ask(int socket, int index) {
  LinkMessage question{};
  question.header.nlmsg_len = sizeof question;
  question.header.nlmsg_type = RTM_GETLINK;
  question.header.nlmsg_flags = NLM_F_REQUEST;
  question.info.ifi_index = index;
  return ::send(socket, &question, sizeof question, 0) == sizeof question;
}

}  // namespace

Result<Fd> InterfaceWatch::open(const std::string& interface) {
  const auto failed = [&](const char* what) {
    const int number = errno;
    return Error{std::string(what) + " '" + interface + "': " + std::strerror(number), number};
  };
  const auto index = static_cast<int>(::if_nametoindex(interface.c_str()));
  if (index == 0) return failed("there is no interface");
  Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK;
  if (!socket || !admit_only(socket.get(), index) ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      !ask(socket.get(), index))
    return failed("cannot watch the interface");
  return socket;
}

void InterfaceWatch::look() {
  if (!socket_) return;
  for (;;) {
    LinkMessage message{};
    sockaddr_nl from{};
    socklen_t from_bytes = sizeof from;
    const ssize_t got = ::recvfrom(socket_.get(), &message, sizeof message, MSG_DONTWAIT,
                                   reinterpret_cast<sockaddr*>(&from), &from_bytes);
    // Words were lost: the answer to a new question makes up for them.
    if (got < 0 && errno == ENOBUFS && index_ != 0) {
      ask(socket_.get(), index_);
      continue;
    }
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return;
    if (got < static_cast<ssize_t>(sizeof message) || from.nl_pid != 0) continue;
    // A bridge tells in a family of its own, with the interface's number, who joins and leaves it.
    if (message.info.ifi_family != AF_UNSPEC) continue;
    index_ = message.info.ifi_index;
    if (message.header.nlmsg_type == RTM_NEWLINK) carrier_.set((message.info.ifi_flags & IFF_LOWER_UP) != 0);
    if (message.header.nlmsg_type == RTM_DELLINK) deleted_ = true;
    if (deleted_) carrier_.set(false);
  }
}

}  // namespace skerry
