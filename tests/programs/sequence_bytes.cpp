// The calls of a sequence that move bytes, in all the ways that there are.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "sequence.hpp"

namespace {

struct Pipe {
  int out, in;

  Pipe() {
    int ends[2] = {-1, -1};
    if (pipe2(ends, O_NONBLOCK) != 0) perror("pipe");
    out = ends[0], in = ends[1];
  }
  ~Pipe() {
    close(out);
    close(in);
  }
  int waiting() const {
    int bytes = 0;
    ioctl(out, FIONREAD, &bytes);
    return bytes;
  }
};

}  // namespace

void Sequence::send_or_receive(Random& random, int slot) {
  const Slot& of = slots_[slot];
  const auto bytes = static_cast<size_t>(random.one_in(8)   ? 0
                                         : random.one_in(3) ? random.below(2000)
                                                            : random.below(20));
  const int dont_wait = random.one_in(4) ? MSG_DONTWAIT : 0;
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (random.one_in(2)) {
    const char mark = static_cast<char>(random.next());
    for (size_t i = 0; i < bytes; ++i) data_[i] = static_cast<char>(mark + static_cast<char>(i * 7));
    const int flags = dont_wait | (random.one_in(3) ? MSG_NOSIGNAL : 0);
    // Of a stream it is a question of time when what is kept back is sent.
    if (random.one_in(6) && !is_stream(of.fd)) {
      line_.say("send s%d 7 MSG_MORE", slot);
      line_.gave(send(of.fd, data_, 7, flags | MSG_MORE));
      if (random.one_in(2)) return;
      line_.say(", ");
    }
    const int other = random.below(kSlots);
    iovec pieces[2] = {{data_, bytes / 3}, {data_ + bytes / 3, bytes - bytes / 3}};
    static constexpr const char* kWays[] = {"write",  "sendto",   "sendmsg",  "send",
                                            "writev", "sendmmsg", "sendfile", "splice"};
    const int how = random.below(static_cast<int>(std::size(kWays)));
    line_.say("%s s%d %zu flags %x to s%d", kWays[how], slot, bytes, static_cast<unsigned>(flags), other);
    if (how == 0) {
      line_.gave(write(of.fd, data_, bytes));
    } else if (how == 4) {
      line_.gave(writev(of.fd, pieces, 2));
    } else if (how == 5) {
      mmsghdr one{};
      one.msg_hdr.msg_iov = pieces, one.msg_hdr.msg_iovlen = 2;
      if (line_.gave(sendmmsg(of.fd, &one, 1, flags)) > 0) line_.say(" %u", one.msg_len);
    } else if (how == 6) {
      const int file = memfd_create("sequences", 0);
      // Linux does not send what a file had at its end by an AF_INET6 datagram socket, until the next
      // datagram.
      off_t position = is_stream(of.fd) ? random.below(20) : 0;
      if (write(file, data_, bytes) < 0) line_.say(" no file");
      line_.gave(sendfile(of.fd, file, &position, bytes));
      line_.say(" at %d", static_cast<int>(position));
      close(file);
    } else if (how == 7) {
      Pipe pipe;
      if (write(pipe.in, data_, bytes) < 0) line_.say(" no pipe");
      line_.gave(splice(pipe.out, nullptr, of.fd, nullptr, sizeof data_, SPLICE_F_NONBLOCK));
      line_.say(" left %d", pipe.waiting());
    } else if (how == 1) {
      address = loopback(of.v6, port_of(slots_[other].fd), length);
      line_.gave(sendto(of.fd, data_, bytes, flags, as_name(address), length));
    } else if (how == 2) {
      msghdr message{};
      message.msg_iov = pieces;
      message.msg_iovlen = 2;
      line_.gave(sendmsg(of.fd, &message, flags));
    } else {
      line_.gave(send(of.fd, data_, bytes, flags));
    }
    return;
  }
  static constexpr int kFlags[] = {0,           0, 0, MSG_PEEK, MSG_TRUNC, MSG_WAITALL, MSG_PEEK | MSG_TRUNC,
                                   MSG_ERRQUEUE};
  int flags = kFlags[random.below(std::size(kFlags))];
  static constexpr const char* kWays[] = {"read", "recvfrom", "recvmsg", "readv", "recvmmsg", "splice"};
  const int how = random.below(std::size(kWays));
  memset(data_, 0, sizeof data_);
  // A blocking one that waits for everything gives up after its time-out, with what it has.
  if (how != 1) length = 0;
  line_.say("%s s%d %zu flags %x", kWays[how], slot, bytes, static_cast<unsigned>(flags | dont_wait));
  iovec piece{data_, bytes}, pieces[2] = {{data_, bytes / 3}, {data_ + bytes / 3, bytes - bytes / 3}};
  if (how == 4) {
    mmsghdr two[2] = {};
    for (mmsghdr& one : two) one.msg_hdr.msg_iov = pieces, one.msg_hdr.msg_iovlen = 2;
    two[1].msg_hdr.msg_iovlen = 1;
    const int count = recvmmsg(of.fd, two, 2, flags | dont_wait, nullptr);
    line_.gave(count);
    for (int i = 0; i < count; ++i)
      line_.say(" %u flags %x", two[i].msg_len, static_cast<unsigned>(two[i].msg_hdr.msg_flags));
    return;
  }
  if (how == 5) {
    Pipe pipe;
    if (line_.gave(splice(of.fd, nullptr, pipe.in, nullptr, bytes, SPLICE_F_NONBLOCK)) <= 0) return;
    const ssize_t moved = read(pipe.out, data_, sizeof data_);
    return line_.say(" %zd %08x", moved, hash_of(data_, static_cast<size_t>(std::max<ssize_t>(moved, 0))));
  }
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  const ssize_t got = how == 0   ? read(of.fd, data_, bytes)
                      : how == 1 ? recvfrom(of.fd, data_, bytes, flags | dont_wait, as_name(address), &length)
                      : how == 3 ? readv(of.fd, pieces, 2)
                                 : recvmsg(of.fd, &message, flags | dont_wait);
  if (line_.gave(got) < 0) return;
  line_.say(" %08x", hash_of(data_, std::min(bytes, static_cast<size_t>(got))));
  if (how == 1) line_.address(address, length);
  if (how == 2) line_.say(" message flags %x", static_cast<unsigned>(message.msg_flags));
}
