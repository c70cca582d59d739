// getaddrinfo_a(3). libc's own asks in threads of its own, past getaddrinfo(). Here whoever calls it asks, so
// it waits with GAI_NOWAIT too, and gai_error(), gai_suspend() and gai_cancel(), which are libc's, find every
// request done.
#include <netdb.h>
#include <signal.h>

#include "preload/interpose.hpp"
#include "sockets/client_state.hpp"

namespace skerry::preload {
namespace {

namespace client = sockets::client;

constinit Next<int(int, gaicb**, int, sigevent*)> next_getaddrinfo_a{"getaddrinfo_a"};

void tell(const sigevent& event) {
  if (event.sigev_notify == SIGEV_SIGNAL) {
    siginfo_t info{};
    info.si_signo = event.sigev_signo;
    info.si_code = SI_ASYNCNL;
    info.si_value = event.sigev_value;
    const long process = client::system_call(SYS_getpid);
    info.si_pid = static_cast<pid_t>(process);
    client::system_call(SYS_rt_sigqueueinfo, process, event.sigev_signo, client::word(&info));
  }
  if (event.sigev_notify != SIGEV_THREAD) return;
  // A sigval is passed as the pointer is that it has room for.
  const auto begin = reinterpret_cast<void* (*)(void*)>(reinterpret_cast<void*>(event.sigev_notify_function));
  pthread_t thread;
  if (pthread_create(&thread, event.sigev_notify_attributes, begin, event.sigev_value.sival_ptr) == 0)
    pthread_detach(thread);
}

}  // namespace

void resolve_gai() {
  next_getaddrinfo_a.resolve();
}

}  // namespace skerry::preload

using namespace skerry::preload;

SKERRY_EXPORT int getaddrinfo_a(int mode, gaicb* list[], int count, sigevent* event) {
  if (!client::state.attached) return next_getaddrinfo_a(mode, list, count, event);
  if (mode != GAI_WAIT && mode != GAI_NOWAIT) {
    errno = EINVAL;
    return EAI_SYSTEM;
  }
  for (int i = 0; i < count; ++i)
    if (gaicb* const one = list[i]; one != nullptr)
      one->__return = getaddrinfo(one->ar_name, one->ar_service, one->ar_request, &one->ar_result);
  if (mode == GAI_NOWAIT && event != nullptr) tell(*event);
  return 0;
}
