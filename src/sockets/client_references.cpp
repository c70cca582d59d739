#include "sockets/client_references.hpp"

#include "sockets/client_call.hpp"
#include "sockets/client_cancel.hpp"
#include "sockets/client_epoll.hpp"
#include "sockets/client_options.hpp"
#include "sockets/client_setup.hpp"

namespace skerry::sockets::client {
namespace {

// How many descriptors of each socket this process holds.
constinit std::atomic<uint32_t> descriptor_count[kMaxSockets] = {};

std::atomic<uint64_t>& ref_word(uint32_t socket) {
  return state.refs[socket / 64];
}
uint64_t ref_bit(uint32_t socket) {
  return uint64_t{1} << (socket % 64);
}

void let_go_of_socket(uint32_t socket) {
  forget_in_epoll(socket);
  Request request{.op = Op::close, .socket = socket};
  request.value[0] = aborts_on_close(socket) ? 1 : 0;
  ref_word(socket).fetch_and(~ref_bit(socket), std::memory_order_seq_cst);
  post(request);
}

// Visits the sockets of which this process has a reference.
template <class Visit>
void for_each_reference(Visit visit) {
  for (uint32_t first = 0; first < state.size.sockets; first += 64)
    for (uint64_t bits = ref_word(first).load(std::memory_order_relaxed); bits != 0; bits &= bits - 1)
      visit(first + static_cast<uint32_t>(__builtin_ctzll(bits)));
}

}  // namespace

void hold(uint32_t entry) {
  const uint32_t index = fd_index(entry);
  if (fd_kind(entry) == FdKind::epoll) hold_epoll(index);
  if (fd_kind(entry) != FdKind::socket) return;
  if (descriptor_count[index].fetch_add(1, std::memory_order_relaxed) == 0)
    ref_word(index).fetch_or(ref_bit(index), std::memory_order_seq_cst);
}

void drop(uint32_t entry) {
  const uint32_t index = fd_index(entry);
  if (fd_kind(entry) == FdKind::epoll) drop_epoll(index);
  if (fd_kind(entry) != FdKind::socket) return;
  if (descriptor_count[index].fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (lingers_ns(index) != 0) [[unlikely]] {
    forget_in_epoll(index);  // who waits there waits for a descriptor
    uint32_t socket = index;
    const Undo undo([](void* left) { let_go_if_last(*static_cast<uint32_t*>(left)); }, &socket);
    const HandlersMayRun may_run;
    linger(index);
  }
  let_go_if_last(index);
}

void let_go_if_last(uint32_t socket) {
  if (descriptor_count[socket].load() == 0) let_go_of_socket(socket);
}

void count_sockets_from_nothing() {
  for_each_reference([](uint32_t socket) { descriptor_count[socket].store(0, std::memory_order_relaxed); });
}

void let_go_of_lost_sockets() {
  for_each_reference(let_go_if_last);
}

}  // namespace skerry::sockets::client
