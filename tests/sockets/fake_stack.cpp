#include "fake_stack.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.hpp"
#include "base/ring_math.hpp"
#include "sockets/asked_calls.hpp"
#include "sockets/notes.hpp"

namespace skerry::sockets {
namespace {

Fd listen_at(const std::string& name) {
  Fd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  CHECK(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
  CHECK(::listen(listener.get(), 64) == 0);
  return listener;
}

}  // namespace

FakeStack::FakeStack(const std::string& name, const SessionSize& size, bool never_polls)
    : size_(size), never_polls_(never_polls), sockets_(size.sockets) {
  const uint64_t bytes = SessionView::region_bytes(size);
  Fd memory(::memfd_create("session", MFD_CLOEXEC));
  CHECK(::ftruncate(memory.get(), static_cast<off_t>(bytes)) == 0);
  void* mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memory.get(), 0);
  CHECK(mapped != MAP_FAILED);
  region_ = static_cast<uint8_t*>(mapped);
  view_ = SessionView(region_, size);
  view_.control().magic = kSessionMagic;
  view_.control().version = kSessionVersion;
  view_.control().address = 0x0a00'0002;
  view_.control().prefix_length = 24;
  view_.control().mtu = 1500;

  int ends[2], stop[2];
  CHECK(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0 && ::pipe2(stop, O_CLOEXEC | O_NONBLOCK) == 0);
  wake_.reset(ends[0]);
  stop_.reset(stop[1]);
  wakeups_ = std::make_unique<Wakeups>(view_);
  ids_ = std::make_unique<IndexPool>(size.sockets);
  Anchors::Handlers handlers;
  handlers.arrived = [](uint32_t) {};
  handlers.died = [this](uint32_t slot) {
    keep(slot, [](uint32_t) { return uint64_t{0}; });
    for (uint32_t fd = 0; fd < kMaxDescriptors; ++fd) view_.fds(slot)[fd].store(0);
    view_.process(slot).fd_limit.store(0);
    view_.process(slot).executing.store(0);
  };
  handlers.executed = [this](uint32_t slot) {
    keep(slot, [this, slot](uint32_t word) { return view_.kept(slot)[word].load(); });
  };
  handlers.forked = [this](uint32_t parent, uint32_t child) {
    for (uint32_t word = 0; word < size_.sockets / 64; ++word)
      view_.refs(child)[word].store(view_.refs(parent)[word].load());
    for (uint32_t word = 0; word < kMaxWaiters / 64; ++word)
      view_.process(child).sets[word].store(view_.process(parent).sets[word].load());
  };
  handlers.doorbell_made = [this](uint32_t waiter, Fd end) { wakeups_->set_pipe(waiter, std::move(end)); };
  handlers.carry = [this](uint32_t socket) {
    const bool usable = sockets_[socket].used && !sockets_[socket].orphan;
    sockets_[socket].carriers += usable;
    return usable;
  };
  handlers.claim = [this](uint32_t socket, uint32_t slot) {
    view_.refs(slot)[socket / 64].fetch_or(uint64_t{1} << (socket % 64));
  };
  handlers.put_down = [this](uint32_t socket) {
    --sockets_[socket].carriers;
    if (!is_held(socket)) release(socket, false);
  };
  Anchors::Descriptors descriptors;
  descriptors.region = std::move(memory);
  descriptors.listener = listen_at(name);
  descriptors.session_ring.reset(ends[1]);
  Result<Anchors> anchors = Anchors::create(view_, std::move(descriptors), std::move(handlers));
  CHECK(static_cast<bool>(anchors));
  anchors_ = std::make_unique<Anchors>(std::move(*anchors));
  stopped_.reset(stop[0]);
  thread_ = std::thread([this] { run(); });
}

FakeStack::~FakeStack() {
  stopping_ = true;
  const char byte = 1;
  CHECK(::write(stop_.get(), &byte, 1) == 1);
  thread_.join();
  ::munmap(region_, SessionView::region_bytes(size_));
}

// The process goes on with those of its references that it keeps.
void FakeStack::keep(uint32_t slot, const std::function<uint64_t(uint32_t word)>& kept) {
  for (uint32_t id = 0; id < size_.sockets; ++id) {
    const uint64_t bit = uint64_t{1} << (id % 64);
    if ((kept(id / 64) & bit) != 0) continue;
    const bool held = view_.refs(slot)[id / 64].fetch_and(~bit) & bit;
    if (held && sockets_[id].used && !is_held(id)) release(id, false);
  }
  std::vector<uint32_t> live;
  for (uint32_t other = 0; other < size_.processes; ++other)
    if (anchors_->is_live(other)) live.push_back(other);
  wakeups_->program_over(slot, live);
}

void FakeStack::run() {
  // A stack ignores what a bell without a reader raises; this one shares its process with the program's
  // tests.
  sigset_t pipes;
  ::sigemptyset(&pipes);
  ::sigaddset(&pipes, SIGPIPE);
  CHECK(::pthread_sigmask(SIG_BLOCK, &pipes, nullptr) == 0);
  while (!stopping_) {
    bool busy = breathe();
    for (int turn = 0; !busy && !never_polls_ && turn < 20; ++turn) {
      ::sched_yield();
      busy = breathe();
    }
    if (!busy) sleep();
  }
}

bool FakeStack::breathe() {
  anchors_->serve();
  bool busy = take_calls(view_, [&](uint32_t index) { serve_call(index); }) != 0;
  take_notes(view_.dirty(), view_.control().dirty_summary, size_.sockets, [&](uint32_t id) {
    look_at(id);
    busy = true;
  });
  finish_connects();
  wakeups_->ring();
  in_use_ = ids_->allocated();
  return busy;
}

void FakeStack::sleep() {
  view_.control().stack_armed.store(1);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!has_notes(view_.control().dirty_summary, size_.sockets) && !has_calls(view_)) {
    ++sleeps_;
    pollfd fds[] = {
        {wake_.get(), POLLIN, 0}, {anchors_->descriptor(), POLLIN, 0}, {stopped_.get(), POLLIN, 0}};
    ::poll(fds, 3, -1);
    char bytes[64];
    const ssize_t ignored = ::read(wake_.get(), bytes, sizeof bytes);
    static_cast<void>(ignored);
  }
  view_.control().stack_armed.store(0);
}

