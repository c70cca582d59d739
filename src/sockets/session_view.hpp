// Where each word of a session lies in its region. Read first: session.hpp.
#pragma once

#include <atomic>
#include <cstdint>

#include "sockets/session_call.hpp"
#include "sockets/session_epoll.hpp"

namespace skerry::sockets {

// Where everything lies in the region. Indices must have been checked against size().
class SessionView {
 public:
  SessionView() = default;
  SessionView(uint8_t* base, const SessionSize& size)
      : base_(base),
        size_(size),
        out_(at<SocketOut>(out_offset(size))),
        in_(at<SocketIn>(in_offset(size))),
        names_(at<SocketNames>(names_offset(size))),
        calls_(at<Call>(calls_offset(size))),
        waiters_(base + waiters_offset(size)),
        waiter_bytes_(waiter_bytes(size)),
        interests_(at<Interest>(interests_offset(size))),
        epoll_sets_(base + epoll_sets_offset(size)),
        extra_interests_(at<ExtraInterest>(extra_interests_offset(size))),
        waiter_owners_(at<std::atomic<uint32_t>>(waiter_owners_offset(size))),
        process_ids_(at<std::atomic<uint32_t>>(process_ids_offset(size))),
        processes_(base + processes_offset(size)),
        process_bytes_(process_bytes(size)),
        streams_(base + streams_offset(size)) {}

  static uint64_t region_bytes(const SessionSize& size) {
    return long_streams_offset(size) + uint64_t{size.long_rings} * 2 * size.long_bytes;
  }

  const SessionSize& size() const { return size_; }
  Control& control() const { return *at<Control>(0); }
  // Bit i: socket i was written, read past rx_tell_at, or otherwise wants the stack's attention.
  std::atomic<uint64_t>* dirty() const { return at<std::atomic<uint64_t>>(dirty_offset()); }
  SocketOut& out(uint32_t socket) const { return out_[socket]; }
  SocketIn& in(uint32_t socket) const { return in_[socket]; }
  SocketNames& names(uint32_t socket) const { return names_[socket]; }
  Call& call(uint32_t index) const { return calls_[index]; }
  Waiter& waiter(uint32_t index) const {
    return *reinterpret_cast<Waiter*>(waiters_ + index * waiter_bytes_);
  }
  // Bit i of a waiter: something happened to socket i since the bit was taken.
  std::atomic<uint64_t>* ready(uint32_t waiter) const {
    return reinterpret_cast<std::atomic<uint64_t>*>(&this->waiter(waiter) + 1);
  }
  Interest& interest(uint32_t waiter, uint32_t socket) const {
    return interests_[uint64_t{waiter} * size_.sockets + socket];
  }
  EpollSet& epoll_set(uint32_t waiter) const {
    return *reinterpret_cast<EpollSet*>(epoll_sets_ + waiter * pages(sizeof(EpollSet)));
  }
  ExtraInterest* extra_interests() const { return extra_interests_; }  // kMaxExtraInterests
  std::atomic<uint32_t>* waiter_owners() const { return waiter_owners_; }
  std::atomic<uint32_t>* process_ids() const { return process_ids_; }
  Process& process(uint32_t slot) const {
    return *reinterpret_cast<Process*>(processes_ + slot * process_bytes_);
  }
  std::atomic<uint64_t>* refs(uint32_t slot) const {
    return reinterpret_cast<std::atomic<uint64_t>*>(&process(slot) + 1);
  }
  std::atomic<uint64_t>* kept(uint32_t slot) const { return refs(slot) + size_.sockets / 64; }
  std::atomic<uint32_t>* fds(uint32_t slot) const {
    return reinterpret_cast<std::atomic<uint32_t>*>(kept(slot) + size_.sockets / 64);
  }
  uint8_t* rx(uint32_t socket) const { return streams_ + uint64_t{socket} * 2 * size_.stream_bytes; }
  uint8_t* tx(uint32_t socket) const { return rx(socket) + size_.stream_bytes; }
  uint8_t* streams() const { return streams_; }
  // The long rings: pair after pair, rx first.
  uint8_t* long_streams() const { return base_ + long_streams_offset(size_); }

