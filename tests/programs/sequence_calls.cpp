// What a call of a sequence can be. Each draws its arguments, says what it does, and says what it gave. Here:
// which it is, and the calls that make sockets, name them and set their options.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <cstdlib>
#include <iterator>

#include "sequence.hpp"

namespace {

int set_int(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value);
}

bool has(int fd, int option) {
  int value = 0;
  socklen_t length = sizeof value;
  return getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 && value != 0;
}

// It listens, or has a peer.
bool lives(int fd) {
  sockaddr_storage peer{};
  socklen_t length = sizeof peer;
  return has(fd, SO_ACCEPTCONN) || getpeername(fd, as_name(peer), &length) == 0;
}

}  // namespace

sockaddr* as_name(sockaddr_storage& address) {
  return reinterpret_cast<sockaddr*>(&address);
}

uint16_t port_of(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (fd < 0 || getsockname(fd, as_name(address), &length) != 0) return htons(1);
  const uint16_t port = reinterpret_cast<sockaddr_in&>(address).sin_port;  // sin6_port lies at the same place
  return port != 0 ? port : htons(1);
}

bool is_stream(int fd) {
  int type = 0;
  socklen_t length = sizeof type;
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM;
}

void Sequence::put(int slot, int fd, bool v6) {
  if (fd < 0) return;
  if (slots_[slot].fd >= 0) close(slots_[slot].fd);
  slots_[slot] = {fd, v6};
}

void Sequence::call(Random& random) {
  const int slot = random.below(kSlots);
  switch (random.below(20)) {
    case 0:
      if (random.one_in(4)) return make_kernels_own(random, slot);
      return make(random, slot, random.one_in(2));
    case 1:
    case 2:
      return connected_pair(random);
    case 3:
    case 4:
    case 5:
      return name_calls(random, slot);
    case 6:
      return option_calls(random, slot);
    case 7:
    case 8:
    case 9:
      return descriptor_calls(random, slot);
    case 10:
    case 11:
    case 12:
      return change_set(random, slot);
    case 13:
    case 14:
      return wait_on_set(random, random.below(kSets));
    case 15:
      return poll_and_select(random);
    default:
      return send_or_receive(random, slot);
  }
}

void Sequence::make(Random& random, int slot, bool stream) {
  const bool v6 = random.one_in(4);
  const bool blocking = random.one_in(20);
  const int fd = socket(v6 ? AF_INET6 : AF_INET,
                        (stream ? SOCK_STREAM : SOCK_DGRAM) | (blocking ? 0 : SOCK_NONBLOCK), 0);
  const bool shares = random.one_in(5);
  line_.say("s%d = %s%s%s%s", slot, blocking ? "blocking " : "", stream ? "stream" : "datagram",
            v6 ? " v6" : "", shares ? " that shares its port" : "");
  if (shares) set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  if (stream)
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);  // else what a peer has seen is a question of its ACKs
  // A stack that gets no core for so long looks like one that does not answer, so a closer look waits longer.
  const char* const pause_ms = getenv("SEQUENCES_PAUSE_MS");
  const timeval limit{.tv_sec = 0, .tv_usec = 5000 + 10000 * (pause_ms != nullptr ? atoi(pause_ms) : 0)};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  put(slot, fd, v6);
}

