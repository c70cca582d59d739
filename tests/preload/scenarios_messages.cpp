// Sockets that are passed by SCM_RIGHTS (unix(7)), many datagrams in one call (recvmmsg(2)), and sendfile(2).
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "scenarios.hpp"

namespace {

struct Message {
  explicit Message(size_t descriptors) {
    header.msg_iov = &piece;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
  }
  msghdr header{};
  char byte = 0;
  iovec piece{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))] = {};
};

void pass(int over, const std::vector<int>& descriptors, bool by_number = false) {
  Message message(descriptors.size());
  cmsghdr* header = CMSG_FIRSTHDR(&message.header);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
  std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size() * sizeof(int));
  EXPECT((by_number ? syscall(SYS_sendmsg, over, &message.header, 0) : sendmsg(over, &message.header, 0)) ==
         1);
  // The caller's numbers are not written over.
  EXPECT(std::memcmp(CMSG_DATA(header), descriptors.data(), descriptors.size() * sizeof(int)) == 0);
}

std::vector<int> fetch(int over, int flags = 0, bool by_number = false) {
  Message message(4);
  EXPECT((by_number ? syscall(SYS_recvmsg, over, &message.header, flags)
                    : recvmsg(over, &message.header, flags)) == 1);
  const cmsghdr* header = CMSG_FIRSTHDR(&message.header);
  EXPECT(header != nullptr && header->cmsg_type == SCM_RIGHTS);
  std::vector<int> descriptors((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
  std::memcpy(descriptors.data(), CMSG_DATA(header), descriptors.size() * sizeof(int));
  return descriptors;
}

struct Pair {
  int one, other;
};
Pair connected(uint16_t port) {
  const int listening = listener(port);
  const int one = connect_to(port);
  const int other = accept(listening, nullptr, nullptr);
  EXPECT(other >= 0);
  close(listening);
  return {one, other};
}

bool is_over(int fd) {
  char byte;
  return read(fd, &byte, 1) == 0;
}

}  // namespace

// A child that is forked while a message is on its way does not keep what the message carries.
void fork_while_passing() {
  constexpr int kChildren = 6, kMessages = 200;
  int ends[2], over[2];
  EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && pipe(over) == 0);
  const auto [one, other] = connected(7060);
  std::atomic<int> passed = 0;
  std::thread passing([&, socket = other] {
    for (; passed < kMessages; ++passed) pass(ends[0], {socket});
  });
  pid_t children[kChildren];
  for (int i = 0; i < kChildren; ++i) {
    while (passed < (i + 1) * kMessages / (kChildren + 2)) std::this_thread::yield();
    children[i] = fork();
    if (children[i] != 0) continue;
    for (const int number : {one, other, ends[0], ends[1], over[1]}) close(number);
    char byte;
    _exit(read(over[0], &byte, 1) == 0 ? 0 : 1);
  }
  passing.join();
  for (const int number : {other, ends[0], ends[1]}) close(number);
  EXPECT(is_over(one));
  close(over[1]);
  for (const pid_t child : children) EXPECT(status_of(child) == 0);
}

// A worker that was there before the connection gets it, beside a descriptor of the kernel's; the parent
// forgets it.
void pass_to_a_child() {
  int ends[2];
  EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    const std::vector<int> got = fetch(ends[1], MSG_CMSG_CLOEXEC);
    EXPECT(got.size() == 2 && fcntl(got[0], F_GETFD) == FD_CLOEXEC);
    char bytes[4];
    EXPECT(read(got[0], bytes, 4) == 4 && write(got[0], bytes, 4) == 4);
    EXPECT(write(got[1], "pipe", 4) == 4);
    std::exit(0);
  }
  close(ends[1]);
  const auto [one, other] = connected(7010);
  int pipe_ends[2];
  EXPECT(pipe(pipe_ends) == 0);
  pass(ends[0], {other, pipe_ends[1]});
  close(other);
  close(pipe_ends[1]);
  char bytes[4];
  EXPECT(write(one, "ping", 4) == 4 && read(one, bytes, 4) == 4 && std::memcmp(bytes, "ping", 4) == 0);
  EXPECT(read(pipe_ends[0], bytes, 4) == 4 && std::memcmp(bytes, "pipe", 4) == 0);
  EXPECT(status_of(child) == 0);
  EXPECT(is_over(one));
}

