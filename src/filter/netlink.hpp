// Netlink messages and attributes as they come from a stranger: each length is checked before what it spans
// is looked at, an attribute that nobody asked for refuses the batch.
//
// Read first: RFC 3549 section 2.3.2 and libnl's description of attributes; numbers inside are big-endian.
//
// Invariant: after the first refusal no later one replaces it, so a person reads the cause and not what
// follows.
#pragma once

#include <array>
#include <initializer_list>
#include <optional>
#include <string>

#include "filter/load.hpp"

namespace skerry::filter {

struct Attribute {
  uint16_t type = 0;
  ConstBytes bytes;
  uint32_t at = 0;  // from the message's head to the attribute
};

// The attributes of one nest, by type. Types from 1 to 31.
class Nest {
 public:
  bool has(uint16_t type) const { return present_ >> type & 1; }
  Attribute operator[](uint16_t type) const {
    if (!has(type)) return {};
    const Slot& slot = slots_[type];
    return {type, {slot.begin, slot.length}, slot.at};
  }
  uint32_t at = 0;  // of the nest itself

 private:
  friend class Reader;
  struct Slot {
    const uint8_t* begin;
    uint32_t length, at;
  };
  uint32_t present_ = 0;
  // Only those that are there are ever written: of a large ruleset's time, clearing all was a third.
  std::array<Slot, 32> slots_;
};

constexpr uint32_t known(std::initializer_list<uint16_t> types) {
  uint32_t mask = 0;
  for (const uint16_t type : types) mask |= 1U << type;
  return mask;
}

class Reader {
 public:
  // All return false if they refused. `error` is the errno that the kernel gives for it.
  bool refuse(uint32_t attribute, int error, std::string sentence);
  bool refused() const { return refusal_.has_value(); }
  const std::optional<Refusal>& refusal() const { return refusal_; }
  void begin_message(uint32_t sequence) { sequence_ = sequence; }
  Origin origin(uint32_t attribute) const { return {sequence_, attribute}; }

  // Attributes of `bytes`, whose first byte is `at` bytes behind the message's head. Types outside of
  // `known_types`, and the same type twice, refuse.
  bool nest(ConstBytes bytes, uint32_t at, uint32_t known_types, Nest& into);
  bool nest(const Attribute& parent, uint32_t known_types, Nest& into);
  // The next attribute of a list; false at its end or if it refused.
  bool next(ConstBytes list, uint32_t at, size_t& position, Attribute& into);
  bool only(const Nest& nest, uint32_t known_types, const char* of);
  bool need(const Nest& nest, std::initializer_list<uint16_t> types, const char* of);

  // An attribute that is absent leaves the value as it is.
  bool number(const Nest& nest, uint16_t type, uint32_t& value);
  bool number(const Nest& nest, uint16_t type, uint64_t& value);
  // At most `most` characters, all printable; the NUL at the end may be missing.
  bool text(const Nest& nest, uint16_t type, std::string& value, size_t most = 255);

 private:
  std::optional<Refusal> refusal_;
  uint32_t sequence_ = 0;
};

}  // namespace skerry::filter