// What single calls seldom find together: two sockets that know each other.
void Sequence::connected_pair(Random& random) {
  const bool stream = random.one_in(2) || random.one_in(2);
  const int a = random.below(kSlots), b = (a + 1 + random.below(kSlots - 1)) % kSlots;
  make(random, a, stream);
  line_.say(", ");
  make(random, b, stream);
  socklen_t length = 0;
  sockaddr_storage address = loopback(slots_[a].v6, 0, length);
  line_.say(", bind");
  line_.gave(bind(slots_[a].fd, as_name(address), length));
  if (stream) listen(slots_[a].fd, 8);
  address = loopback(slots_[b].v6, port_of(slots_[a].fd), length);
  line_.say(", connect");
  line_.gave(connect(slots_[b].fd, as_name(address), length));
  barrier_.pass();
  if (stream) {
    line_.say(", again");
    line_.gave(connect(slots_[b].fd, as_name(address), length));
  } else {
    address = loopback(slots_[a].v6, port_of(slots_[b].fd), length);
    line_.say(", connect back");
    line_.gave(connect(slots_[a].fd, as_name(address), length));
    return;
  }
  const bool v6 = slots_[a].v6;
  const int accepted = accept4(slots_[a].fd, nullptr, nullptr, SOCK_NONBLOCK);
  line_.say(", s%d = accept%s", a, accepted < 0 ? " fails" : "");
  put(a, accepted, v6);
}

void Sequence::name_calls(Random& random, int slot) {
  const Slot& of = slots_[slot];
  const int other = random.below(kSlots);
  socklen_t length = 0;
  sockaddr_storage address = loopback(of.v6, 0, length);
  switch (random.below(8)) {
    case 0: {
      if (random.one_in(4)) return bind_beside(random, slot);
      // Not compared: SO_REUSEADDR, which others may have changed since they had their ports. A port that
      // nobody holds, or a socket of the other protocol, may by chance be one that waits for late segments of
      // a sequence before. Which of two that share a port gets something is drawn by Linux.
      const bool shares = has(of.fd, SO_REUSEPORT) && has(slots_[other].fd, SO_REUSEPORT);
      const bool taken = random.one_in(3) && !has(of.fd, SO_REUSEADDR) && !shares &&
                         lives(slots_[other].fd) && other != slot &&
                         is_stream(of.fd) == is_stream(slots_[other].fd);
      address = loopback(of.v6, 0, length);
      if (taken) address = loopback(of.v6, port_of(slots_[other].fd), length);
      if (taken && reinterpret_cast<sockaddr_in&>(address).sin_port == htons(1))
        address = loopback(of.v6, 0, length);
      if (random.one_in(8)) length -= 1 + static_cast<socklen_t>(random.below(15));
      line_.say("bind s%d %s %u", slot, taken ? "where another is" : "", length);
      line_.gave(bind(of.fd, as_name(address), length));
      return;
    }
    case 1:
      line_.say("listen s%d", slot);
      line_.gave(listen(of.fd, 8));
      return;
    case 2:
    case 3:
      address = loopback(of.v6, port_of(slots_[other].fd), length);
      if (random.one_in(10)) address.ss_family = AF_UNSPEC;
      line_.say("connect s%d to s%d%s", slot, other, address.ss_family == AF_UNSPEC ? ", unspecified" : "");
      line_.gave(connect(of.fd, as_name(address), length));
      if (is_stream(of.fd) && address.ss_family != AF_UNSPEC) {  // what became of it
        barrier_.pass();
        line_.say(", again");
        line_.gave(connect(of.fd, as_name(address), length));
      }
      return;
    case 4: {
      length = sizeof address;
      const int to = random.below(kSlots);
      line_.say("s%d = accept s%d", to, slot);
      const bool v6 = of.v6;
      const int fd = accept4(of.fd, as_name(address), &length, random.one_in(20) ? 0 : SOCK_NONBLOCK);
      line_.gave(fd < 0 ? fd : 0);
      if (fd >= 0) line_.address(address, length);
      return put(to, fd, v6);
    }
    case 5: {
      const int how = random.one_in(2) ? SHUT_WR : random.below(4);
      line_.say("shutdown s%d %d", slot, how);
      line_.gave(shutdown(of.fd, how));
      return;
    }
    default: {
      const bool own = random.one_in(2);
      length = random.one_in(4) ? static_cast<socklen_t>(random.below(30)) : sizeof address;
      address = {};
      line_.say("get%sname s%d", own ? "sock" : "peer", slot);
      const socklen_t room = length;
      const int result =
          own ? getsockname(of.fd, as_name(address), &length) : getpeername(of.fd, as_name(address), &length);
      if (line_.gave(result) == 0 && room >= 8) line_.address(address, length);
    }
  }
}

