// SipHash-2-4 (Aumasson and Bernstein 2012): the keyed hash for tables and sequence numbers that strangers
// could otherwise predict or flood.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.hpp"

namespace skerry {

using SipKey = std::array<uint64_t, 2>;

uint64_t siphash24(const SipKey& key, ConstBytes data);

}  // namespace skerry