// While nobody has a descriptor of it, the message keeps the socket.
void pass_to_itself() {
  int ends[2];
  EXPECT(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0);
  for (int round = 0; round < 20; ++round) {
    const auto [one, other] = connected(static_cast<uint16_t>(7020 + round));
    pass(ends[0], {other, one}, round % 2 != 0);
    close(other);
    close(one);
    const std::vector<int> got = fetch(ends[1], 0, round % 4 >= 2);
    EXPECT(got.size() == 2 && fcntl(got[0], F_GETFD) == 0);
    EXPECT(exchange(got[0], got[1]) && exchange(got[1], got[0]));
    close(got[0]);
    EXPECT(is_over(got[1]));
    close(got[1]);
  }
}

// dovecot compares inodes before it takes a client's connection from another process.
void same_inode_elsewhere() {
  int ends[2];
  EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    struct stat here {};
    ino_t there = 0;
    const int fd = fetch(ends[1])[0];
    EXPECT(read(ends[1], &there, sizeof there) == sizeof there);
    EXPECT(fstat(fd, &here) == 0 && S_ISSOCK(here.st_mode) && here.st_ino == there);
    here = {};
    EXPECT(syscall(SYS_fstat, fd, &here) == 0 && here.st_ino == there);
    _exit(0);
  }
  const int one = socket(AF_INET, SOCK_STREAM, 0), other = socket(AF_INET, SOCK_STREAM, 0);
  struct stat first {
  }, second{}, copy{};
  EXPECT(fstat(one, &first) == 0 && fstat(other, &second) == 0 && fstat(dup(one), &copy) == 0);
  EXPECT(first.st_ino != second.st_ino && first.st_ino == copy.st_ino && first.st_dev == second.st_dev);
  pass(ends[0], {one});
  EXPECT(write(ends[0], &first.st_ino, sizeof first.st_ino) == sizeof first.st_ino);
  EXPECT(status_of(child) == 0);
  // None of the kernel's, and exact as a number of JavaScript's.
  EXPECT(first.st_ino > UINT32_MAX && first.st_ino < uint64_t{1} << 53);
  const auto inode_at = [](int folder, const char* path) {  // libuv and Rust ask by statx()
    struct stat found {
    }, again{};
    struct statx whole {};
    EXPECT(fstatat(folder, path, &found, AT_EMPTY_PATH) == 0);
    EXPECT(syscall(SYS_newfstatat, folder, path, &again, AT_EMPTY_PATH) == 0);
    EXPECT(statx(folder, path, AT_EMPTY_PATH, STATX_INO, &whole) == 0);
    EXPECT(found.st_ino == again.st_ino && found.st_ino == whole.stx_ino);
    EXPECT(syscall(SYS_statx, folder, path, AT_EMPTY_PATH, STATX_INO, &whole) == 0);
    EXPECT(found.st_ino == whole.stx_ino);
    return found.st_ino;
  };
  EXPECT(inode_at(one, "") == first.st_ino && inode_at(other, "") == second.st_ino);
  EXPECT(stat("/", &copy) == 0 && inode_at(one, "/") == copy.st_ino);
  // Numbers that are the library's own are nobody's.
  for (int fd = 3; fd < 4096; ++fd) {
    struct statx whole {};
    const bool is_open = fcntl(fd, F_GETFD) >= 0;
    EXPECT((fstat(fd, &copy) == 0) == is_open);
    EXPECT((fstatat(fd, "", &copy, AT_EMPTY_PATH) == 0) == is_open);
    EXPECT((statx(fd, "", AT_EMPTY_PATH, STATX_INO, &whole) == 0) == is_open);
  }
}

// A message that nobody fetches ends with its socket, and what it passed ends with it.
void pass_and_lose() {
  int ends[2];
  EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  const auto [one, other] = connected(7011);
  pass(ends[0], {other});
  close(other);
  pollfd waits{.fd = one, .events = POLLIN, .revents = 0};
  EXPECT(poll(&waits, 1, 50) == 0);
  close(ends[0]);
  close(ends[1]);
  EXPECT(is_over(one));
}

