// res_query(3) and its relatives: what programs ask of the name servers that getaddrinfo() does not say
// (services, mail exchangers, texts). libc writes the questions; its own sending calls nothing that could be
// interposed. The order in which names are tried is glibc's (resolv/res_query.c).
#include <netdb.h>
#include <resolv.h>

#include <algorithm>
#include <cstring>

#include "preload/interpose.hpp"
#include "preload/resolver_send.hpp"
#include "sockets/client_state.hpp"

namespace skerry::preload {
namespace {

namespace client = sockets::client;

using Query = int(const char*, int, int, unsigned char*, int);
using QueryOf = int(res_state, const char*, int, int, unsigned char*, int);
using QueryDomain = int(const char*, const char*, int, int, unsigned char*, int);
using QueryDomainOf = int(res_state, const char*, const char*, int, int, unsigned char*, int);
using Send = int(const unsigned char*, int, unsigned char*, int);
using SendOf = int(res_state, const unsigned char*, int, unsigned char*, int);
constinit Next<Query> next_query{"res_query"}, next_search{"res_search"};
constinit Next<QueryOf> next_nquery{"res_nquery"}, next_nsearch{"res_nsearch"};
constinit Next<QueryDomain> next_querydomain{"res_querydomain"};
constinit Next<QueryDomainOf> next_nquerydomain{"res_nquerydomain"};
constinit Next<Send> next_res_send{"res_send"};
constinit Next<SendOf> next_nsend{"res_nsend"};

constexpr int kHeaderBytes = 12;

// What is wanted of a name, and where the answer goes.
struct Wanted {
  int class_, type;
  Bytes answer;
};

Bytes bytes_of(unsigned char* answer, int room) {
  return {answer, static_cast<size_t>(std::max(room, 0))};
}

int fail(ResolverState& resolver, int reason) {
  resolver.res_h_errno = reason;
  h_errno = reason;
  return -1;
}

bool is_ready(ResolverState& resolver) {
  return (resolver.options & RES_INIT) != 0 || res_ninit(&resolver) == 0;
}

int code_of(Bytes answer) {
  return answer[3] & 15;
}

// The record that says how large an answer may be and whether signatures are wanted (EDNS, RFC 6891 section
// 6.1.2). Returns the question's new length.
size_t add_edns(const ResolverState& resolver, uint8_t* question, size_t length, size_t room) {
  constexpr size_t kLeast = 512, kMost = 1200;  // as glibc's
  constexpr uint16_t kSignatures = 0x8000;
  uint8_t* const record = question + length;
  std::memset(record, 0, 11);  // of the root
  store_be16(record + 1, ns_t_opt);
  store_be16(record + 3, static_cast<uint16_t>(std::clamp(room, kLeast, kMost)));
  if (resolver.options & RES_USE_DNSSEC) store_be16(record + 7, kSignatures);
  store_be16(question + 10, static_cast<uint16_t>(load_be16(question + 10) + 1));
  return length + 11;
}

int query(ResolverState& resolver, const char* name, const Wanted& wanted) {
  uint8_t question[NS_PACKETSZ];
  constexpr int kRoomForEdns = 11;
  const int length = res_nmkquery(&resolver, ns_o_query, name, wanted.class_, wanted.type, nullptr, 0,
                                  nullptr, question, sizeof question - kRoomForEdns);
  if (length <= 0 || wanted.answer.size() < kHeaderBytes) return fail(resolver, NO_RECOVERY);
  const auto plain = static_cast<size_t>(length);
  const bool with_edns = (resolver.options & (RES_USE_EDNS0 | RES_USE_DNSSEC)) != 0;
  const size_t asked = with_edns ? add_edns(resolver, question, plain, wanted.answer.size()) : plain;
  int got = send_question(resolver, {question, asked}, wanted.answer);
  if (with_edns && got >= kHeaderBytes && code_of(wanted.answer) == ns_r_formerr) {  // it does not know EDNS
    store_be16(question + 10, 0);
    got = send_question(resolver, {question, plain}, wanted.answer);
  }
  if (got < 0) return fail(resolver, TRY_AGAIN);
  switch (code_of(wanted.answer)) {
    case ns_r_noerror:
      return load_be16(&wanted.answer[6]) != 0 ? got : fail(resolver, NO_DATA);
    case ns_r_nxdomain:
      return fail(resolver, HOST_NOT_FOUND);
    case ns_r_servfail:
      return fail(resolver, TRY_AGAIN);
    default:
      return fail(resolver, NO_RECOVERY);
  }
}

// `domain` null: the name is whole.
int query_domain(ResolverState& resolver, const char* name, const char* domain, const Wanted& wanted) {
  char whole[NS_MAXDNAME];
  const size_t length = std::strlen(name), more = domain == nullptr ? 0 : std::strlen(domain) + 1;
  if (length + more >= sizeof whole) return fail(resolver, NO_RECOVERY);
  std::memcpy(whole, name, length + 1);
  if (domain != nullptr) {
    whole[length] = '.';
    std::memcpy(whole + length + 1, domain, more);
  } else if (length > 0 && whole[length - 1] == '.') {
    whole[length - 1] = 0;
  }
  return query(resolver, whole, wanted);
}

// Why there is nothing, of all names that were tried.
struct Reasons {
  int as_it_is = -1;
  bool no_data = false, failed = false;

