#include "driver/afxdp/xdp_device.hpp"

#include <linux/bpf.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

namespace skerry {
namespace {

Error failure(const std::string& what, const std::string& interface) {
  const int number = errno;
  return Error{what + " '" + interface + "': " + std::strerror(number), number};
}

Fd bpf(bpf_cmd command, bpf_attr& attributes) {
  return Fd(static_cast<int>(::syscall(SYS_bpf, command, &attributes, sizeof attributes)));
}

Fd create_socket_map(unsigned queues) {
  bpf_attr attributes{};
  attributes.map_type = BPF_MAP_TYPE_XSKMAP;
  attributes.key_size = attributes.value_size = sizeof(uint32_t);
  attributes.max_entries = queues;
  return bpf(BPF_MAP_CREATE, attributes);
}

// return bpf_redirect_map(&sockets, context->rx_queue_index, XDP_DROP);
// The last argument is what becomes of the frame where the map has no socket for the queue.
Fd load_program(const Fd& sockets) {
  const auto instruction = [](int code, int to, int from, int offset, int immediate) {
    bpf_insn result{};
    result.code = static_cast<uint8_t>(code);
    result.dst_reg = static_cast<uint8_t>(to & 15);
    result.src_reg = static_cast<uint8_t>(from & 15);
    result.off = static_cast<int16_t>(offset);
    result.imm = immediate;
    return result;
  };
  const bpf_insn program[] = {
      instruction(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_2, BPF_REG_1, offsetof(xdp_md, rx_queue_index), 0),
      instruction(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, sockets.get()),
      instruction(0, 0, 0, 0, 0),  // the upper half of that constant
      instruction(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, XDP_DROP),
      instruction(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map),
      instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)};
  bpf_attr attributes{};
  attributes.prog_type = BPF_PROG_TYPE_XDP;
  attributes.expected_attach_type = BPF_XDP;
  attributes.insns = reinterpret_cast<uintptr_t>(program);
  attributes.insn_cnt = std::size(program);
  attributes.license = reinterpret_cast<uintptr_t>("GPL");
  std::strcpy(attributes.prog_name, "skerry");
  return bpf(BPF_PROG_LOAD, attributes);
}

Fd attach(const Fd& program, unsigned index) {
  Fd link;
  for (const uint32_t mode : {XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE}) {
    bpf_attr attributes{};
    attributes.link_create.prog_fd = static_cast<uint32_t>(program.get());
    attributes.link_create.target_ifindex = index;
    attributes.link_create.attach_type = BPF_XDP;
    attributes.link_create.flags = mode;
    link = bpf(BPF_LINK_CREATE, attributes);
    // Somebody's program in the one mode forbids ours in the other, and then the first answer says why.
    if (link || errno == EBUSY || errno == EEXIST) break;
  }
  return link;
}

// Ends with the socket. It receives nothing: it is of no protocol.
Fd ask_for_all_frames(unsigned index) {
  Fd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  packet_mreq wish{};
  wish.mr_ifindex = static_cast<int>(index);
  wish.mr_type = PACKET_MR_PROMISC;
  if (socket && ::setsockopt(socket.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &wish, sizeof wish) != 0)
    socket.reset();
  return socket;
}

}  // namespace

unsigned receive_queues(const std::string& interface) {
  if (interface.size() >= IFNAMSIZ || ::if_nametoindex(interface.c_str()) == 0) return 0;
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  ifreq request{};
  std::memcpy(request.ifr_name, interface.data(), interface.size());
  request.ifr_data = reinterpret_cast<char*>(&channels);
  // One that cannot say has one.
  if (::ioctl(socket.get(), SIOCETHTOOL, &request) != 0) return 1;
  return std::max(1u, channels.rx_count + channels.combined_count);
}

std::string master_of(const std::string& interface) {
  struct {
    nlmsghdr header;
    ifinfomsg info;
  } question{};
  question.header.nlmsg_len = sizeof question;
  question.header.nlmsg_type = RTM_GETLINK;
  question.header.nlmsg_flags = NLM_F_REQUEST;
  question.info.ifi_index = static_cast<int>(::if_nametoindex(interface.c_str()));
  const Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  alignas(nlmsghdr) uint8_t answer[16384];
  if (question.info.ifi_index == 0 || ::send(socket.get(), &question, sizeof question, 0) < 0) return "";
  const ssize_t got = ::recv(socket.get(), answer, sizeof answer, 0);
  const auto* const header = reinterpret_cast<const nlmsghdr*>(answer);
  if (got < 0 || !NLMSG_OK(header, static_cast<size_t>(got)) || header->nlmsg_type != RTM_NEWLINK) return "";
  auto left = static_cast<int>(IFLA_PAYLOAD(header));
  for (const rtattr* fact = IFLA_RTA(NLMSG_DATA(header)); RTA_OK(fact, left); fact = RTA_NEXT(fact, left)) {
    unsigned master = 0;
    char name[IF_NAMESIZE] = "";
    if (fact->rta_type != IFLA_MASTER || RTA_PAYLOAD(fact) < sizeof master) continue;
    std::memcpy(&master, RTA_DATA(fact), sizeof master);
    return ::if_indextoname(master, name) != nullptr ? name : "another interface";
  }
  return "";
}

Result<XdpDevice> take_interface(const std::string& interface) {
  const unsigned index = ::if_nametoindex(interface.c_str());
  if (index == 0) return failure("there is no interface", interface);
  XdpDevice device;
  device.sockets_by_queue = create_socket_map(receive_queues(interface));
  if (!device.sockets_by_queue) return failure("cannot make a BPF map for", interface);
  const Fd program = load_program(device.sockets_by_queue);
  if (!program) return failure("cannot load the XDP program for", interface);
  device.attachment = attach(program, index);
  if (!device.attachment && (errno == EBUSY || errno == EEXIST))
    return Error{"the interface '" + interface +
                     "' has an XDP program already: detach it with `ip link set " + interface +
                     " xdp off`, or end the network that uses it",
                 EBUSY};
  if (!device.attachment) return failure("cannot attach the XDP program to", interface);
  device.promiscuity = ask_for_all_frames(index);
  if (!device.promiscuity) return failure("cannot ask for all frames of", interface);
  return device;
}

Result<Fd> open_xdp_socket() {
  Fd socket(::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!socket) {
    const int number = errno;
    return Error{std::string("cannot open an AF_XDP socket: ") + std::strerror(number), number};
  }
  return socket;
}

}  // namespace skerry
