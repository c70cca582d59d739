// The public face of TCP: forwards events to the engine, and lets others look.
#include "tcp/tcp.hpp"

#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "tcp/engine.hpp"

namespace skerry::tcp {

size_t Tcp::arena_bytes(const Limits& limits) {
  return ArenaLayout(limits).end;
}

Tcp::Tcp(Bytes arena, const Limits& limits, const Streams& streams, IndexPool& ids, const SipKey& secret,
         Random& random)
    : impl_(std::make_unique<Impl>(arena, limits, streams, ids, secret, random)) {}

Tcp::~Tcp() = default;

void Tcp::set_path_lookup(PathLookup lookup, void* context) {
  impl_->path_lookup = lookup;
  impl_->path_context = context;
}

std::optional<Tcp::Receiver> Tcp::receiver(const Endpoint& local, const Endpoint& remote) const {
  const Flow flow{local.address, remote.address, local.port, remote.port};
  const uint32_t hash = impl_->hasher(flow);
  if (const ConnectionId id = impl_->find(hash, flow); id != kNoConnection) {
    const bool opens =
        impl_->blocks[id].state == State::syn_received && impl_->cold[id].parent != kNoConnection;
    return Receiver{.whole = !opens};
  }
  if (impl_->time_wait.find(hash, flow) != nullptr) return Receiver{.whole = false};
  const ConnectionId listener = impl_->ports.listener(local, hash);
  if (listener == kNoConnection) return std::nullopt;
  return Receiver{.any_address = impl_->cold[listener].bound.address.is_unspecified()};
}

void Tcp::receive(TimeNs now, const SegmentIn& segment) {
  impl_->receive(now, segment);
}

bool Tcp::unreachable(TimeNs now, const Endpoint& local, const Endpoint& remote, uint32_t sequence, int error,
                      uint16_t next_hop_mtu, bool own) {
  return impl_->unreachable(now, {local.address, remote.address, local.port, remote.port}, sequence, error,
                            next_hop_mtu, own);
}

bool Tcp::next_segment(TimeNs now, const Room& room, SegmentOut& out) {
  return impl_->next_segment(now, room, out);
}

bool Tcp::has_output() const {
  return !impl_->output.empty() || !impl_->replies.empty() || !impl_->looped_output.empty();
}

TimeNs Tcp::deadline() const {
  return std::min(impl_->wheel.deadline(), impl_->time_wait.deadline());
}

void Tcp::expire(TimeNs now) {
  impl_->expire(now);
}

int Tcp::bind(ConnectionId id, Endpoint& local, bool reuse_address, bool reuse_port) {
  return impl_->bind(id, local, reuse_address, reuse_port);
}

int Tcp::listen(ConnectionId id, uint32_t backlog, bool reuse_address, bool reuse_port) {
  return impl_->listen(id, backlog, reuse_address, reuse_port);
}

int Tcp::connect(TimeNs now, ConnectionId id, const Endpoint& remote, bool reuse_address, bool reuse_port) {
  return impl_->connect(now, id, remote, reuse_address, reuse_port);
}

std::optional<ConnectionId> Tcp::accept(ConnectionId listener) {
  return impl_->accept(listener);
}

bool Tcp::wrote(TimeNs, ConnectionId id, uint32_t tx_written, uint32_t tx_base) {
  return impl_->wrote(id, tx_written, tx_base);
}

bool Tcp::urgent(ConnectionId id, uint32_t tx_urgent) {
  return impl_->urgent(id, tx_urgent);
}

bool Tcp::read(TimeNs now, ConnectionId id, uint32_t rx_read) {
  return impl_->read(now, id, rx_read);
}

int Tcp::shutdown_write(TimeNs, ConnectionId id) {
  return impl_->shutdown_write(id);
}

void Tcp::shutdown_read(ConnectionId id) {
  impl_->blocks[id].flags |= kReadOver;
}

int Tcp::disconnect(TimeNs now, ConnectionId id) {
  return impl_->disconnect(now, id);
}

void Tcp::close(TimeNs now, ConnectionId id, bool abort) {
  impl_->close(now, id, abort);
}

void Tcp::set_options(TimeNs now, ConnectionId id, const Options& options) {
  impl_->set_options(now, id, options);
}

const Options& Tcp::options(ConnectionId id) const {
  static constexpr Options kDefault;
  return impl_->blocks[id].has(kInUse) ? impl_->cold[id].options : kDefault;
}

bool Tcp::next_event(Event& event) {
  Impl& impl = *impl_;
  if (impl.events.empty()) return false;
  event.id = impl.events.head;
  impl.event_links.remove(impl.events, event.id);
  event.bits = std::exchange(impl.event_bits[event.id], 0);
  return true;
}

bool Tcp::has_events() const {
  return !impl_->events.empty();
}

uint32_t Tcp::rx_written(ConnectionId id) const {
  const ControlBlock& b = impl_->blocks[id];
  return b.has(kInUse) ? b.rx_written() : 0;
}

uint32_t Tcp::rx_base(ConnectionId id) const {
  const ControlBlock& b = impl_->blocks[id];
  return b.has(kInUse) ? b.rx_base - b.irs - 1 : 0;
}

uint32_t Tcp::tell_at(ConnectionId id) const {
  const ControlBlock& b = impl_->blocks[id];
  // A quarter of the window: often enough to keep it open, seldom enough to cost nothing.
  uint32_t step = std::max(b.rx_limit / 4, 1u);
  if (Impl::awaits_reader(b)) step = std::min(step, b.rcv_nxt - b.rx_read);
  return b.rx_read - b.irs - 1 + step;
}

uint32_t Tcp::tx_acked(ConnectionId id) const {
  const ControlBlock& b = impl_->blocks[id];
  return b.has(kInUse) ? b.tx_acked() : 0;
}

Tcp::Urgent Tcp::urgent(ConnectionId id) const {
  const ColdBlock& c = impl_->cold[id];
  return {c.urgent_count, c.urgent_position};
}

uint32_t Tcp::long_rings(ConnectionId id) const {
  return impl_->cold[id].long_rings;
}

uint32_t Tcp::receive_buffer(ConnectionId id) const {
  return impl_->blocks[id].rx_limit;
}

uint32_t Tcp::send_buffer(ConnectionId id) const {
  return impl_->blocks[id].tx_limit;
}

State Tcp::state(ConnectionId id) const {
  return impl_->blocks[id].state;
}

int Tcp::soft_error(ConnectionId id) const {
  return impl_->cold[id].soft_error;
}

int Tcp::error(ConnectionId id) const {
  return impl_->blocks[id].has(kInUse) ? impl_->cold[id].error : 0;
}

Endpoint Tcp::local(ConnectionId id) const {
  const ControlBlock& b = impl_->blocks[id];
  if (b.flow.local_port != 0) return {b.flow.local, b.flow.local_port};
  return b.has(kInUse) ? impl_->cold[id].bound : Endpoint{};
}

Endpoint Tcp::remote(ConnectionId id) const {
  const ControlBlock& b = impl_->blocks[id];
  return {b.flow.remote, b.flow.remote_port};
}

const Counters& Tcp::counters() const {
  return impl_->counters;
}

void Tcp::resume(TimeNs now) {
  impl_->resume(now);
}

}  // namespace skerry::tcp
