// A program that wants past the rules of its stack, or out of its cell: root in there, it opens one
// connection that the rules allow, so that it has a session, and then goes on without the preload library, by
// raw system calls. Each way is named on a line of its own: "ADDRESS" "closed" or "OPEN".
// tests/programs/reach_test.py starts it and looks from outside whether anything has come through.
//
// usage: reach walls ALLOWED PORT FORBIDDEN PORT UNIX-SOCKET ABSTRACT-NAME    exit 0: every way was closed
//        reach scribble ALLOWED PORT SEED      writes noise over its session, and rings, for a second
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace {

// Past libc, whose syscall() the preload library answers too. A negative number is -errno.
template <class... Words>
long raw(long number, Words... words) {
  const long given[6] = {(long)words...};
  register long fourth asm("r10") = given[3];
  register long fifth asm("r8") = given[4];
  register long sixth asm("r9") = given[5];
  long result = 0;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(given[0]), "S"(given[1]), "d"(given[2]), "r"(fourth), "r"(fifth), "r"(sixth)
               : "rcx", "r11", "memory");
  return result;
}

int open_ways = 0;

void say(const std::string& way, bool open) {
  std::printf("%s %s\n", way.c_str(), open ? "OPEN" : "closed");
  open_ways += open ? 1 : 0;
}

// By its own process, which may be killed for it; true if `attempt` says so before it ends.
bool in_child(const std::function<bool()>& attempt) {
  std::fflush(stdout);
  const pid_t child = static_cast<pid_t>(raw(SYS_fork));
  if (child == 0) ::_exit(attempt() ? 1 : 0);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

sockaddr_in internet(const char* address, const char* port) {
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_port = htons(static_cast<uint16_t>(std::atoi(port)));
  if (::inet_pton(AF_INET, address, &result.sin_addr) != 1) std::exit(2);
  return result;
}

int raw_socket(uint64_t family, int type, int protocol = 0) {
  return static_cast<int>(raw(SYS_socket, family, type, protocol));
}

bool raw_connect(int family, const void* peer, size_t length) {
  const int socket = raw_socket(static_cast<uint64_t>(family), SOCK_STREAM);
  return socket >= 0 && raw(SYS_connect, socket, peer, length) == 0;
}

bool unix_connect(const std::string& name) {  // a leading @ is an abstract one
  sockaddr_un peer{};
  peer.sun_family = AF_UNIX;
  if (name.size() >= sizeof peer.sun_path) std::exit(2);
  std::memcpy(peer.sun_path, name.data(), name.size());
  if (peer.sun_path[0] == '@') peer.sun_path[0] = '\0';
  return raw_connect(AF_UNIX, &peer,
                     offsetof(sockaddr_un, sun_path) + name.size() + (name[0] == '@' ? 0 : 1));
}

// The session, through the libc names that the preload library answers: the last use of it.
void connect_as_allowed(const sockaddr_in& allowed) {
  const int stream = ::socket(AF_INET, SOCK_STREAM, 0);
  char answer = 0;
  if (::connect(stream, reinterpret_cast<const sockaddr*>(&allowed), sizeof allowed) != 0 ||
      ::recv(stream, &answer, 1, 0) != 1) {
    std::perror("what the rules allow does not work");
    std::exit(2);
  }
  std::printf("allowed open\n");
}

// Its own stack, asked as it wants to be: the rules refuse the datagram, and the next call hears of it, or of
// what an allow-list says instead.
void try_the_stack(const sockaddr_in& forbidden) {
  const int datagram = ::socket(AF_INET, SOCK_DGRAM, 0);
  if (::connect(datagram, reinterpret_cast<const sockaddr*>(&forbidden), sizeof forbidden) != 0) std::exit(2);
  ::send(datagram, "x", 1, 0);
  pollfd heard{datagram, POLLERR, 0};
  ::poll(&heard, 1, 10'000);
  say("UDP by its stack", ::send(datagram, "x", 1, 0) >= 0 || (errno != EPERM && errno != EHOSTUNREACH));
}

std::vector<pid_t> processes() {
  std::vector<pid_t> result;
  DIR* folder = ::opendir("/proc");
  while (const dirent* entry = ::readdir(folder))
    if (const int id = std::atoi(entry->d_name); id > 0 && id != ::getpid()) result.push_back(id);
  ::closedir(folder);
  return result;
}

void try_sockets(const sockaddr_in& forbidden) {
  say("raw TCP", in_child([&] { return raw_connect(AF_INET, &forbidden, sizeof forbidden); }));
  say("raw UDP", in_child([&] {
        const int socket = raw_socket(AF_INET, SOCK_DGRAM);
        return raw(SYS_sendto, socket, "x", 1, 0, &forbidden, sizeof forbidden) == 1;
      }));
  say("ICMP socket", in_child([&] {
        const int socket = raw_socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
        const uint8_t echo[8] = {8};
        return raw(SYS_sendto, socket, echo, sizeof echo, 0, &forbidden, sizeof forbidden) > 0;
      }));
  say("raw IP socket", raw_socket(AF_INET, SOCK_RAW, IPPROTO_RAW) >= 0);
  say("packet socket", raw_socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)) >= 0);
  say("packet socket, high bits", raw_socket(0x100000000ULL | AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)) >= 0);
  say("vsock", raw_socket(AF_VSOCK, SOCK_STREAM) >= 0);
  say("XDP socket", raw_socket(AF_XDP, SOCK_RAW) >= 0);
  say("netlink of netfilter", raw_socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER) >= 0);
  say("netlink: loopback up", in_child([] {
        const int socket = raw_socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
        struct {
          nlmsghdr header;
          ifinfomsg link;
        } ask{{sizeof ask, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0},
              {AF_UNSPEC, 0, 0, 1, 1 /* IFF_UP */, 1}};
        struct {
          nlmsghdr header;
          nlmsgerr error;
        } answer{};
        return raw(SYS_sendto, socket, &ask, sizeof ask, 0, nullptr, 0) > 0 &&
               raw(SYS_recvfrom, socket, &answer, sizeof answer, 0, nullptr, nullptr) > 0 &&
               answer.error.error == 0;
      }));
  say("io_uring", raw(SYS_io_uring_setup, 1, nullptr) != -ENOSYS);
}

