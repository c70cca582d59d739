// Numbers that a rule makes itself: one after the other, drawn, or from what is in registers.
//
// Read first: nft_numgen.c and nft_hash.c, the init functions.
#include <cerrno>

#include "filter/import.hpp"

namespace skerry::filter {

bool Import::number_range(const Nest& nest, uint16_t modulus, uint16_t offset, NumberRange& range) {
  if (!reader_.number(nest, modulus, range.modulus) || !reader_.number(nest, offset, range.offset))
    return false;
  if (range.modulus == 0) return reader_.refuse(nest[modulus].at, ERANGE, "mod 0 leaves no number");
  if (range.offset + range.modulus - 1 < range.offset)
    return reader_.refuse(nest[offset].at, EOVERFLOW, "offset and mod together are more than 32 bits");
  return true;
}

bool Import::numgen(uint32_t, const Nest& nest, Action& action) {
  using namespace nft;
  uint32_t type = 0;
  NextNumber next{};
  if (!reader_.need(nest, {kNumgenTo, kNumgenModulus, kNumgenType}, "numgen") ||
      !register_number(nest, kNumgenTo, next.to) || !reader_.number(nest, kNumgenType, type) ||
      !number_range(nest, kNumgenModulus, kNumgenOffset, next.range))
    return false;
  if (type > 1) return reader_.refuse(nest[kNumgenType].at, EINVAL, "numbers are inc or random");
  next.random = type == 1;
  next.state = ruleset_.number_states++;
  action = next;
  return true;
}

bool Import::hash(uint32_t, const Nest& nest, Action& action) {
  using namespace nft;
  constexpr uint32_t kJenkins = 0, kSymmetric = 1;
  uint32_t type = kJenkins, length = 0;
  if (!reader_.need(nest, {kHashTo, kHashModulus}, "hash") || !reader_.number(nest, kHashType, type))
    return false;
  if (type == kSymmetric) {
    HashFlow flow{};
    if (!reader_.only(nest, known({kHashTo, kHashModulus, kHashOffset, kHashType}), "symhash") ||
        !register_number(nest, kHashTo, flow.to) ||
        !number_range(nest, kHashModulus, kHashOffset, flow.range))
      return false;
    action = flow;
    return true;
  }
  if (type != kJenkins) return reader_.refuse(nest[kHashType].at, EOPNOTSUPP, "there is no such hash");
  HashRegisters hash{};
  hash.state = kNone;
  if (!reader_.need(nest, {kHashFrom, kHashLength}, "jhash") ||
      !register_number(nest, kHashFrom, hash.from) || !register_number(nest, kHashTo, hash.to) ||
      !reader_.number(nest, kHashLength, length) || !reader_.number(nest, kHashSeed, hash.seed) ||
      !number_range(nest, kHashModulus, kHashOffset, hash.range))
    return false;
  if (length == 0 || length > kRegisters * 4)
    return reader_.refuse(nest[kHashLength].at, ERANGE, "jhash takes 1 to 64 bytes");
  hash.length = static_cast<uint8_t>(length);
  if (!nest.has(kHashSeed)) hash.state = ruleset_.number_states++;
  action = hash;
  return true;
}

}  // namespace skerry::filter
