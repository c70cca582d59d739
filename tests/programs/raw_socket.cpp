// What a program can do that no preload sees: a static binary that makes raw system calls. In a cell each
// attempt must fail.
//
// usage: raw_socket ADDRESS PORT     prints one line for each way that got out; exit 0 if none did
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/vm_sockets.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace {

int escapes = 0;

void escaped(const char* way) {
  std::printf("escaped: %s\n", way);
  ++escapes;
}

long raw_socket(int family, int type, int protocol) {
  return syscall(SYS_socket, family, type, protocol);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  sockaddr_in server{};
  server.sin_family = AF_INET;
  server.sin_port = htons(static_cast<uint16_t>(std::atoi(argv[2])));
  if (inet_pton(AF_INET, argv[1], &server.sin_addr) != 1) return 2;

  const long tcp = raw_socket(AF_INET, SOCK_STREAM, 0);
  if (tcp >= 0 && syscall(SYS_connect, tcp, &server, sizeof server) == 0) escaped("TCP connection");
  const long udp = raw_socket(AF_INET, SOCK_DGRAM, 0);
  if (udp >= 0 && syscall(SYS_sendto, udp, "x", 1, 0, &server, sizeof server) == 1) escaped("UDP datagram");

  sockaddr_in6 mapped{};
  mapped.sin6_family = AF_INET6;
  mapped.sin6_port = server.sin_port;
  mapped.sin6_addr.s6_addr[10] = mapped.sin6_addr.s6_addr[11] = 0xff;
  std::memcpy(mapped.sin6_addr.s6_addr + 12, &server.sin_addr, 4);
  const long tcp6 = raw_socket(AF_INET6, SOCK_STREAM, 0);
  if (tcp6 >= 0 && syscall(SYS_connect, tcp6, &mapped, sizeof mapped) == 0)
    escaped("TCP over an IPv6 socket");

  if (raw_socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)) >= 0) escaped("packet socket");
  if (raw_socket(AF_VSOCK, SOCK_STREAM, 0) >= 0) escaped("socket to a hypervisor");

  // The host's own Unix sockets are hidden with the rest of its file system.
  for (const char* path : {"/run/docker.sock", "/run/dbus/system_bus_socket", "/run/systemd/private"}) {
    sockaddr_un host{};
    host.sun_family = AF_UNIX;
    std::strncpy(host.sun_path, path, sizeof host.sun_path - 1);
    const long local = raw_socket(AF_UNIX, SOCK_STREAM, 0);
    if (local >= 0 && syscall(SYS_connect, local, &host, sizeof host) == 0) escaped(path);
  }
  return escapes == 0 ? 0 : 1;
}
