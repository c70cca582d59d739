// Elements of concatenated ranges that the kernel would not take into a set together. The engine would: it
// takes the first that a key is in. So this is for whoever writes rules, and stands beside the compiler.
//
// Read first: nft_set_pipapo.c (nft_pipapo_insert), which looks for the first and the last key of an element
// among those before it, and lets pass what encloses one.
#pragma once

#include "filter/load.hpp"

namespace skerry::filter {

// EEXIST, with the place of the first set that has such elements.
std::optional<Refusal> find_range_overlaps(const Ruleset& ruleset);

}  // namespace skerry::filter
