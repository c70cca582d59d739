// Call sequences drawn from seeds, and what the calls gave: on plain Linux and on a stack, the lines must be
// equal.
//
//   sequences FIRST COUNT [CALL,CALL…]
//
// With a list of calls, or for one sequence, it prints a line for each call, else a hash for each sequence.
// The list says which of a sequence's calls to make, so that a sequence can be made smaller: what a call does
// depends on the seed and its own number alone, never on what came before.
//
// A stack works beside the program, so what a call causes may come a little later than on Linux. Therefore
// nothing is looked at before datagrams of this program's own have gone through the stack and back a few
// times, behind whatever the call has sent: no time is waited for.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "sequence.hpp"

namespace {

constexpr int kRounds = 8;  // more than a handshake or a close takes

volatile sig_atomic_t pipe_signals = 0;

[[noreturn]] void give_up(const char* what) {
  perror(what);
  exit(2);
}

}  // namespace

uint32_t hash_of(const void* data, size_t bytes, uint32_t hash) {
  for (size_t i = 0; i < bytes; ++i) hash = (hash ^ static_cast<const uint8_t*>(data)[i]) * 16777619;
  return hash;
}

sockaddr_storage loopback(bool v6, uint16_t port, socklen_t& length) {
  sockaddr_storage address{};
  if (v6) {
    auto& in6 = reinterpret_cast<sockaddr_in6&>(address);
    in6.sin6_family = AF_INET6;
    inet_pton(AF_INET6, "::ffff:127.0.0.1", &in6.sin6_addr);
    in6.sin6_port = port;
    length = sizeof in6;
  } else {
    auto& in = reinterpret_cast<sockaddr_in&>(address);
    in.sin_family = AF_INET;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in.sin_port = port;
    length = sizeof in;
  }
  return address;
}

void Line::begin(int number) {
  text_.clear();
  say("%2d ", number);
}

void Line::say(const char* format, ...) {
  char text[512];
  va_list values;
  va_start(values, format);
  vsnprintf(text, sizeof text, format, values);
  va_end(values);
  text_ += text;
}

long Line::gave(long result) {
  if (result < 0)
    say(" = %s", strerrorname_np(errno));
  else
    say(" = %ld", result);
  if (pipe_signals != 0) say(" SIGPIPE");
  pipe_signals = 0;
  return result;
}

void Line::address(const sockaddr_storage& address, socklen_t length) {
  if (length == 0) return say(" nobody");
  const bool v6 = address.ss_family == AF_INET6;
  const auto& in = reinterpret_cast<const sockaddr_in&>(address);
  const auto& in6 = reinterpret_cast<const sockaddr_in6&>(address);
  char text[64] = "?";
  inet_ntop(address.ss_family, v6 ? static_cast<const void*>(&in6.sin6_addr) : &in.sin_addr, text,
            sizeof text);
  const uint16_t port = v6 ? in6.sin6_port : in.sin_port;
  size_t name = 0;
  if (port != 0) {
    name = static_cast<size_t>(std::find(ports_.begin(), ports_.end(), port) - ports_.begin()) + 1;
    if (name > ports_.size()) ports_.push_back(port);
  }
  say(" %s port %zu length %u", text, name, length);
}

Barrier::Barrier() : socket_(socket(AF_INET, SOCK_DGRAM, 0)) {
  socklen_t length = 0;
  sockaddr_storage address = loopback(false, 0, length);
  auto* name = reinterpret_cast<sockaddr*>(&address);
  const timeval limit{.tv_sec = 20, .tv_usec = 0};
  if (bind(socket_, name, length) != 0 || getsockname(socket_, name, &length) != 0 ||
      connect(socket_, name, length) != 0 ||
      setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0)
    give_up("barrier");
  if (const char* pause = getenv("SEQUENCES_PAUSE_MS")) pause_ms_ = atoi(pause);
}

void Barrier::pass() {
  char byte = 0;
  for (int round = 0; round < kRounds; ++round)
    if (send(socket_, &byte, 1, 0) != 1 || recv(socket_, &byte, 1, 0) != 1) give_up("barrier");
  if (pause_ms_ != 0) poll(nullptr, 0, pause_ms_);
}

Sequence::Sequence(uint64_t seed, Barrier& barrier) : seed_(seed), barrier_(barrier) {
  for (int& set : sets_) set = epoll_create1(0);
}

