// A library that opens a connection: what scenarios_libraries.cpp loads.
#include <sys/socket.h>

int plugin_connect(const struct sockaddr* to, socklen_t length);

int plugin_connect(const struct sockaddr* to, socklen_t length) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  return connect(fd, to, length) == 0 ? fd : -1;
}
