// TCP: a header that parses, emitted and parsed again, is the same value, except that SACK blocks may not all
// fit once options are laid out in our way.
#include "base/check.hpp"
#include "exact_copy.hpp"
#include "wire/tcp.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace skerry;
  const ExactCopy input(data, size);
  auto header = TcpHeader::parse(input.bytes());
  if (!header) return 0;
  CHECK(header->header_bytes <= size);
  CHECK(header->options.sack_count <= TcpOptions::kMaxSackBlocks);

  const size_t length = header->emitted_bytes();
  CHECK(length <= TcpHeader::kMaxBytes && length % 4 == 0);
  const std::unique_ptr<uint8_t[]> bytes(new uint8_t[length]);
  header->emit(bytes.get());
  auto again = TcpHeader::parse({bytes.get(), length});
  CHECK(again && again->header_bytes == length);
  CHECK(again->options.sack_count <= header->options.sack_count);
  for (size_t i = 0; i < again->options.sack_count; ++i)
    CHECK(again->options.sack[i] == header->options.sack[i]);
  again->header_bytes = header->header_bytes;
  again->options.sack = header->options.sack;
  again->options.sack_count = header->options.sack_count;
  CHECK(*again == *header);
  return 0;
}
