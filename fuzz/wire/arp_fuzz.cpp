// Ethernet and ARP: what parses is emitted as the same bytes.
#include "base/check.hpp"
#include "exact_copy.hpp"
#include "wire/arp.hpp"
#include "wire/ethernet.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace skerry;
  const ExactCopy input(data, size);
  const auto ethernet = EthernetHeader::parse(input.bytes());
  if (!ethernet) return 0;
  uint8_t ethernet_again[EthernetHeader::kBytes];
  ethernet->emit(ethernet_again);
  CHECK(std::memcmp(ethernet_again, input.bytes().data(), sizeof ethernet_again) == 0);

  const ConstBytes packet = input.bytes().subspan(EthernetHeader::kBytes);
  const auto arp = ArpPacket::parse(packet);
  if (!arp) return 0;
  uint8_t arp_again[ArpPacket::kBytes];
  arp->emit(arp_again);
  CHECK(std::memcmp(arp_again, packet.data(), sizeof arp_again) == 0);
  return 0;
}
