#include "sockets/client_exec.hpp"

#include <fcntl.h>

#include <utility>

#include "sockets/client_anchor.hpp"
#include "sockets/client_descriptors.hpp"
#include "sockets/client_session.hpp"

namespace skerry::sockets::client {
namespace {

bool ends_with_exec(uint32_t fd) {
  return (system_call(SYS_fcntl, fd, F_GETFD) & FD_CLOEXEC) != 0;
}

void mark(std::atomic<uint64_t>* sockets, uint32_t entry) {
  sockets[fd_index(entry) / 64].fetch_or(uint64_t{1} << (fd_index(entry) % 64));
}

// Who looks for a program in many places fails many times before the stack hears of the first.
uint32_t next_attempt() {
  static constinit std::atomic<uint32_t> attempts = 0;
  return process_id() << 10 | (attempts.fetch_add(1) & 1023);
}

}  // namespace

bool is_this_process() {
  return state.attached &&
         state.view.process_ids()[state.slot].load(std::memory_order_relaxed) == process_id();
}

Executing::Executing()
    : is_ours_(is_this_process()),
      undo_([](void* executing) { static_cast<Executing*>(executing)->end(); }, this, is_ours_) {
  if (!is_ours_ || few_calls) return;
  const Lock table = lock_table();
  std::atomic<uint64_t>* kept = state.view.kept(state.slot);
  for (uint32_t word = 0; word < state.size.sockets / 64; ++word) kept[word] = 0;
  Process& process = state.view.process(state.slot);
  for (uint32_t fd = 0; fd < process.fd_limit && fd < kMaxDescriptors; ++fd) {
    const uint32_t entry = entry_of(static_cast<int>(fd));
    if (fd_kind(entry) == FdKind::socket && !ends_with_exec(fd)) mark(kept, entry);
  }
  const uint32_t attempt = next_attempt();
  process.executing = attempt;
  begun_ = true;
  connection_ = connect_carrier();
  if (connection_ < 0) return;
  tell_anchor(connection_,
              {.op = AnchorOp::execute, .slot = state.slot, .pid = process_id(), .attempt = attempt});
}

// It failed. First the word, then the end of the connection, which means what the word says.
void Executing::end() {
  const NoHandlers none;
  if (!std::exchange(begun_, false)) return;
  if (state.attached) state.view.process(state.slot).executing = 0;
  const Lock table = lock_table();
  forget_carrier(connection_);
}

Spawning::Spawning()
    : table_(lock_table()), undo_([](void* spawning) { static_cast<Spawning*>(spawning)->end(); }, this) {
  if (!state.attached) return;
  AnchorReply reply;
  const int connection = connect_anchor();
  if (connection < 0) return;
  const AnchorRequest request{.op = AnchorOp::spawn, .slot = state.slot, .pid = process_id()};
  if (!ask_anchor(connection, request, reply, nullptr, 0) || reply.slot >= state.size.processes) {
    close_descriptor(connection);
    return;
  }
  connection_ = connection;
  slot_ = reply.slot;
  copy_entries_to(slot_);
}

Spawning::~Spawning() {
  end();
}

void Spawning::end() {
  if (connection_ >= 0) close_descriptor(connection_);
  connection_ = -1;
  table_.release();
}

// Marks what dup2() made, which is not close-on-exec, even where it put a number on itself.
constexpr uint32_t kDuplicated = 1 << 27;

void Spawning::duplicates(int from, int to) {
  if (connection_ < 0 || static_cast<uint32_t>(to) >= kMaxDescriptors) return;
  const uint32_t entry = static_cast<uint32_t>(from) < kMaxDescriptors
                             ? state.view.fds(slot_)[from].load(std::memory_order_relaxed)
                             : 0;
  state.view.fds(slot_)[to].store(entry == 0 ? 0 : entry | kDuplicated, std::memory_order_relaxed);
  std::atomic<uint32_t>& limit = state.view.process(slot_).fd_limit;
  if (entry != 0 && limit <= static_cast<uint32_t>(to)) limit = static_cast<uint32_t>(to) + 1;
}

void Spawning::loses(int fd) {
  if (connection_ >= 0 && static_cast<uint32_t>(fd) < kMaxDescriptors)
    state.view.fds(slot_)[fd].store(0, std::memory_order_relaxed);
}

void Spawning::loses_from(int fd) {
  for (uint32_t number = fd < 0 ? 0 : static_cast<uint32_t>(fd);
       connection_ >= 0 && number < state.view.process(slot_).fd_limit; ++number)
    loses(static_cast<int>(number));
}

// Now and not by the child when it arrives, because a program without our library never does.
void Spawning::executes() {
  if (connection_ < 0) return;
  for (uint32_t word = 0; word < state.size.sockets / 64; ++word) state.view.refs(slot_)[word] = 0;
  for (std::atomic<uint64_t>& word : state.view.process(slot_).sets) word = 0;
  const uint32_t limit = state.view.process(slot_).fd_limit;
  for (uint32_t fd = 0; fd < limit && fd < kMaxDescriptors; ++fd) {
    std::atomic<uint32_t>& place = state.view.fds(slot_)[fd];
    const uint32_t marked = place.load(std::memory_order_relaxed);
    const uint32_t entry = marked & ~kDuplicated;
    if (marked != entry) place.store(entry, std::memory_order_relaxed);
    if (fd_kind(entry) != FdKind::socket) continue;
    if (marked == entry && ends_with_exec(fd))
      place.store(0, std::memory_order_relaxed);
    else
      mark(state.view.refs(slot_), entry);
  }
}

void Spawning::born(uint32_t pid) {
  if (connection_ < 0) return;
  AnchorReply reply;
  const AnchorRequest request{.op = AnchorOp::spawned, .slot = slot_, .pid = pid};
  ask_anchor(connection_, request, reply, nullptr, 0);
}

}  // namespace skerry::sockets::client