// As many datagrams as there are and no more, each with its sender and its length.
void many_datagrams() {
  constexpr unsigned kMost = 8;
  const int to = socket(AF_INET, SOCK_DGRAM, 0), from = socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in there = loopback(7015), here = loopback(7016);
  EXPECT(bind(to, reinterpret_cast<const sockaddr*>(&there), sizeof there) == 0);
  EXPECT(bind(from, reinterpret_cast<const sockaddr*>(&here), sizeof here) == 0);
  char bytes[kMost][16];
  iovec pieces[kMost];
  mmsghdr messages[kMost] = {};
  for (unsigned i = 0; i < kMost; ++i) {
    pieces[i] = {bytes[i], static_cast<size_t>(
                               std::snprintf(bytes[i], 16, "%u%.*s", i, static_cast<int>(i), "........"))};
    messages[i].msg_hdr.msg_iov = &pieces[i];
    messages[i].msg_hdr.msg_iovlen = 1;
    messages[i].msg_hdr.msg_name = const_cast<sockaddr_in*>(&there);
    messages[i].msg_hdr.msg_namelen = sizeof there;
  }
  EXPECT(sendmmsg(from, messages, 5, 0) == 5);
  for (unsigned i = 0; i < 5; ++i) EXPECT(messages[i].msg_len == i + 1);

  sockaddr_in senders[kMost] = {};
  const auto receive = [&](unsigned count, int flags) {
    for (unsigned i = 0; i < kMost; ++i) {
      std::memset(bytes[i], 0, sizeof bytes[i]);
      pieces[i].iov_len = sizeof bytes[i];
      messages[i].msg_hdr.msg_name = &senders[i];
      messages[i].msg_hdr.msg_namelen = sizeof senders[i];
    }
    return recvmmsg(to, messages, count, flags, nullptr);
  };
  EXPECT(receive(3, 0) == 3);
  EXPECT(messages[2].msg_len == 3 && std::strcmp(bytes[2], "2..") == 0 && senders[2].sin_port == htons(7016));
  int left = receive(kMost, MSG_WAITFORONE);
  EXPECT(left >= 1 && std::strcmp(bytes[0], "3...") == 0);
  if (left == 1) EXPECT(receive(kMost, MSG_WAITFORONE) == 1);
  EXPECT(receive(kMost, MSG_DONTWAIT) == -1 && errno == EAGAIN);
}

// More than the ring holds, from an offset and from the file's own position, into a socket that waits and one
// that does not.
void send_a_file() {
  constexpr size_t kBytes = 3'000'000;
  std::vector<unsigned char> bytes(kBytes);
  for (size_t i = 0; i < kBytes; ++i) bytes[i] = static_cast<unsigned char>(i * 2654435761u >> 24);
  const int file = memfd_create("file", MFD_CLOEXEC);
  EXPECT(write(file, bytes.data(), kBytes) == static_cast<ssize_t>(kBytes));
  for (const bool waits : {true, false}) {
    const auto [one, other] = connected(waits ? 7012 : 7013);
    std::vector<unsigned char> got(kBytes - 1000);
    std::thread reader([&, from = other] {
      EXPECT(recv(from, got.data(), got.size(), MSG_WAITALL) == static_cast<ssize_t>(got.size()));
    });
    if (!waits) EXPECT(fcntl(one, F_SETFL, O_NONBLOCK) == 0);
    off_t offset = 1000;
    EXPECT(lseek(file, 500'000, SEEK_SET) == 500'000);
    pollfd space{.fd = one, .events = POLLOUT, .revents = 0};
    while (offset < 500'000 || lseek(file, 0, SEEK_CUR) < static_cast<off_t>(kBytes)) {
      const bool by_offset = offset < 500'000;
      const size_t left = by_offset ? static_cast<size_t>(500'000 - offset) : 2 * kBytes;
      const ssize_t sent = sendfile(one, file, by_offset ? &offset : nullptr, left);
      EXPECT(sent > 0 || (!waits && errno == EAGAIN));
      EXPECT(poll(&space, 1, 5000) == 1);
    }
    EXPECT(sendfile(one, file, nullptr, 1) == 0);  // its end
    reader.join();
    EXPECT(std::memcmp(got.data(), bytes.data() + 1000, got.size()) == 0);
    close(one);
    close(other);
  }
  EXPECT(sendfile(connected(7014).one, -1, nullptr, 1) == -1 && errno == EBADF);
}
