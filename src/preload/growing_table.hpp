// Places that never move, as many as are asked for. The first lie here and more in pages of their own,
// because nothing in this library may call malloc; a place that is free again is used again. A place of zeros
// is free.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <new>

#include "sockets/client_system.hpp"

namespace skerry::preload {

template <class Place>
class GrowingTable {
 public:
  // The first place that `is_it` says yes to; null: none.
  template <class Question>
  Place* find(const Question& is_it) {
    for (Chunk* chunk = &first_; chunk != nullptr; chunk = chunk->next.load(std::memory_order_acquire))
      for (Place& place : chunk->places)
        if (is_it(place)) return &place;
    return nullptr;
  }

  // The same, and new places until it does; null: there is no memory.
  template <class Question>
  Place* claim(const Question& takes) {
    for (Chunk* chunk = &first_; chunk != nullptr; chunk = behind(*chunk))
      for (Place& place : chunk->places)
        if (takes(place)) return &place;
    return nullptr;
  }

 private:
  static constexpr size_t kPlaces = 64;
  struct Chunk {
    Place places[kPlaces];
    std::atomic<Chunk*> next;
  };

  static Chunk* behind(Chunk& chunk) {
    namespace client = sockets::client;
    Chunk* next = chunk.next.load(std::memory_order_acquire);
    if (next != nullptr) return next;
    const long mapped = client::system_call(SYS_mmap, 0, sizeof(Chunk), PROT_READ | PROT_WRITE,
                                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped < 0 && mapped > -4096) return nullptr;
    auto* const made = new (reinterpret_cast<void*>(mapped)) Chunk{};
    if (chunk.next.compare_exchange_strong(next, made)) return made;
    client::system_call(SYS_munmap, mapped, sizeof(Chunk));  // another thread was first
    return next;
  }

  Chunk first_ = {};
};

}  // namespace skerry::preload
