// Region: memory shared with one neighbour. A memfd of fixed size whose seals forbid to shrink it (a mapping
// that loses its pages is a SIGBUS), to grow it, and to add further seals. The creator hands the descriptor
// to both neighbours; each adopts it, which trusts nothing: seals and size are looked at before mapping. What
// the bytes say is another matter: they are the neighbour's to write at any time.
//
// Read first: memfd_create(2), fcntl(2) on file seals.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/fd.hpp"
#include "base/result.hpp"

namespace skerry {

class Region {
 public:
  // A new region, all zero, mapped; `name` is what /proc/PID/maps shows. `bytes` is rounded up to whole
  // pages.
  static Result<Region> create(const char* name, size_t bytes);

  // Maps a region that somebody else created. Refuses one whose size is not `bytes` rounded up to pages, or
  // that could change its size under us.
  static Result<Region> adopt(Fd fd, size_t bytes);

  Region(Region&& other) noexcept;
  Region& operator=(Region&& other) noexcept;
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;
  ~Region();

  std::byte* data() const { return data_; }  // page-aligned
  size_t bytes() const { return bytes_; }    // whole pages
  int fd() const { return fd_.get(); }       // to hand to the neighbour; still ours

 private:
  Region(Fd fd, std::byte* data, size_t bytes) : fd_(std::move(fd)), data_(data), bytes_(bytes) {}
  void unmap();

  Fd fd_;
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace skerry
