// What each request of anchor_protocol.hpp does to the processes that the stack knows. The results are errno
// values.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "sockets/anchors.hpp"

namespace skerry::sockets {

int Anchors::attach(uint32_t index, const AnchorRequest& request, Fd pidfd, AnchorReply& reply) {
  uint32_t slot = request.slot;
  if (connections_[index].slot == UINT32_MAX && has_a_use(index)) return EINVAL;
  if (slot == UINT32_MAX) {
    slot = slot_of(request.pid);  // a process that called exec comes back to what it holds
    if (slot == UINT32_MAX) slot = slot_awaited_from(request.parent);
    if (slot == UINT32_MAX) slot = claim_slot();
    if (slot == UINT32_MAX) return EAGAIN;
  } else if (slot >= slots_.size() || !slots_[slot].live) {
    return EINVAL;
  }
  for (Connection& connection : connections_)
    if (connection.executes == slot) end_image(connection);
  Slot& process = slots_[slot];
  if (process.connection != index && process.connection != UINT32_MAX) {
    // The same process after exec: its earlier anchor lives on in inherited descriptors, but no longer speaks
    // for it.
    connections_[process.connection].slot = UINT32_MAX;
  }
  process.connection = index;
  process.pid = request.pid;
  process.awaited_from = 0;
  forget_pidfd(slot);
  // What the program sent as a pidfd may be anything; what cannot be watched is as good as none.
  watch_process(slot, std::move(pidfd));
  connections_[index].slot = slot;
  view_.process_ids()[slot].store(request.pid);
  reply.slot = slot;
  return 0;
}

int Anchors::fork(uint32_t index, const AnchorRequest& request, AnchorReply& reply) {
  if (!is_live(request.slot) || (connections_[index].slot == UINT32_MAX && has_a_use(index))) return EINVAL;
  const uint32_t child = claim_slot();
  if (child == UINT32_MAX) return EAGAIN;
  slots_[child].connection = index;
  connections_[index].slot = child;
  if (request.op == AnchorOp::spawn) slots_[child].awaited_from = request.pid;
  handlers_.forked(request.slot, child);
  view_.process_ids()[child].store(kUnnamedProcess);
  reply.slot = child;
  return 0;
}

// The child may have been faster, and has the slot then.
int Anchors::spawned(uint32_t index, const AnchorRequest& request, Fd pidfd) {
  const uint32_t slot = connections_[index].slot;
  if (slot == UINT32_MAX) return 0;
  Slot& process = slots_[slot];
  if (process.awaited_from == 0 || slot_of(request.pid) != UINT32_MAX) return EINVAL;
  if (!watch_process(slot, std::move(pidfd))) return EINVAL;
  process.pid = request.pid;
  process.awaited_from = 0;
  view_.process_ids()[slot].store(request.pid);
  return 0;
}

int Anchors::carry(uint32_t index, const AnchorRequest& request) {
  Connection& connection = connections_[index];
  if (has_a_use(index)) return EINVAL;
  if (request.socket >= view_.size().sockets || !handlers_.carry(request.socket)) return EBADF;
  connection.carried = request.socket;
  return 0;
}

int Anchors::claim(uint32_t index, const AnchorRequest& request, AnchorReply& reply) {
  const uint32_t carried = connections_[index].carried;
  if (carried == kNoSocket || !is_live(request.slot) || request.session != view_.control().mac) return EINVAL;
  handlers_.claim(carried, request.slot);
  reply.socket = carried;
  return 0;
}

bool Anchors::has_a_use(uint32_t index) const {
  const Connection& connection = connections_[index];
  return connection.slot != UINT32_MAX || connection.carried != kNoSocket ||
         connection.executes != UINT32_MAX;
}

int Anchors::execute(uint32_t index, const AnchorRequest& request) {
  if (request.slot >= slots_.size() || has_a_use(index) || request.attempt == 0) return EINVAL;
  if (!is_live(request.slot)) return 0;  // it was killed before it was heard, which is nobody's fault
  connections_[index].executes = request.slot;
  connections_[index].attempt = request.attempt;
  return 0;
}

// Its new program has begun, or it gave up and may be at another attempt by now, or it died in between, which
// its pidfd tells.
void Anchors::end_image(Connection& connection) {
  const uint32_t slot = std::exchange(connection.executes, UINT32_MAX);
  uint32_t attempt = connection.attempt;
  if (is_live(slot) && view_.process(slot).executing.compare_exchange_strong(attempt, 0))
    handlers_.executed(slot);
}

uint32_t Anchors::slot_of(uint32_t pid) const {
  for (uint32_t slot = 0; slot < slots_.size(); ++slot) {
    if (pid != 0 && slots_[slot].live && slots_[slot].pid == pid) return slot;
  }
  return UINT32_MAX;
}

uint32_t Anchors::slot_awaited_from(uint32_t parent) const {
  for (uint32_t slot = 0; slot < slots_.size(); ++slot) {
    if (parent != 0 && slots_[slot].live && slots_[slot].awaited_from == parent) return slot;
  }
  return UINT32_MAX;
}

uint32_t Anchors::claim_slot() {
  for (uint32_t slot = 0; slot < slots_.size(); ++slot) {
    if (slots_[slot].live) continue;
    slots_[slot] = Slot{};
    slots_[slot].live = true;
    slot_limit_ = std::max(slot_limit_, slot + 1);
    view_.control().slot_limit.store(slot_limit_);  // before anybody can see the slot in use
    handlers_.arrived(slot);
    return slot;
  }
  return UINT32_MAX;
}

}  // namespace skerry::sockets
