// IPv4: what parses, options left out, survives being emitted and parsed; what we emit has a right checksum.
#include "base/check.hpp"
#include "exact_copy.hpp"
#include "wire/ipv4.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace skerry;
  const ExactCopy input(data, size);
  auto header = Ipv4Header::parse(input.bytes());
  if (!header) return 0;
  CHECK(header->header_bytes <= size && header->header_bytes <= header->total_bytes);
  Ipv4Header::checksum_intact(input.bytes());

  uint8_t bytes[Ipv4Header::kMinBytes];
  header->emit(bytes);
  CHECK(Ipv4Header::checksum_intact(bytes));
  const auto again = Ipv4Header::parse(bytes);
  header->header_bytes = Ipv4Header::kMinBytes;
  header->source_route = false;
  CHECK(again && *again == *header);
  return 0;
}
