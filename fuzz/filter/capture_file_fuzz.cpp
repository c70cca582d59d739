// Captures that anybody wrote: packets lie within the file, or the file is refused.
#include "base/check.hpp"
#include "ctl/capture_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace skerry;
  const std::vector<uint8_t> file(data, data + size);
  const auto packets = ctl::read_capture(file);
  if (!packets) return 0;
  for (const ctl::CapturedPacket& packet : *packets)
    CHECK(packet.bytes.data() >= file.data() &&
          packet.bytes.data() + packet.bytes.size() <= file.data() + file.size());
  return 0;
}
