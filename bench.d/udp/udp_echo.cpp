// Sends every datagram back to where it came from. Plain sockets, one blocking recvfrom and one sendto a
// datagram, so that the same binary measures whatever socket interface stands below it.
//
// usage: bench-udp-echo PORT     prints "ready" once it is bound
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: bench-udp-echo PORT\n");
    return 2;
  }
  const int socket_fd = socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in local{};
  local.sin_family = AF_INET;
  local.sin_port = htons(static_cast<uint16_t>(std::atoi(argv[1])));
  if (socket_fd < 0 || bind(socket_fd, reinterpret_cast<sockaddr*>(&local), sizeof local) != 0) {
    std::perror("bench-udp-echo: bind");
    return 1;
  }
  std::printf("ready\n");
  std::fflush(stdout);

  char datagram[2048];
  for (;;) {
    sockaddr_in from{};
    socklen_t from_length = sizeof from;
    const ssize_t length =
        recvfrom(socket_fd, datagram, sizeof datagram, 0, reinterpret_cast<sockaddr*>(&from), &from_length);
    if (length < 0) {
      std::perror("bench-udp-echo: recvfrom");
      return 1;
    }
    // A full queue loses this echo; the client counts what does not come back.
    sendto(socket_fd, datagram, static_cast<size_t>(length), 0, reinterpret_cast<sockaddr*>(&from),
           from_length);
  }
}
