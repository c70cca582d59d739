// Libraries that a program loads while it runs.
#include <dlfcn.h>
#include <sys/socket.h>
#include <unistd.h>

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
