#include "filter/netlink.hpp"

#include <bit>
#include <cerrno>
#include <cstring>

namespace skerry::filter {

namespace {

constexpr uint16_t kTypeMask = 0x3fff;  // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
constexpr size_t kHeadBytes = 4;

}  // namespace

bool Reader::refuse(uint32_t attribute, int error, std::string sentence) {
  if (!refusal_) refusal_ = Refusal{sequence_, attribute, error, std::move(sentence)};
  return false;
}

bool Reader::next(ConstBytes list, uint32_t at, size_t& position, Attribute& into) {
  if (refused() || position >= list.size()) return false;
  const ConstBytes rest = list.subspan(position);
  const auto here = at + static_cast<uint32_t>(position);
  uint16_t length = 0, type = 0;
  if (rest.size() < kHeadBytes) return refuse(here, EINVAL, "an attribute is cut off");
  std::memcpy(&length, rest.data(), sizeof length);
  std::memcpy(&type, rest.data() + 2, sizeof type);
  if (length < kHeadBytes || length > rest.size())
    return refuse(here, EINVAL, "an attribute is longer than its nest");
  into = {static_cast<uint16_t>(type & kTypeMask), rest.subspan(kHeadBytes, length - kHeadBytes), here};
  position += (size_t{length} + 3) & ~size_t{3};
  return true;
}

bool Reader::nest(ConstBytes bytes, uint32_t at, uint32_t known_types, Nest& into) {
  into.present_ = 0;
  into.at = at;
  size_t position = 0;
  Attribute attribute;
  while (next(bytes, at, position, attribute)) {
    if (attribute.type > 31 || (known_types >> attribute.type & 1) == 0)
      return refuse(attribute.at, EOPNOTSUPP,
                    "attribute " + std::to_string(attribute.type) + " is not known here");
    if (into.has(attribute.type)) return refuse(attribute.at, EINVAL, "an attribute is there twice");
    into.present_ |= 1U << attribute.type;
    into.slots_[attribute.type] = {attribute.bytes.data(), static_cast<uint32_t>(attribute.bytes.size()),
                                   attribute.at};
  }
  return !refused();
}

bool Reader::nest(const Attribute& parent, uint32_t known_types, Nest& into) {
  const bool sound = nest(parent.bytes, parent.at + static_cast<uint32_t>(kHeadBytes), known_types, into);
  into.at = parent.at;
  return sound;
}

bool Reader::only(const Nest& nest, uint32_t known_types, const char* of) {
  const uint32_t unknown = nest.present_ & ~known_types;
  if (unknown == 0) return !refused();
  const auto type = static_cast<uint16_t>(std::countr_zero(unknown));
  return refuse(nest[type].at, EOPNOTSUPP,
                "attribute " + std::to_string(type) + " of " + of + " is not supported here");
}

bool Reader::need(const Nest& nest, std::initializer_list<uint16_t> types, const char* of) {
  for (const uint16_t type : types) {
    if (!nest.has(type))
      return refuse(nest.at, EINVAL, std::string(of) + " lacks its attribute " + std::to_string(type));
  }
  return !refused();
}

bool Reader::number(const Nest& nest, uint16_t type, uint32_t& value) {
  if (refused() || !nest.has(type)) return !refused();
  if (nest[type].bytes.size() != 4) return refuse(nest[type].at, EINVAL, "a number does not have 32 bits");
  value = load_be32(nest[type].bytes.data());
  return true;
}

bool Reader::number(const Nest& nest, uint16_t type, uint64_t& value) {
  if (refused() || !nest.has(type)) return !refused();
  if (nest[type].bytes.size() != 8) return refuse(nest[type].at, EINVAL, "a number does not have 64 bits");
  value = load_be64(nest[type].bytes.data());
  return true;
}

bool Reader::text(const Nest& nest, uint16_t type, std::string& value, size_t most) {
  if (refused() || !nest.has(type)) return !refused();
  ConstBytes bytes = nest[type].bytes;
  if (!bytes.empty() && bytes.back() == 0) bytes = bytes.first(bytes.size() - 1);
  if (bytes.size() > most) return refuse(nest[type].at, ENAMETOOLONG, "a name is too long");
  for (const uint8_t byte : bytes) {
    if (byte < 0x20 || byte > 0x7e)
      return refuse(nest[type].at, EINVAL, "a name holds a byte that cannot be printed");
  }
  value.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return true;
}

}  // namespace skerry::filter