void FakeStack::look_at(uint32_t id) {
  Socket& socket = sockets_[id];
  if (!socket.used || socket.listening) return;
  if (!socket.stream) return pump_datagrams(id);
  pump_stream(id);
  if (socket.peer != kNoSocket) pump_stream(socket.peer);  // it may have waited for room here
  view_.out(id).rx_tell_at.store(view_.in(id).rx_read.load() + ring_bytes(id) / 4);
}

uint32_t FakeStack::rx_space(uint32_t id) const {
  return ring_bytes(id) - (sockets_[id].rx_written - view_.in(id).rx_read.load());
}

uint32_t FakeStack::ring_bytes(uint32_t id) const {
  return view_.out(id).long_rings.load() != 0 ? size_.long_bytes : size_.stream_bytes;
}

uint8_t* FakeStack::rx_ring(uint32_t id) const {
  const uint32_t pair = view_.out(id).long_rings.load();
  return pair != 0 ? view_.long_streams() + uint64_t{pair - 1} * 2 * size_.long_bytes : view_.rx(id);
}

void FakeStack::append(uint32_t id, const std::vector<uint8_t>& bytes) {
  Socket& socket = sockets_[id];
  if (rx_space(id) == ring_bytes(id)) {
    socket.rx_base = socket.rx_written;
    view_.out(id).rx_base.store(socket.rx_base);
  }
  const uint32_t place = (socket.rx_written - socket.rx_base) & (ring_bytes(id) - 1);
  ring_store(rx_ring(id), ring_bytes(id), place, bytes.data(), static_cast<uint32_t>(bytes.size()));
  socket.rx_written += static_cast<uint32_t>(bytes.size());
  view_.out(id).rx_written.store(socket.rx_written);
  wakeups_->touch_input(id);
}

