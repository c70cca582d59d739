// UDP: what parses is emitted as the same bytes, and a checksum that we finish is intact.
#include "base/check.hpp"
#include "exact_copy.hpp"
#include "wire/checksum.hpp"
#include "wire/udp.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace skerry;
  const ExactCopy input(data, size);
  auto header = UdpHeader::parse(input.bytes());
  if (!header) return 0;
  uint8_t bytes[UdpHeader::kBytes];
  header->emit(bytes);
  CHECK(std::memcmp(bytes, input.bytes().data(), sizeof bytes) == 0);

  const ConstBytes payload = input.bytes().subspan(UdpHeader::kBytes);
  const uint16_t length = static_cast<uint16_t>(size);
  header->checksum = 0;
  header->emit(bytes);
  InternetChecksum sum = ipv4_pseudo_header(0x7f000001, 0x0a000002, 17, length);
  sum.add(bytes);
  sum.add(payload);
  header->checksum = sum.finish();
  header->emit(bytes);
  InternetChecksum check = ipv4_pseudo_header(0x7f000001, 0x0a000002, 17, length);
  check.add(bytes);
  check.add(payload);
  CHECK(check.intact());
  return 0;
}