 private:
  template <class T>
  T* at(uint64_t offset) const {
    return reinterpret_cast<T*>(base_ + offset);
  }
  static constexpr uint64_t pages(uint64_t bytes) { return (bytes + 4095) & ~uint64_t{4095}; }
  static constexpr uint64_t lines(uint64_t bytes) { return (bytes + 63) & ~uint64_t{63}; }

  static constexpr uint64_t dirty_offset() { return pages(sizeof(Control)); }
  static uint64_t out_offset(const SessionSize& s) { return dirty_offset() + pages(s.sockets / 8); }
  static uint64_t in_offset(const SessionSize& s) {
    return out_offset(s) + pages(s.sockets * sizeof(SocketOut));
  }
  static uint64_t names_offset(const SessionSize& s) {
    return in_offset(s) + pages(s.sockets * sizeof(SocketIn));
  }
  static uint64_t calls_offset(const SessionSize& s) {
    return names_offset(s) + pages(s.sockets * sizeof(SocketNames));
  }
  static uint64_t waiters_offset(const SessionSize& s) {
    return calls_offset(s) + pages(s.calls * sizeof(Call));
  }
  static uint64_t waiter_bytes(const SessionSize& s) { return lines(sizeof(Waiter) + s.sockets / 8); }
  static uint64_t interests_offset(const SessionSize& s) {
    return waiters_offset(s) + pages(s.waiters * waiter_bytes(s));
  }
  static uint64_t epoll_sets_offset(const SessionSize& s) {
    return interests_offset(s) + pages(uint64_t{s.waiters} * s.sockets * sizeof(Interest));
  }
  static uint64_t extra_interests_offset(const SessionSize& s) {
    return epoll_sets_offset(s) + s.waiters * pages(sizeof(EpollSet));
  }
  static uint64_t waiter_owners_offset(const SessionSize& s) {
    return extra_interests_offset(s) + pages(kMaxExtraInterests * sizeof(ExtraInterest));
  }
  static uint64_t process_ids_offset(const SessionSize& s) {
    return waiter_owners_offset(s) + pages(s.waiters * 4);
  }
  static uint64_t processes_offset(const SessionSize& s) {
    return process_ids_offset(s) + pages(s.processes * 4);
  }
  static uint64_t process_bytes(const SessionSize& s) {
    return pages(sizeof(Process) + 2 * (s.sockets / 8) + uint64_t{kMaxDescriptors} * 4);
  }
  static uint64_t streams_offset(const SessionSize& s) {
    return processes_offset(s) + s.processes * process_bytes(s);
  }

  static uint64_t long_streams_offset(const SessionSize& s) {
    return streams_offset(s) + uint64_t{s.sockets} * 2 * s.stream_bytes;
  }

  // Where each part begins, computed once: some of it is asked for at every call and event.
  uint8_t* base_ = nullptr;
  SessionSize size_;
  SocketOut* out_ = nullptr;
  SocketIn* in_ = nullptr;
  SocketNames* names_ = nullptr;
  Call* calls_ = nullptr;
  uint8_t* waiters_ = nullptr;
  uint64_t waiter_bytes_ = 0;
  Interest* interests_ = nullptr;
  uint8_t* epoll_sets_ = nullptr;
  ExtraInterest* extra_interests_ = nullptr;
  std::atomic<uint32_t>* waiter_owners_ = nullptr;
  std::atomic<uint32_t>* process_ids_ = nullptr;
  uint8_t* processes_ = nullptr;
  uint64_t process_bytes_ = 0;
  uint8_t* streams_ = nullptr;
};

}  // namespace skerry::sockets
