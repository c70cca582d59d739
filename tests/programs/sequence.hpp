// One sequence of calls: descriptors in slots, two epoll sets, at times a forked child, and a line about each
// call. Read first: sequences.cpp.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

inline constexpr int kSlots = 8, kSets = 2, kCalls = 40;

struct Random {  // splitmix64
  uint64_t state;

  uint64_t next() {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  int below(int bound) { return static_cast<int>(next() % static_cast<uint64_t>(bound)); }
  bool one_in(int chances) { return below(chances) == 0; }
};

uint32_t hash_of(const void* data, size_t bytes, uint32_t hash = 2166136261);

// Loopback, and this port in network order.
sockaddr_storage loopback(bool v6, uint16_t port, socklen_t& length);

sockaddr* as_name(sockaddr_storage& address);
// Where the socket is, or a port where nobody listens.
uint16_t port_of(int fd);
bool is_stream(int fd);

// What a call gave, as text that is the same wherever the same was given.
class Line {
 public:
  const std::string& text() const { return text_; }
  void begin(int number);
  [[gnu::format(printf, 2, 3)]] void say(const char* format, ...);
  void add(const std::string& text) { text_ += text; }
  long gave(long result);  // the same, with errno's name, and whether SIGPIPE came
  void address(const sockaddr_storage& address, socklen_t length);

 private:
  std::string text_;
  std::vector<uint16_t>
      ports_;  // they are other numbers in each run: named in the order in which they are seen
};

// Datagrams of our own, through the stack and back, behind whatever was sent before.
class Barrier {
 public:
  Barrier();
  void pass();

 private:
  int socket_;
  int pause_ms_ = 0;
};

struct Slot {
  int fd = -1;
  bool v6 = false;
};

class Sequence {
 public:
  Sequence(uint64_t seed, Barrier& barrier);
  ~Sequence();
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  // One call, and what it gave.
  const std::string& run(int number);

 private:
  Random random_of(int number) const;
  void fork_child();
  void serve(int in, int out);
  void ask_child(int number);
  void end_child();
  void settle_and_look();

  // sequence_calls.cpp
  void call(Random& random);
  void make(Random& random, int slot, bool stream);
  void connected_pair(Random& random);
  void name_calls(Random& random, int slot);
  void bind_beside(Random& random, int slot);
  void option_calls(Random& random, int slot);
  void put(int slot, int fd, bool v6);
  // sequence_descriptors.cpp
  void make_kernels_own(Random& random, int slot);
  void descriptor_calls(Random& random, int slot);
  void duplicate_over(Random& random, int slot, int other);
  void move_up(int slot);
  void close_some(Random& random, int slot, int other);
  static int pass(int fd);
  // sequence_bytes.cpp
  void send_or_receive(Random& random, int slot);
  // sequence_waiting.cpp
  void change_set(Random& random, int slot);
  void wait_on_set(Random& random, int set);
  void poll_and_select(Random& random);

  uint64_t seed_;
  Barrier& barrier_;
  Line line_;
  Slot slots_[kSlots];
  int sets_[kSets];
  pid_t child_ = 0;
  int to_child_ = -1, from_child_ = -1;
  bool is_shared_ = false;  // what was open at the fork, the sets too
  bool one_shot_in_the_other_ = false;
  char data_[8192];
};
