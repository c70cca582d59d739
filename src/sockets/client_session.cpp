#include "sockets/client_session.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "sockets/client_anchor.hpp"
#include "sockets/client_call.hpp"
#include "sockets/client_descriptors.hpp"
#include "sockets/client_epoll.hpp"
#include "sockets/client_signals.hpp"
#include "sockets/client_wait.hpp"

namespace skerry::sockets::client {
namespace {

constinit uint8_t* region = nullptr;
constinit uint64_t region_bytes = 0;

// Where our own descriptors begin: near the top of what the process may open, but not beyond what a default
// limit allows, so that the kernel's table stays small.
int internal_base() {
  rlimit limit{};
  system_call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, word(&limit));
  const uint64_t most = limit.rlim_cur < 1024 ? limit.rlim_cur : 1024;
  return most > 128 ? static_cast<int>(most) - 64 : 64;
}

bool map_session(int memory, const SessionSize& size, bool& no_room) {
  if (size.sockets == 0 || size.sockets > kMaxSockets || size.sockets % 64 != 0) return false;
  if (size.processes > kMaxProcesses) return false;
  region_bytes = SessionView::region_bytes(size);
  const long mapped = system_call(SYS_mmap, 0, static_cast<long>(region_bytes), PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_NORESERVE, memory, 0);
  if (mapped < 0 && mapped > -4096) {
    no_room = mapped == -ENOMEM;
    return false;
  }
  region = reinterpret_cast<uint8_t*>(mapped);
  system_call(SYS_madvise, mapped, static_cast<long>(region_bytes), MADV_DONTDUMP);
  const SessionView view(region, size);
  if (view.control().magic != kSessionMagic || view.control().version != kSessionVersion) return false;
  state.view = view;
  state.size = size;
  state.out = &view.out(0);
  state.in = &view.in(0);
  state.names = &view.names(0);
  state.dirty = view.dirty();
  state.control = &view.control();
  state.streams = view.streams();
  state.stream_bytes = size.stream_bytes;
  state.long_streams = view.long_streams();
  return true;
}

void use_slot(uint32_t slot) {
  state.slot = slot;
  state.fds = state.view.fds(slot);
  state.refs = state.view.refs(slot);
}

void remember_listener(const char* name) {
  uint32_t length = 0;
  while (name[length] != 0 && length < sizeof state.listener - 1) {
    state.listener[length] = name[length];
    ++length;
  }
  state.listener_length = length;
}

// What fork_prepare() left for the two sides.
struct Forking {
  int anchor = -1;
  uint32_t slot = UINT32_MAX;
};
constinit Forking forking;

}  // namespace

Attach attach(const char* listener_name) {
  remember_listener(listener_name);
  AnchorReply reply;
  int received[2] = {-1, -1};
  const int anchor = connect_anchor();
  if (anchor < 0) return Attach::no_listener;
  const AnchorRequest request{
      .op = AnchorOp::attach, .pid = process_id(), .parent = static_cast<uint32_t>(system_call(SYS_getppid))};
  const bool answered = ask_anchor(anchor, request, reply, received, 2);
  bool no_room = false;
  const bool mapped = answered && received[0] >= 0 && received[1] >= 0 && reply.slot < reply.size.processes &&
                      map_session(received[0], reply.size, no_room);
  if (received[0] >= 0) close_descriptor(received[0]);
  if (!mapped) {
    if (received[1] >= 0) close_descriptor(received[1]);
    close_descriptor(anchor);
    return no_room ? Attach::no_room : Attach::refused;
  }
  use_slot(reply.slot);
  state.anchor = adopt_internal(anchor);
  state.ring = adopt_internal(received[1]);
  state.attached = true;
  reclaim_calls();
  forget_lost_descriptors();
  inherit_from_parent();
  state.view.process(state.slot).executing = 0;
  prepare_thread_exit();
  yields_before_sleep = state.control->one_core != 0 ? 0 : kYieldsBeforeSleep;
  return Attach::attached;
}

std::span<uint8_t> session_memory() {
  return {region, region == nullptr ? 0 : region_bytes};
}

void detach() {
  if (!state.attached) return;
  release_thread_waiter();
  release_bells();
  reset_descriptors();
  forget_posted();
  close_descriptor(state.anchor);
  close_descriptor(state.ring);
  system_call(SYS_munmap, word(region), static_cast<long>(region_bytes));
  region = nullptr;
  forget_session();
}

int request_doorbell(uint32_t waiter) {
  const int connection = connect_anchor();
  if (connection < 0) return connection;
  AnchorReply reply;
  int received[1] = {-1};
  const AnchorRequest request{.op = AnchorOp::doorbell, .slot = waiter, .pid = process_id()};
  const bool answered = ask_anchor(connection, request, reply, received, 1);
  close_descriptor(connection);
  if (received[0] < 0) return answered ? -EPROTO : -ECONNREFUSED;
  system_call(SYS_fcntl, received[0], F_SETFL, O_RDONLY | O_NONBLOCK);
  return adopt_internal(received[0]);
}

int copy_internal(int number) {
  const auto copy = static_cast<int>(system_call(SYS_fcntl, number, F_DUPFD_CLOEXEC, internal_base()));
  if (copy >= 0) set_entry(copy, fd_entry(FdKind::internal, 0));
  return copy;
}

int adopt_internal(int number) {
  const int moved = copy_internal(number);
  if (moved >= 0) {
    close_descriptor(number);
    return moved;
  }
  system_call(SYS_fcntl, number, F_SETFD, FD_CLOEXEC);
  set_entry(number, fd_entry(FdKind::internal, 0));
  return number;
}

void forget_internal(int number) {
  set_entry(number, 0);
  close_descriptor(number);
}

// The descriptor table stands still from here to fork_parent() and fork_child(), so the child's copy of it is
// what the kernel copies.
void fork_prepare() {
  if (!state.attached) return;
  keep_handlers_off();
  lock_descriptors();
  AnchorReply reply;
  forking = {};
  prepare_to_share_sets();
  const int connection = connect_anchor();
  if (connection < 0) return;
  const AnchorRequest request{.op = AnchorOp::fork, .slot = state.slot, .pid = process_id()};
  if (!ask_anchor(connection, request, reply, nullptr, 0) || reply.slot >= state.size.processes) {
    close_descriptor(connection);
    return;
  }
  forking = {.anchor = connection, .slot = reply.slot};
  copy_entries_to(reply.slot);
}

void fork_parent() {
  if (!state.attached) return;
  if (forking.anchor >= 0) close_descriptor(forking.anchor);
  forking = {};
  unlock_descriptors();
  let_handlers_in();
}

// Without a promised slot the child has no door: its sockets stay the parent's.
void fork_child() {
  if (!state.attached) return;
  forget_thread();
  forget_handlers_after_fork();
  forget_posted();
  free_descriptors_after_fork();
  if (forking.anchor < 0) {
    forget_session();
    return;
  }
  system_call(SYS_dup3, forking.anchor, state.anchor, O_CLOEXEC);
  close_descriptor(forking.anchor);
  use_slot(forking.slot);
  forget_waiters_after_fork();
  AnchorReply reply;
  int received[2] = {-1, -1};
  const AnchorRequest request{.op = AnchorOp::attach, .slot = forking.slot, .pid = process_id()};
  ask_anchor(state.anchor, request, reply, received, 2);
  for (const int descriptor : received)
    if (descriptor >= 0) close_descriptor(descriptor);
  forking = {};
  count_again_after_fork();
}

}  // namespace skerry::sockets::client