void FakeStack::freed(uint32_t id, uint32_t taken) {
  sockets_[id].taken = taken;
  view_.out(id).tx_acked.store(taken);
  wakeups_->freed(id);
}

// Carries what `id` wrote to its peer, as far as there is room, and behind it the end of the stream.
void FakeStack::pump_stream(uint32_t id) {
  Socket& socket = sockets_[id];
  const uint32_t written = view_.in(id).tx_written.load();
  const uint32_t waiting = written - socket.taken;
  if (socket.peer == kNoSocket) {
    if (waiting != 0 && view_.out(id).status.load() & kConnected) fail(id, ECONNRESET);
    return;
  }
  if (waiting != 0 && sockets_[socket.peer].orphan) return fail(id, ECONNRESET);
  if (const uint32_t urgents = view_.in(id).tx_urgent_count.load(); urgents != socket.urgents) {
    socket.urgents = urgents;
    SocketOut& out = view_.out(socket.peer);
    out.urgent_position.store(view_.in(id).tx_urgent.load() - 1);
    out.urgent_count.fetch_add(1);
    wakeups_->urgent(socket.peer);
    wakeups_->touch(socket.peer);
  }
  const uint32_t bytes = std::min(waiting, rx_space(socket.peer));
  if (bytes != 0) {
    std::vector<uint8_t> copy(bytes);
    const uint32_t place = (socket.taken - view_.in(id).tx_base.load()) & (ring_bytes(id) - 1);
    ring_load(copy.data(), tx_ring(id), ring_bytes(id), place, bytes);
    append(socket.peer, copy);
    freed(id, socket.taken + bytes);
  }
  const bool over = socket.write_shut && socket.taken == written && !socket.fin_told;
  if (over) {
    socket.fin_told = true;
    set_status(socket.peer, kPeerClosed | (sockets_[socket.peer].write_shut ? uint32_t{kHungUp} : 0u));
    wakeups_->touch(socket.peer);
  }
  free_if_done(id);
}

void FakeStack::pump_datagrams(uint32_t id) {
  Socket& socket = sockets_[id];
  const uint32_t written = view_.in(id).tx_written.load();
  const uint32_t base = view_.in(id).tx_base.load();
  const uint32_t mask = size_.stream_bytes - 1;
  while (socket.taken != written) {
    DatagramHeader header;
    ring_load(reinterpret_cast<uint8_t*>(&header), view_.tx(id), size_.stream_bytes,
              (socket.taken - base) & mask, sizeof header);
    std::vector<uint8_t> record(datagram_bytes(header.payload_bytes));
    ring_load(record.data(), view_.tx(id), size_.stream_bytes, (socket.taken - base) & mask,
              static_cast<uint32_t>(record.size()));
    const Endpoint to = header.peer_port != 0 ? Endpoint{header.peer, header.peer_port} : socket.remote;
    if (socket.local.port == 0) socket.local.port = next_port_++;
    view_.names(id).local = socket.local;
    header.peer = header.local = IpAddress::v4(0x7f00'0001);
    header.peer_port = socket.local.port;
    std::memcpy(record.data(), &header, sizeof header);
    const std::optional<uint32_t> receiver = bound_to(to.port, false);
    if (receiver && rx_space(*receiver) >= record.size()) append(*receiver, record);
    if (!receiver && socket.remote.port != 0) {
      view_.out(id).error.store(ECONNREFUSED);
      wakeups_->touch(id);
    }
    freed(id, socket.taken + static_cast<uint32_t>(record.size()));
  }
}

}  // namespace skerry::sockets
