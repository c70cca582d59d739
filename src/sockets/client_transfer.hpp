// Where the bytes of one call come from or go to: the program's memory, a file, a pipe. They move while the
// socket's ring is locked, so nothing here waits for anybody but a disk.
//
// A source: left() bytes, of which fill() stores the first `bytes` into a ring from `place` on. A sink:
// left() bytes of room, of which drain() takes the first `bytes` from there. Both return how many it were, or
// -errno, or kPipeWaits.
#pragma once

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <array>

#include "sockets/client_pieces.hpp"
#include "sockets/client_system.hpp"

namespace skerry::sockets::client {

// The pipe has nothing, or no room, now. No errno, because that is not what the socket says.
inline constexpr ssize_t kPipeWaits = -4097;

// `bytes` bytes of a ring from `place` on.
inline std::array<iovec, 2> ring_pieces(uint8_t* ring, uint32_t capacity, uint32_t place, size_t bytes) {
  const size_t first = std::min<size_t>(bytes, capacity - place);
  return {{{ring + place, first}, {ring, bytes - first}}};
}

struct FromPieces {
  Pieces& pieces;

  size_t left() const { return pieces.left(); }
  bool is_at_end() const { return false; }
  ssize_t fill(uint8_t* ring, uint32_t capacity, uint32_t place, size_t bytes) {
    pieces.to_ring(ring, capacity, place, bytes);
    return static_cast<ssize_t>(bytes);
  }
};

struct FromFile {
  static constexpr size_t kBite = 128 << 10;  // so that the stack sends while we read on

  int file;
  off_t position;
  size_t bytes_left;

  size_t left() const { return bytes_left; }
  bool is_at_end() const {
    char byte;
    return system_call(SYS_pread64, file, word(&byte), 1, position) == 0;
  }
  ssize_t fill(uint8_t* ring, uint32_t capacity, uint32_t place, size_t bytes) {
    const auto pieces = ring_pieces(ring, capacity, place, std::min(bytes, kBite));
    const long got = system_call(SYS_preadv, file, word(pieces.data()), 2, position);
    if (got <= 0) return got;
    position += got;
    bytes_left -= static_cast<size_t>(got);
    return got;
  }
};

// vmsplice(2) is the read and the write of a pipe that never wait, whatever the pipe's own flags say. By one
// that is open for both (a FIFO) it always writes, so there what lies in it is read.
struct FromPipe {
  int pipe;
  size_t bytes_left;

  size_t left() const { return bytes_left; }
  bool is_at_end() const { return false; }
  ssize_t fill(uint8_t* ring, uint32_t capacity, uint32_t place, size_t bytes) {
    const bool writes = (system_call(SYS_fcntl, pipe, F_GETFL, 0) & O_ACCMODE) == O_RDWR;
    int there = 0;
    if (writes && (system_call(SYS_ioctl, pipe, FIONREAD, word(&there)) < 0 || there == 0)) return kPipeWaits;
    if (writes) bytes = std::min(bytes, static_cast<size_t>(there));
    const auto pieces = ring_pieces(ring, capacity, place, bytes);
    const long got = writes ? system_call(SYS_readv, pipe, word(pieces.data()), 2)
                            : system_call(SYS_vmsplice, pipe, word(pieces.data()), 2, SPLICE_F_NONBLOCK);
    if (got > 0) bytes_left -= static_cast<size_t>(got);
    return got == -EAGAIN ? kPipeWaits : got;
  }
};

struct IntoPieces {
  Pieces& pieces;
  bool skips;  // MSG_TRUNC of streams

  size_t left() const { return pieces.left(); }
  ssize_t drain(const uint8_t* ring, uint32_t capacity, uint32_t place, size_t bytes) {
    if (skips)
      pieces.skip(bytes);
    else
      pieces.from_ring(ring, capacity, place, bytes);
    return static_cast<ssize_t>(bytes);
  }
};

// The pipe may go on holding the pages after we have let go of them.
class IntoPipe {
 public:
  IntoPipe(int pipe, size_t bytes)
      : pipe_(pipe),
        bytes_(bytes),
        pages_(system_call(SYS_mmap, 0, static_cast<long>(bytes), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {}
  ~IntoPipe() {
    if (*this) system_call(SYS_munmap, pages_, static_cast<long>(bytes_));
  }
  IntoPipe(const IntoPipe&) = delete;
  IntoPipe& operator=(const IntoPipe&) = delete;
  explicit operator bool() const { return pages_ > 0 || pages_ < -4095; }

  size_t left() const { return bytes_; }
  ssize_t drain(const uint8_t* ring, uint32_t capacity, uint32_t place, size_t bytes) {
    if (bytes == 0) return 0;
    auto* const copy = reinterpret_cast<uint8_t*>(pages_);
    ring_load(copy, ring, capacity, place, static_cast<uint32_t>(bytes));
    const iovec piece{copy, bytes};
    const long moved = system_call(SYS_vmsplice, pipe_, word(&piece), 1, SPLICE_F_NONBLOCK);
    return moved == -EAGAIN ? kPipeWaits : moved;
  }

 private:
  int pipe_;
  size_t bytes_;
  long pages_;
};

}  // namespace skerry::sockets::client
