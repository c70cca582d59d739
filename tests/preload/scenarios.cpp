// A program that does what programs do to descriptors, run under the preload library by preload_test.cpp:
// scenarios NAME [FD]. Exit status 0 says that all went as it goes on a kernel; else the line that did not.
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "scenarios.hpp"

// Since glibc 2.39 in <spawn.h>.
extern "C" int pidfd_spawn(int* pidfd, const char* path, const posix_spawn_file_actions_t* actions,
                           const posix_spawnattr_t* attributes, char* const* arguments,
                           char* const* environment) __attribute__((weak));

namespace {

const char* self = nullptr;

}  // namespace

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int listener(uint16_t port, int flags) {
  const int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
  const sockaddr_in address = loopback(port);
  EXPECT(fd >= 0 && bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  EXPECT(listen(fd, 8) == 0);
  return fd;
}

int connect_to(uint16_t port, int flags) {
  const int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
  const sockaddr_in address = loopback(port);
  EXPECT(fd >= 0 && connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

bool exchange(int from, int to) {
  char bytes[8] = {};
  return write(from, "ping", 4) == 4 && read(to, bytes, sizeof bytes) == 4 && std::strcmp(bytes, "ping") == 0;
}

void exec_self(const char* scenario, int fd) {
  const std::string number = std::to_string(fd);
  execl(self, self, scenario, number.c_str(), static_cast<char*>(nullptr));
  EXPECT(false);
  std::exit(1);
}

int status_of(pid_t child) {
  int status = 0;
  EXPECT(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

namespace {

// A listener survives exec(), under its number.
void exec_keeps() {
  exec_self("exec_kept", listener(7000));
}
void exec_kept(int listening) {
  const int one = connect_to(7000);
  const int other = accept(listening, nullptr, nullptr);
  EXPECT(other >= 0 && exchange(one, other));
}

// The same without the environment that the library came with.
void exec_bare() {
  const std::string number = std::to_string(listener(7000));
  char* const nothing[] = {nullptr};
  execle(self, self, "exec_kept", number.c_str(), static_cast<char*>(nullptr), nothing);
  EXPECT(false);
}

// What is close-on-exec ends there, for the peer too.
void exec_closes() {
  const int listening = listener(7001);
  const int one = connect_to(7001, SOCK_CLOEXEC);
  const int other = accept(listening, nullptr, nullptr);
  EXPECT(other >= 0 && one >= 0);
  exec_self("exec_closed", other);
}
void exec_closed(int other) {
  char byte;
  EXPECT(read(other, &byte, 1) == 0);
}

// A spawned child has the descriptors that were open, under their numbers.
void spawn() {
  const int listening = listener(7002);
  const int one = connect_to(7002);
  const int other = accept(listening, nullptr, nullptr);
  const std::string number = std::to_string(one);
  const char* arguments[] = {self, "say_ping", number.c_str(), nullptr};
  pid_t child = 0;
  char other_library[] = "LD_PRELOAD=libm.so.6", other_entry[] = "A=B";
  char* const other_environment[] = {other_library, other_entry, nullptr};
  for (char* const* environment : {static_cast<char* const*>(environ), other_environment}) {
    EXPECT(posix_spawn(&child, self, nullptr, nullptr, const_cast<char**>(arguments), environment) == 0);
    EXPECT(status_of(child) == 0);
    char bytes[8] = {};
    EXPECT(read(other, bytes, sizeof bytes) == 4 && std::strcmp(bytes, "ping") == 0);
  }
  EXPECT(exchange(one, other));

  int pidfd = -1;
  siginfo_t ended{};
  EXPECT(pidfd_spawn(&pidfd, self, nullptr, nullptr, const_cast<char**>(arguments), environ) == 0);
  EXPECT((fcntl(pidfd, F_GETFD) & FD_CLOEXEC) != 0);
  EXPECT(waitid(P_PIDFD, static_cast<id_t>(pidfd), &ended, WEXITED) == 0 && ended.si_status == 0);
  EXPECT(pidfd_spawn(&pidfd, "/nowhere", nullptr, nullptr, const_cast<char**>(arguments), environ) == ENOENT);
  char bytes[4];
  EXPECT(read(other, bytes, sizeof bytes) == 4);
}
void say_ping(int fd) {
  EXPECT(write(fd, "ping", 4) == 4);
}

// A socket as a child's standard output, as inetd does it.
void standard_output() {
  const int listening = listener(7003);
  const int one = connect_to(7003);
  const int other = accept(listening, nullptr, nullptr);
  const pid_t child = fork();
  if (child == 0) {
    EXPECT(dup2(one, 1) == 1);
    closefrom(3);
    exec_self("say_ping", 1);
  }
  close(one);
  EXPECT(status_of(child) == 0);
  char bytes[8] = {};
  EXPECT(read(other, bytes, sizeof bytes) == 4 && read(other, bytes, sizeof bytes) == 0);
}

// python's subprocess: vfork(), close_range(), exec(); the parent's sockets stay.
void vfork_and_exec() {
  const int listening = listener(7004);
  const int one = connect_to(7004);
  const int other = accept(listening, nullptr, nullptr);
  const pid_t child = vfork();
  if (child == 0) {
    close_range(3, ~0u, 0);
    execl("/bin/true", "true", static_cast<char*>(nullptr));
    _exit(127);
  }
  EXPECT(status_of(child) == 0);
  EXPECT(std::system("true") == 0);
  EXPECT(exchange(one, other) && exchange(other, one));
}

// A daemon closes everything that it inherited, then begins.
void close_everything() {
  for (int fd = 3; fd < 1024; ++fd) close(fd);
  close_range(3, ~0u, 0);
  closefrom(3);
  const int listening = listener(7005);
  EXPECT(listening == 3);
  const int one = connect_to(7005);
  const int other = accept(listening, nullptr, nullptr);
  EXPECT(exchange(one, other));
}

void threads() {
  const int listening = listener(7006);
  pthread_t thread;
  EXPECT(pthread_create(
             &thread, nullptr,
             [](void* argument) -> void* {
               const int other = accept(*static_cast<int*>(argument), nullptr, nullptr);
               char bytes[8];
               for (ssize_t got = 0; (got = read(other, bytes, sizeof bytes)) > 0;)
                 EXPECT(write(other, bytes, static_cast<size_t>(got)) == got);
               close(other);
               return nullptr;
             },
             const_cast<int*>(&listening)) == 0);
  const int one = connect_to(7006);
  for (int i = 0; i < 1000; ++i) EXPECT(exchange(one, one));
  shutdown(one, SHUT_WR);
  EXPECT(pthread_join(thread, nullptr) == 0);
}

// Not in a cell: the library is there and does nothing.
void outside() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  int domain = 0;
  socklen_t length = sizeof domain;
  EXPECT(fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_INET);
  // The kernel's own view of it: a TCP socket has no peer credentials of a Unix socket's kind.
  char path[64], target[64] = {};
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  EXPECT(readlink(path, target, sizeof target - 1) > 0 && std::strncmp(target, "socket:", 7) == 0);
  EXPECT(lseek(fd, 0, SEEK_SET) == -1 && errno == ESPIPE);
  sockaddr_storage name{};
  length = sizeof name;
  EXPECT(getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length) == 0 && name.ss_family == AF_INET);
  EXPECT(close(fd) == 0);
}

struct Scenario {
  const char* name;
  void (*run)();
  void (*continue_with)(int fd);
};
constexpr Scenario kScenarios[] = {
    {"exec_keeps", exec_keeps, nullptr},
    {"exec_bare", exec_bare, nullptr},
    {"exec_kept", nullptr, exec_kept},
    {"exec_closes", exec_closes, nullptr},
    {"exec_closed", nullptr, exec_closed},
    {"spawn", spawn, nullptr},
    {"say_ping", nullptr, say_ping},
    {"standard_output", standard_output, nullptr},
    {"vfork_and_exec", vfork_and_exec, nullptr},
    {"close_everything", close_everything, nullptr},
    {"threads", threads, nullptr},
    {"names", names, nullptr},
    {"interfaces", interfaces, nullptr},
    {"names_of_servers", names_of_servers, nullptr},
    {"stdio", stdio, nullptr},
    {"many_streams", many_streams, nullptr},
    {"asynchronous", asynchronous, nullptr},
    {"a_library_bound_to_itself", a_library_bound_to_itself, nullptr},
    {"before_another_library", before_another_library, nullptr},
    {"told_by_another_library", nullptr, told_by_another_library},
    {"outside", outside, nullptr},
    {"pass_to_a_child", pass_to_a_child, nullptr},
    {"pass_to_itself", pass_to_itself, nullptr},
    {"same_inode_elsewhere", same_inode_elsewhere, nullptr},
    {"pass_and_lose", pass_and_lose, nullptr},
    {"many_datagrams", many_datagrams, nullptr},
    {"send_a_file", send_a_file, nullptr},
    {"fork_while_passing", fork_while_passing, nullptr},
    {"closed_under_a_thread", closed_under_a_thread, nullptr},
    {"calls_by_number", calls_by_number, nullptr},
    {"a_child_by_number", a_child_by_number, nullptr},
    {"a_range_is_closed", a_range_is_closed, nullptr},
    {"limited_memory", limited_memory, nullptr},
    {"limited_before", nullptr, limited_before},
    {"locked_memory", locked_memory, nullptr},
    {"few_system_calls", few_system_calls, nullptr},
};

}  // namespace

int main(int argc, char** argv) {
  self = argv[0];
  for (const Scenario& scenario : kScenarios) {
    if (argc < 2 || std::strcmp(argv[1], scenario.name) != 0) continue;
    if (scenario.run != nullptr)
      scenario.run();
    else
      scenario.continue_with(std::atoi(argv[2]));
    return 0;
  }
  std::fprintf(stderr, "use: scenarios NAME\n");
  return 2;
}
