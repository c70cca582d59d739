// The input in a heap block of exactly its size, so that AddressSanitizer sees a read of one byte too many.
#pragma once

#include <cstring>
#include <memory>

#include "base/bytes.hpp"

namespace skerry {

class ExactCopy {
 public:
  ExactCopy(const uint8_t* data, size_t size) : bytes_(new uint8_t[size]), size_(size) {
    if (size > 0) std::memcpy(bytes_.get(), data, size);
  }
  ConstBytes bytes() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<uint8_t[]> bytes_;
  size_t size_;
};

}  // namespace skerry
