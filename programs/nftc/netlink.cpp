#include "nftc/netlink.hpp"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/select.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <deque>

namespace skerry::nftc {

FakeKernel* kernel = nullptr;

namespace {

constexpr uint32_t kPort = 1;

std::deque<std::vector<uint8_t>> replies;  // each is what one recvfrom() gets

struct Message {
  explicit Message(uint16_t type, uint16_t flags, uint32_t sequence) {
    nlmsghdr head{};
    head.nlmsg_type = type;
    head.nlmsg_flags = flags;
    head.nlmsg_seq = sequence;
    head.nlmsg_pid = kPort;
    append(&head, sizeof head);
  }
  void append(const void* from, size_t length) {
    const auto* begin = static_cast<const uint8_t*>(from);
    bytes.insert(bytes.end(), begin, begin + length);
    bytes.resize(NLMSG_ALIGN(bytes.size()));
    const auto total = static_cast<uint32_t>(bytes.size());
    std::memcpy(bytes.data(), &total, sizeof total);
  }
  void attribute(uint16_t type, const void* from, size_t length) {
    const nlattr head{static_cast<uint16_t>(NLA_HDRLEN + length), type};
    append(&head, sizeof head);
    append(from, length);
  }
  std::vector<uint8_t> bytes;
};

void reply(const Message& message) {
  replies.push_back(message.bytes);
}

void reply_error(uint32_t sequence, int error, uint32_t offset) {
  Message message(NLMSG_ERROR, NLM_F_CAPPED | (offset != 0 ? NLM_F_ACK_TLVS : 0), sequence);
  nlmsgerr body{};
  body.error = -error;
  body.msg.nlmsg_seq = sequence;
  message.append(&body, sizeof body);
  if (offset != 0) message.attribute(NLMSGERR_ATTR_OFFS, &offset, sizeof offset);
  reply(message);
}

void reply_interfaces(uint32_t sequence) {
  for (size_t i = 0; i < kernel->interfaces.size(); ++i) {
    Message message(RTM_NEWLINK, NLM_F_MULTI, sequence);
    ifinfomsg body{};
    body.ifi_index = static_cast<int>(i + 1);
    message.append(&body, sizeof body);
    message.attribute(IFLA_IFNAME, kernel->interfaces[i].c_str(), kernel->interfaces[i].size() + 1);
    reply(message);
  }
}

// A question: of the generation, or a list of what there is.
void answer(const nlmsghdr& request) {
  if (request.nlmsg_type == RTM_GETLINK) {
    reply_interfaces(request.nlmsg_seq);
  } else if (request.nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN)) {
    Message message(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN, 0, request.nlmsg_seq);
    const nfgenmsg body{AF_UNSPEC, NFNETLINK_V0, 0};
    const uint32_t generation = __builtin_bswap32(1);
    message.append(&body, sizeof body);
    message.attribute(NFTA_GEN_ID, &generation, sizeof generation);
    reply(message);
    return;
  } else if ((request.nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP) {
    reply_error(request.nlmsg_seq, ENOENT, 0);
    return;
  }
  Message end(NLMSG_DONE, NLM_F_MULTI, request.nlmsg_seq);
  const int nothing = 0;
  end.append(&nothing, sizeof nothing);
  reply(end);
}

}  // namespace
}  // namespace skerry::nftc

using skerry::nftc::kernel;
using skerry::nftc::replies;

extern "C" {

struct mnl_socket {};
static mnl_socket the_socket;

mnl_socket* mnl_socket_open(int) {
  return &the_socket;
}
int mnl_socket_bind(mnl_socket*, unsigned, pid_t) {
  return 0;
}
int mnl_socket_close(mnl_socket*) {
  replies.clear();
  return 0;
}
int mnl_socket_get_fd(const mnl_socket*) {
  return kernel->descriptor;
}
unsigned mnl_socket_get_portid(const mnl_socket*) {
  return skerry::nftc::kPort;
}
int mnl_socket_setsockopt(const mnl_socket*, int, void*, socklen_t) {
  return 0;
}

ssize_t mnl_socket_sendto(const mnl_socket*, const void* request, size_t length) {
  nlmsghdr head;
  if (length < sizeof head) {
    errno = EINVAL;
    return -1;
  }
  std::memcpy(&head, request, sizeof head);
  skerry::nftc::answer(head);
  return static_cast<ssize_t>(length);
}

ssize_t mnl_socket_recvfrom(const mnl_socket*, void* buffer, size_t size) {
  if (replies.empty()) {
    errno = EAGAIN;
    return -1;
  }
  const std::vector<uint8_t> next = std::move(replies.front());
  replies.pop_front();
  if (next.size() > size) {
    errno = ENOSPC;
    return -1;
  }
  std::memcpy(buffer, next.data(), next.size());
  return static_cast<ssize_t>(next.size());
}

// A batch: the one thing that libnftables sends without libmnl.
ssize_t sendmsg(int, const msghdr* message, int) {
  std::vector<uint8_t> batch;
  for (size_t i = 0; i < message->msg_iovlen; ++i) {
    const auto* begin = static_cast<const uint8_t*>(message->msg_iov[i].iov_base);
    batch.insert(batch.end(), begin, begin + message->msg_iov[i].iov_len);
  }
  for (const skerry::nftc::Answer& answer : kernel->judge(batch))
    skerry::nftc::reply_error(answer.sequence, answer.error, answer.offset);
  return static_cast<ssize_t>(batch.size());
}

int select(int, fd_set* readable, fd_set*, fd_set*, timeval*) {
  if (!replies.empty()) return 1;
  if (readable != nullptr) FD_ZERO(readable);
  return 0;
}

int setsockopt(int, int, int, const void*, socklen_t) noexcept {
  return 0;
}

int getsockopt(int, int, int, void* value, socklen_t* length) noexcept {
  if (value != nullptr && length != nullptr) std::memset(value, 0, *length);
  return 0;
}

}  // extern "C"
