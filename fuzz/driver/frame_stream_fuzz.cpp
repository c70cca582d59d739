// The framing of the stream to passt: whatever bytes come in whatever pieces, a lent frame lies whole in the
// memory, frames come out as they went in, and the same bytes cut otherwise give the same frames.
//
// Input: a byte that says how the rest is cut into pieces and how long frames are kept, then the stream.
#include "driver/user/frame_stream.hpp"
#include "driver/user/reset.hpp"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <vector>

namespace {

using skerry::FrameStream;

// What the stream holds, read in the plainest way.
std::vector<std::vector<uint8_t>> expected(const uint8_t* data, size_t size, bool& broken) {
  std::vector<std::vector<uint8_t>> frames;
  for (size_t at = 0; size - at >= FrameStream::kLengthBytes;) {
    const uint32_t length = skerry::load_be32(data + at);
    broken = length < FrameStream::kMinFrame || length > FrameStream::kMaxFrame;
    at += FrameStream::kLengthBytes;
    if (broken || size - at < length) break;
    frames.emplace_back(data + at, data + at + length);
    at += length;
  }
  return frames;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t piece = 1 + (data[0] & 0x1f) * 7, keep = data[0] >> 5;
  ++data;
  --size;
  bool should_break = false;
  const auto frames = expected(data, size, should_break);

  FrameStream stream;
  std::deque<FrameStream::Piece> lent;
  size_t seen = 0, checked = 0;
  const auto take_back = [&] {
    const FrameStream::Piece& oldest = lent.front();
    const auto& frame = frames.at(checked++);
    if (!std::equal(frame.begin(), frame.end(), stream.at(oldest.at))) std::abort();
    stream.give_back();
    lent.pop_front();
  };
  for (size_t at = 0; at < size;) {
    const skerry::Bytes room = stream.room();
    const size_t bytes = std::min({piece, size - at, room.size()});
    if (bytes == 0 && lent.empty()) std::abort();  // stuck
    std::copy(data + at, data + at + bytes, room.begin());
    stream.filled(bytes);
    at += bytes;
    while (const auto next = stream.next()) {
      if (seen == frames.size() || next->length != frames[seen].size()) std::abort();
      if (next->at + next->length > FrameStream::kCapacity) std::abort();
      ++seen;
      lent.push_back(*next);
      std::vector<uint8_t> frame(stream.at(next->at), stream.at(next->at) + next->length);
      skerry::complete_reset(frame);  // writes nowhere else
    }
    while (lent.size() > keep || (bytes == 0 && !lent.empty())) take_back();
    if (stream.broken()) break;
  }
  while (!lent.empty()) take_back();
  if (seen != frames.size() || stream.broken() != should_break) std::abort();
  return 0;
}