Sequence::~Sequence() {
  end_child();
  for (const Slot& slot : slots_)
    if (slot.fd >= 0) close(slot.fd);
  for (const int set : sets_) close(set);
  barrier_.pass();
}

Random Sequence::random_of(int number) const {
  Random random{seed_ * 1000003 + static_cast<uint64_t>(number)};
  random.next();
  return random;
}

const std::string& Sequence::run(int number) {
  Random random = random_of(number);
  line_.begin(number);
  const bool by_the_child = random.one_in(3);
  const bool about_the_child = random.one_in(20);
  if (about_the_child && child_ == 0 && !one_shot_in_the_other_)
    fork_child();
  else if (about_the_child && child_ != 0)
    line_.say("the child ends"), end_child();
  else if (by_the_child && child_ != 0)
    ask_child(number);
  else
    call(random);
  settle_and_look();
  return line_.text();
}

// Everything that poll() says of every slot.
void Sequence::settle_and_look() {
  barrier_.pass();
  pollfd fds[kSlots];
  for (int i = 0; i < kSlots; ++i)
    fds[i] = {.fd = slots_[i].fd,
              .events = POLLIN | POLLPRI | POLLOUT | POLLRDHUP | POLLRDNORM | POLLWRNORM,
              .revents = 0};
  poll(fds, kSlots, 0);
  line_.say("  |");
  for (int i = 0; i < kSlots; ++i)
    if (fds[i].fd >= 0) line_.say(" %d:%x", i, static_cast<unsigned>(fds[i].revents));
}

void Sequence::fork_child() {
  int there[2], back[2];
  if (pipe(there) != 0 || pipe(back) != 0) give_up("pipe");
  child_ = fork();
  if (child_ < 0) give_up("fork");
  is_shared_ = true;
  if (child_ == 0) {
    close(there[1]);
    close(back[0]);
    serve(there[0], back[1]);
  }
  close(there[0]);
  close(back[1]);
  to_child_ = there[1];
  from_child_ = back[0];
  line_.say("fork");
}

// The child makes the calls that it is told the numbers of, until the parent closes the pipe.
void Sequence::serve(int in, int out) {
  for (int number = 0; read(in, &number, sizeof number) == sizeof number;) {
    Random random = random_of(number);
    random.next(), random.next();
    line_.begin(number);
    call(random);
    settle_and_look();
    const size_t length = line_.text().size();
    if (write(out, &length, sizeof length) < 0 || write(out, line_.text().data(), length) < 0) break;
  }
  // What a process held when it ended its stack hears from elsewhere, and so perhaps later.
  for (const Slot& slot : slots_)
    if (slot.fd >= 0) close(slot.fd);
  _exit(0);
}

void Sequence::ask_child(int number) {
  size_t length = 0;
  char text[4096];
  if (write(to_child_, &number, sizeof number) < 0 || read(from_child_, &length, sizeof length) <= 0 ||
      length > sizeof text || read(from_child_, text, length) != static_cast<ssize_t>(length))
    give_up("child");
  line_.say("the child: %.*s ||", static_cast<int>(length), text);
}

void Sequence::end_child() {
  if (child_ == 0) return;
  close(to_child_);
  close(from_child_);
  int status = 0;
  waitpid(child_, &status, 0);
  if (status != 0) line_.say(" status %x", static_cast<unsigned>(status));
  child_ = 0;
  is_shared_ = false;
}

int main(int count, char** words) {
  if (count < 3) return 2;
  struct sigaction note {};
  note.sa_handler = [](int) { pipe_signals = 1; };
  sigaction(SIGPIPE, &note, nullptr);
  const uint64_t first = strtoull(words[1], nullptr, 10), many = strtoull(words[2], nullptr, 10);
  std::vector<int> calls;
  for (char* rest = count > 3 ? words[3] : nullptr; rest != nullptr && *rest != '\0'; rest += *rest == ',')
    calls.push_back(static_cast<int>(strtol(rest, &rest, 10)));
  for (int number = 0; count == 3 && number < kCalls; ++number) calls.push_back(number);
  Barrier barrier;
  for (uint64_t seed = first; seed < first + many; ++seed) {
    Sequence sequence(seed, barrier);
    uint32_t hash = hash_of(nullptr, 0);
    for (const int number : calls) {
      const std::string& line = sequence.run(number);
      hash = hash_of(line.data(), line.size(), hash);
      if (many == 1) puts(line.c_str());
    }
    if (many > 1) printf("%llu %08x\n", static_cast<unsigned long long>(seed), hash);
  }
  puts("ended");
}