  int worst(int otherwise) const {
    return as_it_is != -1 ? as_it_is : no_data ? NO_DATA : failed ? TRY_AGAIN : otherwise;
  }
};

int search(ResolverState& resolver, const char* name, const Wanted& wanted) {
  const size_t length = std::strlen(name);
  const auto dots = static_cast<unsigned>(std::count(name, name + length, '.'));
  const bool absolute = length > 0 && name[length - 1] == '.';
  Reasons reasons;
  errno = 0;
  fail(resolver, HOST_NOT_FOUND);
  const bool itself_first = absolute || dots >= resolver.ndots;
  if (itself_first) {
    const int got = query_domain(resolver, name, nullptr, wanted);
    if (got > 0 || absolute) return got;
    reasons.as_it_is = h_errno;
  }
  bool root_was_tried = false, one_was_tried = false;
  const bool all = (resolver.options & RES_DNSRCH) != 0;
  const bool searches = dots == 0 ? (resolver.options & RES_DEFNAMES) != 0 : all;
  for (char** domain = resolver.dnsrch; searches && *domain != nullptr; ++domain) {
    const bool is_root = **domain == 0 || (domain[0][0] == '.' && domain[0][1] == 0);
    root_was_tried = root_was_tried || is_root;
    one_was_tried = true;
    const int got = query_domain(resolver, name, is_root ? nullptr : *domain, wanted);
    if (got > 0) return got;
    if (errno == ECONNREFUSED) return fail(resolver, TRY_AGAIN);  // nobody is there to be asked again
    reasons.no_data = reasons.no_data || h_errno == NO_DATA;
    const bool failed = h_errno == TRY_AGAIN && wanted.answer.size() >= kHeaderBytes &&
                        code_of(wanted.answer) == ns_r_servfail;
    reasons.failed = reasons.failed || failed;
    const bool goes_on = h_errno == NO_DATA || h_errno == HOST_NOT_FOUND || failed;
    if (!goes_on || !all) break;
  }
  const bool may_be_alone = dots != 0 || !one_was_tried || !(resolver.options & RES_NOTLDQUERY);
  if (may_be_alone && !itself_first && !root_was_tried)
    if (const int got = query_domain(resolver, name, nullptr, wanted); got > 0) return got;
  return fail(resolver, reasons.worst(h_errno));
}

}  // namespace

void resolve_resolv() {
  next_query.resolve();
  next_search.resolve();
  next_nquery.resolve();
  next_nsearch.resolve();
  next_querydomain.resolve();
  next_nquerydomain.resolve();
  next_res_send.resolve();
  next_nsend.resolve();
}

}  // namespace skerry::preload

using namespace skerry::preload;

SKERRY_EXPORT int res_nquery(res_state of, const char* name, int class_, int type, unsigned char* answer,
                             int room) noexcept {
  if (!client::state.attached) return next_nquery(of, name, class_, type, answer, room);
  return is_ready(*of) ? query(*of, name, {class_, type, bytes_of(answer, room)}) : fail(*of, NETDB_INTERNAL);
}

SKERRY_EXPORT int res_nsearch(res_state of, const char* name, int class_, int type, unsigned char* answer,
                              int room) noexcept {
  if (!client::state.attached) return next_nsearch(of, name, class_, type, answer, room);
  return is_ready(*of) ? search(*of, name, {class_, type, bytes_of(answer, room)})
                       : fail(*of, NETDB_INTERNAL);
}

SKERRY_EXPORT int res_nquerydomain(res_state of, const char* name, const char* domain, int class_, int type,
                                   unsigned char* answer, int room) noexcept {
  if (!client::state.attached) return next_nquerydomain(of, name, domain, class_, type, answer, room);
  return is_ready(*of) ? query_domain(*of, name, domain, {class_, type, bytes_of(answer, room)})
                       : fail(*of, NETDB_INTERNAL);
}

SKERRY_EXPORT int res_nsend(res_state of, const unsigned char* question, int length, unsigned char* answer,
                            int room) noexcept {
  if (!client::state.attached) return next_nsend(of, question, length, answer, room);
  if (length < kHeaderBytes || room < kHeaderBytes) return finish(-EINVAL);
  if (!is_ready(*of)) return fail(*of, NETDB_INTERNAL);
  return send_question(*of, {question, static_cast<size_t>(length)}, bytes_of(answer, room));
}

SKERRY_EXPORT int res_query(const char* name, int class_, int type, unsigned char* answer,
                            int room) noexcept {
  if (!client::state.attached) return next_query(name, class_, type, answer, room);
  return res_nquery(&_res, name, class_, type, answer, room);
}

SKERRY_EXPORT int res_search(const char* name, int class_, int type, unsigned char* answer,
                             int room) noexcept {
  if (!client::state.attached) return next_search(name, class_, type, answer, room);
  return res_nsearch(&_res, name, class_, type, answer, room);
}

SKERRY_EXPORT int res_querydomain(const char* name, const char* domain, int class_, int type,
                                  unsigned char* answer, int room) noexcept {
  if (!client::state.attached) return next_querydomain(name, domain, class_, type, answer, room);
  return res_nquerydomain(&_res, name, domain, class_, type, answer, room);
}

SKERRY_EXPORT int res_send(const unsigned char* question, int length, unsigned char* answer,
                           int room) noexcept {
  if (!client::state.attached) return next_res_send(question, length, answer, room);
  return res_nsend(&_res, question, length, answer, room);
}

// The names that programs know which were linked with a glibc before 2.34.
#define SKERRY_OLD_NAME(old, name) \
  extern "C" __attribute__((visibility("default"), alias(#name))) decltype(name) old
SKERRY_OLD_NAME(__res_query, res_query);
SKERRY_OLD_NAME(__res_search, res_search);
SKERRY_OLD_NAME(__res_querydomain, res_querydomain);
SKERRY_OLD_NAME(__res_send, res_send);
SKERRY_OLD_NAME(__res_nquery, res_nquery);
SKERRY_OLD_NAME(__res_nsearch, res_nsearch);
SKERRY_OLD_NAME(__res_nquerydomain, res_nquerydomain);
SKERRY_OLD_NAME(__res_nsend, res_nsend);