void try_processes() {
  say("trace init", raw(SYS_ptrace, PTRACE_ATTACH, 1, nullptr, nullptr) == 0);
  for (const pid_t id : processes()) {
    const std::string place = "/proc/" + std::to_string(id);
    if (id == static_cast<pid_t>(::getppid()) && id != 1) continue;  // a shell of ours
    say("memory of " + std::to_string(id), ::open((place + "/mem").c_str(), O_RDWR) >= 0);
    say("root of " + std::to_string(id), ::open((place + "/root/etc").c_str(), O_RDONLY) >= 0);
    say("namespace of " + std::to_string(id), in_child([&] {
          const int there = ::open((place + "/ns/net").c_str(), O_RDONLY);
          return there >= 0 && ::setns(there, CLONE_NEWNET) == 0;
        }));
  }
  ::kill(1, SIGKILL);  // it is there for the next line, or this program is not
  ::kill(1, SIGSTOP);
  say("kill init", ::kill(1, 0) != 0 && errno == ESRCH);
}

void try_namespaces(const sockaddr_in& forbidden) {
  say("a user namespace of its own", in_child([&] {
        if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
        // All that CAP_SYS_ADMIN in there could give: what lies under a mount, a proc that can be written.
        return ::umount2("/run", MNT_DETACH) == 0 || ::umount2("/proc/sys", MNT_DETACH) == 0 ||
               ::mount("proc", "/tmp", "proc", 0, nullptr) == 0 ||
               raw_connect(AF_INET, &forbidden, sizeof forbidden);
      }));
  say("a network namespace in it", in_child([&] {
        if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return false;
        return raw_socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)) >= 0 ||
               raw_connect(AF_INET, &forbidden, sizeof forbidden) || ::open("/dev/net/tun", O_RDWR) >= 0;
      }));
  say("another network namespace", ::unshare(CLONE_NEWNET) == 0);
  say("mount", ::mount("none", "/tmp", "tmpfs", 0, nullptr) == 0);
}

void try_files(const std::string& unix_socket, const std::string& abstract) {
  say("core_pattern", ::open("/proc/sys/kernel/core_pattern", O_WRONLY) >= 0);
  say("modprobe", ::open("/proc/sys/kernel/modprobe", O_WRONLY) >= 0);
  for (const char* device : {"/dev/net/tun", "/dev/kvm", "/dev/vhost-net", "/dev/vsock", "/dev/mem"})
    say(device, ::open(device, O_RDWR) >= 0);
  say("a device of its own", in_child([] {  // 10:200 is tun
        return ::mknod("/tmp/reach-tun", S_IFCHR | 0600, 10 << 8 | 200) == 0 &&
               ::open("/tmp/reach-tun", O_RDWR) >= 0;
      }));
  say("the host's Unix socket", unix_connect(unix_socket));
  say("the host's abstract socket", unix_connect(abstract));
}

