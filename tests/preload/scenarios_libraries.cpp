// Libraries that a program loads while it runs, or with ours.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "scenarios.hpp"

// It is found by the program's own RUNPATH, and its sockets are those of the program, though it asks for its
// own symbols first and libc is among the libraries that it needs.
void a_library_bound_to_itself() {
  void* const library = dlopen("libpreload_plugin.so", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  EXPECT(library != nullptr);
  const auto plugin_connect =
      reinterpret_cast<int (*)(const sockaddr*, socklen_t)>(dlsym(library, "plugin_connect"));
  EXPECT(plugin_connect != nullptr);
  const int listening = listener(7120);
  const sockaddr_in address = loopback(7120);
  const int one = plugin_connect(reinterpret_cast<const sockaddr*>(&address), sizeof address);
  EXPECT(one >= 0);
  const int other = accept(listening, nullptr, nullptr);
  EXPECT(other >= 0 && exchange(one, other));
  close(one);
  close(other);
  close(listening);
  EXPECT(dlclose(library) == 0);
}

// What fakeroot says of a file is heard although our library comes first.
void before_another_library() {
  EXPECT(setenv("LD_PRELOAD", "libpreload_plugin.so", 1) == 0);
  exec_self("told_by_another_library", 0);
}
void told_by_another_library(int fd) {
  struct stat told {
  }, at{};
  struct statx whole {};
  EXPECT(fstat(fd, &told) == 0 && told.st_uid == 4242);
  EXPECT(fstatat(fd, "", &at, AT_EMPTY_PATH) == 0 && at.st_uid == 4242);
  EXPECT(statx(fd, "", AT_EMPTY_PATH, STATX_UID, &whole) == 0 && whole.stx_uid == 4242);
}
