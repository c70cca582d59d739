// What happens when a program loads us: find the stack, map the session, stand around fork(). Without a
// listener of that name the process is not in a cell, and everything passes through to libc.
#include <pthread.h>

#include <cstring>

#include "preload/interpose.hpp"
#include "preload/standard_streams.hpp"
#include "preload/strict.hpp"
#include "sockets/anchor_protocol.hpp"
#include "sockets/client_session.hpp"

namespace skerry::preload {
namespace {

namespace client = sockets::client;

void say(const char* sentence) {
  client::system_call(SYS_write, 2, client::word(sentence), static_cast<long>(std::strlen(sentence)));
}

__attribute__((constructor)) void start() {
  resolve_addrinfo();
  resolve_aio();
  resolve_exec();
  resolve_gai();
  resolve_io();
  resolve_nameinfo();
  resolve_process();
  resolve_resolv();
  resolve_shell();
  resolve_signals();
  resolve_sockets();
  resolve_stat();
  resolve_stdio();
  resolve_waiting();
  const client::Attach result = client::attach(sockets::kListenerName + 1);
  begin_strict();
  if (result == client::Attach::attached) {
    pthread_atfork(client::fork_prepare, client::fork_parent, client::fork_child);
    make_standard_streams();
  }
  if (result == client::Attach::no_room)
    say("skerry: a limit on memory (ulimit -v, RLIMIT_AS) that was set past Skerry leaves no room for what "
        "this process shares with its network stack, so it has no network\n");
  if (result == client::Attach::refused)
    say("skerry: the network stack of this cell gave no session, so this process has no network\n");
}

}  // namespace
}  // namespace skerry::preload