// Another one for a moment where a socket is, by SO_REUSEPORT or without. Not compared: whether it shares
// with a connection, whose port may by chance be one where another of Linux's waits for late segments.
void Sequence::bind_beside(Random& random, int slot) {
  const Slot& of = slots_[slot];
  sockaddr_storage peer{};
  socklen_t room = sizeof peer;
  const bool stream = is_stream(of.fd),
             is_connection = stream && getpeername(of.fd, as_name(peer), &room) == 0;
  const bool shares = !random.one_in(3) && !is_connection;
  if (!lives(of.fd)) return line_.say("nobody beside s%d", slot);
  const int fd = socket(of.v6 ? AF_INET6 : AF_INET, stream ? SOCK_STREAM : SOCK_DGRAM, 0);
  set_int(fd, SOL_SOCKET, SO_REUSEPORT, shares);
  socklen_t length = 0;
  sockaddr_storage address = loopback(of.v6, port_of(of.fd), length);
  line_.say("bind beside s%d%s", slot, shares ? ", sharing" : "");
  if (line_.gave(bind(fd, as_name(address), length)) == 0 && stream) line_.gave(listen(fd, 1));
  close(fd);
}

void Sequence::option_calls(Random& random, int slot) {
  struct Name {
    int level, name;
    const char* text;
  };
  static constexpr Name kNames[] = {
      {SOL_SOCKET, SO_ERROR, "SO_ERROR"},           {SOL_SOCKET, SO_TYPE, "SO_TYPE"},
      {SOL_SOCKET, SO_ACCEPTCONN, "SO_ACCEPTCONN"}, {SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR"},
      {SOL_SOCKET, SO_KEEPALIVE, "SO_KEEPALIVE"},   {SOL_SOCKET, SO_BROADCAST, "SO_BROADCAST"},
      {IPPROTO_TCP, TCP_NODELAY, "TCP_NODELAY"},    {SOL_SOCKET, SO_DOMAIN, "SO_DOMAIN"},
      {SOL_SOCKET, SO_PROTOCOL, "SO_PROTOCOL"},     {IPPROTO_IP, IP_TTL, "IP_TTL"},
      {IPPROTO_TCP, TCP_KEEPIDLE, "TCP_KEEPIDLE"},  {IPPROTO_IP, IP_TOS, "IP_TOS"},
      {IPPROTO_IP, IP_RECVERR, "IP_RECVERR"},       {SOL_SOCKET, SO_RCVLOWAT, "SO_RCVLOWAT"}};
  const Name& name = kNames[random.below(std::size(kNames))];
  const int fd = slots_[slot].fd;
  if (random.one_in(3)) {
    const linger how{.l_onoff = random.below(2), .l_linger = 0};
    line_.say("linger s%d %d", slot, how.l_onoff);
    line_.gave(setsockopt(fd, SOL_SOCKET, SO_LINGER, &how, sizeof how));
  } else if (random.one_in(2)) {
    const int value = name.name == TCP_NODELAY ? 1 : random.below(300);
    const auto length = static_cast<socklen_t>(random.one_in(6) ? random.below(4) : 4);
    line_.say("setsockopt s%d %s %d of %u", slot, name.text, value, length);
    line_.gave(setsockopt(fd, name.level, name.name, &value, length));
  } else {
    int value = 0;
    auto length = static_cast<socklen_t>(random.one_in(6) ? random.below(9) : 4);
    line_.say("getsockopt s%d %s of %u", slot, name.text, length);
    if (line_.gave(getsockopt(fd, name.level, name.name, &value, &length)) == 0)
      line_.say(" %d of %u", value, length);
  }
}
