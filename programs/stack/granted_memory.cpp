#include "granted_memory.hpp"

#include <errno.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

namespace skerry {
namespace {

// Rings for long paths: what Linux gives one connection at most (tcp_rmem[2], 6 MiB with what the kernel
// needs around the data), to as many as one program may be expected to have busy at once.
constexpr uint32_t kLongRings = 64;
constexpr uint32_t kLongBytes = 4 << 20;

Result<Bytes> map_region(const Fd& memory, size_t needed, const char* what) {
  struct stat facts;
  if (::fstat(memory.get(), &facts) < 0 || static_cast<uint64_t>(facts.st_size) < needed) {
    return Error{fmt::format("the {} is smaller than the {} bytes that the settings need", what, needed)};
  }
  void* at = ::mmap(nullptr, needed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memory.get(), 0);
  if (at == MAP_FAILED) return Error{fmt::format("cannot map the {}", what), errno};
  return Bytes(static_cast<uint8_t*>(at), needed);
}

sockets::SessionSize session_size(const StackSettings& settings) {
  sockets::SessionSize size;
  size.sockets = settings.sockets;
  size.stream_bytes = settings.stream_bytes;
  if (settings.stream_bytes < kLongBytes) {
    size.long_rings = kLongRings;
    size.long_bytes = kLongBytes;
  }
  return size;
}

}  // namespace

Result<GrantedMemory> GrantedMemory::map(const Fd& arena, const Fd& session, const StackSettings& settings) {
  const Result<Bytes> state = map_region(arena, tcp::Tcp::arena_bytes(limits(settings)), "arena");
  if (!state) return state.error();
  const sockets::SessionSize size = session_size(settings);
  const Result<Bytes> shared =
      map_region(session, sockets::SessionView::region_bytes(size), "session region");
  if (!shared) return shared.error();
  return GrantedMemory{*state, sockets::SessionView(shared->data(), size)};
}

tcp::Limits limits(const StackSettings& settings) {
  return {.connections = settings.sockets};
}

tcp::Streams streams_of(const sockets::SessionView& view) {
  const uint32_t bytes = view.size().stream_bytes;
  return {.base = view.streams(),
          .stride = 2 * uint64_t{bytes},
          .rx_offset = 0,
          .tx_offset = bytes,
          .stream_bytes = bytes,
          .long_base = view.long_streams(),
          .long_rings = view.size().long_rings,
          .long_bytes = view.size().long_bytes};
}

}  // namespace skerry
