// What the scenarios share, and those that stand in files of their own.
#pragma once

#include <errno.h>
#include <netinet/in.h>
#include <sys/types.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#define EXPECT(condition)                                                                         \
  do {                                                                                            \
    if (!(condition)) {                                                                           \
      std::fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE_NAME__, __LINE__, #condition, errno); \
      std::exit(1);                                                                               \
    }                                                                                             \
  } while (false)

sockaddr_in loopback(uint16_t port);
int listener(uint16_t port, int flags = 0);
int connect_to(uint16_t port, int flags = 0);
bool exchange(int from, int to);  // four bytes arrive
int status_of(pid_t child);       // its exit status
[[noreturn]] void exec_self(const char* scenario, int fd);

// scenarios_names.cpp
void names();
void interfaces();
void names_of_servers();

// scenarios_stdio.cpp
void stdio();
void many_streams();
void asynchronous();

// scenarios_libraries.cpp
void a_library_bound_to_itself();
void before_another_library();
void told_by_another_library(int fd);

// scenarios_messages.cpp
void pass_to_a_child();
void pass_to_itself();
void same_inode_elsewhere();
void pass_and_lose();
void fork_while_passing();
void many_datagrams();
void send_a_file();

// scenarios_memory.cpp
void limited_memory();
void limited_before(int fd);
void locked_memory();

// scenarios_processes.cpp
void few_system_calls();
void calls_by_number();
void a_child_by_number();
void a_range_is_closed();
void closed_under_a_thread();
