// How a process comes by its end of a link: three descriptors under the end's name (the region, the write end
// that rings the neighbour, the read end that wakes us) and settings that say which side it is.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/result.hpp"
#include "link/shm_link.hpp"
#include "run/env.hpp"
#include "run/waiter.hpp"

namespace skerry {

// In the order in which they also travel beside a control request.
struct LinkDescriptors {
  Fd region;
  Fd ring;
  Fd wake;
};

// END.region, END.ring and END.wake.
Result<LinkDescriptors> take_link(Env& env, const std::string& end);

// Settings: "side" ("a" or "b") and, if it is not 1500, "mtu". The link takes super-frames and open
// checksums, and vouches for nothing: what it brings may have come over a wire. Throws what nlohmann::json
// throws at a member of the wrong type.
Result<ShmLink> open_link(LinkDescriptors descriptors, const nlohmann::json& settings,
                          const MacAddress& mac = {});

// The neighbour's ring ends our sleep. The link stays where it is until it is unwatched.
Result<void> watch_link(Waiter& waiter, ShmLink& link);

}  // namespace skerry
