#include "preload/resolver_send.hpp"

#include <cstring>

#include "preload/interpose.hpp"
#include "preload/resolver_socket.hpp"
#include "wire/dns.hpp"

namespace skerry::preload {
namespace {

constexpr ssize_t kHeaderBytes = 12;
constexpr size_t kDatagramMax = 512;  // a longer question goes over a stream

// -errno, or how much of an answer to this question was stored: what there is no room for is lost without a
// word, as it is by glibc.
ssize_t ask_by_datagram(const DnsServer& server, ConstBytes question, Bytes answer, TimeNs deadline) {
  const ServerSocket socket(server, SOCK_DGRAM, deadline);
  if (!socket.send(question.data(), question.size())) return -ECONNREFUSED;
  for (;;) {
    uint8_t datagram[4096];  // more than we say that we take
    const ssize_t length = socket.receive(datagram, sizeof datagram);
    if (length < 0) return length;
    const size_t bytes = static_cast<size_t>(length);
    if (!is_answer_to({datagram, bytes}, question)) continue;
    const size_t stored = std::min(bytes, answer.size());
    std::memcpy(answer.data(), datagram, stored);
    return static_cast<ssize_t>(stored);
  }
}

// -errno, or the length of the answer; one that there is no room for is marked as cut.
ssize_t ask_by_stream(const DnsServer& server, ConstBytes question, Bytes answer, TimeNs deadline) {
  const ServerSocket socket(server, SOCK_STREAM, deadline);
  if (!socket.send_framed(question.data(), question.size())) return -ECONNREFUSED;
  const ssize_t length = socket.receive_framed(answer.data(), answer.size());
  if (length < kHeaderBytes) return length;
  if (load_be16(answer.data()) != load_be16(question.data())) return -ETIMEDOUT;
  if (static_cast<size_t>(length) > answer.size()) answer[2] |= 2;  // TC
  return length;
}

bool is_cut(Bytes answer) {
  return answer[2] & 2;
}

// What another server may know better: it failed, or it only says that it is not the one to ask.
bool is_no_answer(Bytes answer) {
  const int code = answer[3] & 15;
  const bool authoritative = answer[2] & 4, recurses = answer[3] & 0x80;
  const bool says_nothing = load_be16(&answer[6]) == 0 && load_be16(&answer[10]) == 0;
  return code == SERVFAIL || code == NOTIMP || code == REFUSED ||
         (code == NOERROR && says_nothing && !authoritative && !recurses);
}

DurationNs patience(const ResolverState& state, int server) {
  int seconds = state.retrans << server;
  if (server > 0) seconds /= state.nscount;
  return std::max(seconds, 1) * kSecond;
}

}  // namespace

int send_question(const ResolverState& state, ConstBytes question, Bytes answer) {
  const NoCancellation none;
  bool by_stream = (state.options & RES_USEVC) != 0 || question.size() > kDatagramMax;
  bool somebody_there = by_stream;
  for (int attempt = 0; attempt < state.retry; ++attempt)
    for (int i = 0; i < state.nscount; ++i) {
      const sockaddr_in& named = state.nsaddr_list[i];
      if (named.sin_family != AF_INET) continue;
      const DnsServer server{ntohl(named.sin_addr.s_addr), ntohs(named.sin_port)};
      const auto deadline = [&] { return client::monotonic_ns() + patience(state, i); };
      ssize_t length = 0;
      if (!by_stream) {
        length = ask_by_datagram(server, question, answer, deadline());
        somebody_there = somebody_there || length >= 0 || length == -EAGAIN;
        if (length >= kHeaderBytes && is_no_answer(answer)) continue;
        by_stream = length >= kHeaderBytes && is_cut(answer) && !(state.options & RES_IGNTC);
      }
      if (by_stream) length = ask_by_stream(server, question, answer, deadline());
      if (length >= kHeaderBytes) return static_cast<int>(length);
    }
  errno = somebody_there ? ETIMEDOUT : ECONNREFUSED;
  return -1;
}

}  // namespace skerry::preload