// What came with exec: 0 to 2 and the preload's own, none of which is a socket of the internet or somebody's
// file.
void try_descriptors() {
  for (int descriptor = 3; descriptor < 1024; ++descriptor) {
    char name[256] = {};
    const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
    if (::readlink(link.c_str(), name, sizeof name - 1) <= 0) continue;
    sockaddr_storage own{};
    socklen_t length = sizeof own;
    const bool internet_socket =
        raw(SYS_getsockname, descriptor, &own, &length) == 0 && own.ss_family != AF_UNIX;
    say("descriptor " + std::to_string(descriptor) + " " + name, internet_socket || name[0] == '/');
  }
}

struct Area {
  uint8_t* begin;
  size_t bytes;
};

// The session's memory: what the kernel says is shared, may be written, and has been touched by either side.
// (Its rings are laid out for thousands of sockets, most of which nobody has.)
std::vector<uint8_t*> session_pages() {
  constexpr size_t kPage = 4096;
  std::vector<uint8_t*> result;
  std::FILE* maps = std::fopen("/proc/self/maps", "r");
  char line[512];
  while (std::fgets(line, sizeof line, maps) != nullptr) {
    unsigned long begin = 0, end = 0;
    char rights[5] = {};
    if (std::sscanf(line, "%lx-%lx %4s", &begin, &end, rights) != 3 || std::strcmp(rights, "rw-s") != 0)
      continue;
    auto* const area = reinterpret_cast<uint8_t*>(begin);
    std::vector<unsigned char> resident((end - begin) / kPage);
    if (::mincore(area, end - begin, resident.data()) != 0) continue;
    for (size_t page = 0; page < resident.size(); ++page)
      if ((resident[page] & 1) != 0) result.push_back(area + page * kPage);
  }
  std::fclose(maps);
  return result;
}

std::vector<int> doorbells() {
  std::vector<int> result;
  for (int descriptor = 3; descriptor < 1024; ++descriptor) {
    struct stat kind {};
    if (raw(SYS_fstat, descriptor, &kind) == 0 && S_ISFIFO(kind.st_mode)) result.push_back(descriptor);
  }
  return result;
}

// Small numbers are what indices, flags and lengths look like; the rest is noise. Between bells few words
// change, so that the stack meets lies one by one, and not only the first of a heap.
void scribble(uint64_t seed) {
  std::mt19937_64 draw(seed);
  const std::vector<uint8_t*> pages = session_pages();
  const std::vector<int> bells = doorbells();
  std::printf("scribbles over %zu pages and rings %zu bells\n", pages.size(), bells.size());
  if (pages.empty() || bells.empty()) std::exit(2);
  using Clock = std::chrono::steady_clock;
  for (const auto end = Clock::now() + std::chrono::seconds(1); Clock::now() < end;) {
    for (uint64_t words = 1 + draw() % 64; words > 0; --words) {
      const uint32_t word = static_cast<uint32_t>(draw() % 2 == 0 ? draw() % 64 : draw());
      std::memcpy(pages[draw() % pages.size()] + draw() % 1024 * 4, &word, sizeof word);
    }
    for (const int bell : bells) raw(SYS_write, bell, "x", 1);
  }
}

}  // namespace

int main(int count, char** words) {
  if (count < 4) return 2;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  ::signal(SIGPIPE, SIG_IGN);
  connect_as_allowed(internet(words[2], words[3]));
  if (std::strcmp(words[1], "scribble") == 0 && count == 5) {
    // A datagram, which is refused: so that the words which call the stack are among the pages too.
    const sockaddr_in to = internet(words[2], words[3]);
    ::sendto(::socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    scribble(std::strtoull(words[4], nullptr, 10));
    return 0;
  }
  if (std::strcmp(words[1], "walls") != 0 || count != 8) return 2;
  const sockaddr_in forbidden = internet(words[4], words[5]);
  try_the_stack(forbidden);
  try_sockets(forbidden);
  try_processes();
  try_namespaces(forbidden);
  try_files(words[6], words[7]);
  try_descriptors();
  return open_ways == 0 ? 0 : 1;
}
