// setrlimit(2) and mlockall(2): the session lies in the program's address space, and is many times as large
// as the program, though hardly any of it is ever there. What the program allows itself is its own.
#include <sys/mman.h>
#include <sys/resource.h>

#include "preload/interpose.hpp"
#include "sockets/client_session.hpp"

namespace skerry::preload {
namespace {

namespace client = sockets::client;

rlim_t with_session(rlim_t limit) {
  const rlim_t more = client::session_memory().size();
  return limit >= RLIM_INFINITY - more ? limit : limit + more;
}

rlim_t without_session(rlim_t limit) {
  const rlim_t more = client::session_memory().size();
  return limit == RLIM_INFINITY || limit < more ? limit : limit - more;
}

// Other processes of a cell have the same session.
int limit(pid_t process, int resource, const rlimit* asked, rlimit* before) {
  rlimit both;
  if (resource == RLIMIT_AS && asked != nullptr) {
    both = {with_session(asked->rlim_cur), with_session(asked->rlim_max)};
    asked = &both;
  }
  const long result =
      client::system_call(SYS_prlimit64, process, resource, client::word(asked), client::word(before));
  if (result == 0 && resource == RLIMIT_AS && before != nullptr)
    *before = {without_session(before->rlim_cur), without_session(before->rlim_max)};
  return finish(static_cast<int>(result));
}

// The same under its other name (getrlimit(2)).
static_assert(sizeof(rlimit) == sizeof(rlimit64));
const rlimit* plain(const rlimit64* asked) {
  return reinterpret_cast<const rlimit*>(asked);
}
rlimit* plain(rlimit64* before) {
  return reinterpret_cast<rlimit*>(before);
}

}  // namespace
}  // namespace skerry::preload

using namespace skerry::preload;

SKERRY_EXPORT int setrlimit(__rlimit_resource_t resource, const rlimit* asked) noexcept {
  return limit(0, resource, asked, nullptr);
}
SKERRY_EXPORT int setrlimit64(__rlimit_resource_t resource, const rlimit64* asked) noexcept {
  return limit(0, resource, plain(asked), nullptr);
}
SKERRY_EXPORT int getrlimit(__rlimit_resource_t resource, rlimit* found) noexcept {
  return limit(0, resource, nullptr, found);
}
SKERRY_EXPORT int getrlimit64(__rlimit_resource_t resource, rlimit64* found) noexcept {
  return limit(0, resource, nullptr, plain(found));
}
SKERRY_EXPORT int prlimit(pid_t process, __rlimit_resource resource, const rlimit* asked,
                          rlimit* before) noexcept {
  return limit(process, resource, asked, before);
}
SKERRY_EXPORT int prlimit64(pid_t process, __rlimit_resource resource, const rlimit64* asked,
                            rlimit64* before) noexcept {
  return limit(process, resource, plain(asked), plain(before));
}

// The kernel would fill all of the session with pages. So what is mapped already is locked as it is touched,
// and the session is not.
SKERRY_EXPORT int mlockall(int flags) noexcept {
  const auto session = client::session_memory();
  if (session.empty() || (flags & MCL_CURRENT) == 0)
    return finish(static_cast<int>(client::system_call(SYS_mlockall, flags)));
  long result = client::system_call(SYS_mlockall, flags | MCL_ONFAULT);
  if (result == 0) {
    client::system_call(SYS_munlock, client::word(session.data()), static_cast<long>(session.size()));
    if ((flags & (MCL_FUTURE | MCL_ONFAULT)) == MCL_FUTURE)
      result = client::system_call(SYS_mlockall, MCL_FUTURE);
  }
  return finish(static_cast<int>(result));
}
