// Looks for an unfinished checksum in arbitrary bytes: nothing is read outside, and what it marks passes the
// bounds of claims.hpp and can be finished.
#include <memory>

#include "base/check.hpp"
#include "link/claims.hpp"
#include "link/segmentation.hpp"
#include "link/unfinished.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace skerry;
  if (size == 0 || size > kMaxFrame) return 0;
  // A heap block of exactly the frame's size, so that one byte beyond it is seen.
  const auto copy = std::make_unique<uint8_t[]>(size);
  std::memcpy(copy.get(), data, size);
  Frame frame = plain_frame(0, static_cast<uint32_t>(size), 0);
  if (!mark_unfinished_checksum(frame, {copy.get(), size})) {
    CHECK(frame.flags == 0 && frame.length == size);
    return 0;
  }
  CHECK(frame.length <= size && claims_hold(frame, kMaxFrame));
  finish_checksum(frame, {copy.get(), frame.length});
  CHECK(frame.flags == 0);
  return 0;
}
