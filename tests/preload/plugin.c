// A library that opens a connection, and to which all files are somebody else's, as fakeroot's are: what
// scenarios_libraries.cpp loads.
#define _GNU_SOURCE
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int plugin_connect(const struct sockaddr* to, socklen_t length);

int plugin_connect(const struct sockaddr* to, socklen_t length) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  return connect(fd, to, length) == 0 ? fd : -1;
}

int fstat(int fd, struct stat* status) {
  const long result = syscall(SYS_fstat, fd, status);
  status->st_uid = 4242;
  return (int)result;
}

int fstatat(int folder, const char* path, struct stat* status, int flags) {
  const long result = syscall(SYS_newfstatat, folder, path, status, flags);
  status->st_uid = 4242;
  return (int)result;
}

int statx(int folder, const char* path, int flags, unsigned mask, struct statx* status) {
  const long result = syscall(SYS_statx, folder, path, flags, mask, status);
  status->stx_uid = 4242;
  return (int)result;
}
