// ICMP: what parses is emitted as the same bytes; the embedded packet is read within bounds.
#include "base/check.hpp"
#include "exact_copy.hpp"
#include "wire/icmp.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace skerry;
  const ExactCopy input(data, size);
  const auto header = IcmpHeader::parse(input.bytes());
  if (!header) return 0;
  uint8_t again[IcmpHeader::kBytes];
  header->emit(again);
  CHECK(std::memcmp(again, input.bytes().data(), sizeof again) == 0);

  const auto embedded = IcmpEmbedded::parse(input.bytes().subspan(IcmpHeader::kBytes));
  if (embedded) CHECK(embedded->ip.header_bytes + IcmpHeader::kBytes + 8 <= size);
  return 0;
}
