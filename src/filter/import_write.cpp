// What a rule writes into packets, and which checksums change with it.
//
// Read first: nft_payload.c (nft_payload_set_init).
#include <cerrno>

#include "filter/import.hpp"

namespace skerry::filter {

bool Import::write_payload(const Nest& nest, Action& action) {
  using namespace nft;
  uint32_t base = 0, offset = 0, length = 0, sum_type = kSumNone, sum_offset = 0, sum_flags = 0;
  StorePayload store{};
  if (nest.has(kPayloadTo)) return reader_.refuse(nest.at, EINVAL, "payload is read or written, one of both");
  if (!reader_.need(nest, {kPayloadBase, kPayloadOffset, kPayloadLength}, "payload") ||
      !register_number(nest, kPayloadFrom, store.from) || !reader_.number(nest, kPayloadBase, base) ||
      !reader_.number(nest, kPayloadOffset, offset) || !reader_.number(nest, kPayloadLength, length) ||
      !reader_.number(nest, kPayloadSumType, sum_type) ||
      !reader_.number(nest, kPayloadSumOffset, sum_offset) ||
      !reader_.number(nest, kPayloadSumFlags, sum_flags))
    return false;
  if (base == static_cast<uint32_t>(HeaderBase::link))
    return reader_.refuse(nest[kPayloadBase].at, EOPNOTSUPP,
                          limits_.place == Place::vswitch
                              ? "a switch forwards link headers (ether) as they came: nothing can be written "
                                "there"
                              : "nobody would see what is written into the link header (ether): a stack "
                                "judges IP packets, before they have one on their way out");
  if (base != static_cast<uint32_t>(HeaderBase::network) &&
      base != static_cast<uint32_t>(HeaderBase::transport))
    return reader_.refuse(nest[kPayloadBase].at, EOPNOTSUPP,
                          "writing behind the transport header (@ih) is not supported");
  store.base = static_cast<HeaderBase>(base);
  if (length == 0 || length > kRegisters * 4 || offset > UINT8_MAX || sum_offset > UINT8_MAX)
    return reader_.refuse(nest[kPayloadLength].at, ERANGE, "this part of a header is too long or too far in");
  if (sum_flags > kSumTransport)
    return reader_.refuse(nest[kPayloadSumFlags].at, EINVAL, "a flag of a checksum is not known here");
  if (sum_type > kSumInternet)
    return reader_.refuse(nest[kPayloadSumType].at, EOPNOTSUPP,
                          "nothing can be written into SCTP: its checksum needs all of a packet");
  store.offset = static_cast<uint8_t>(offset);
  store.length = static_cast<uint8_t>(length);
  store.sums = sum_type == kSumInternet;
  store.sum_offset = static_cast<uint8_t>(sum_offset);
  store.sums_transport = sum_flags == kSumTransport;
  action = store;
  return true;
}

}  // namespace skerry::filter
