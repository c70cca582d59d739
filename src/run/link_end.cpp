#include "run/link_end.hpp"

namespace skerry {

Result<LinkDescriptors> take_link(Env& env, const std::string& end) {
  Result<Fd> region = env.take(end + ".region"), ring = env.take(end + ".ring"),
             wake = env.take(end + ".wake");
  for (const Result<Fd>* taken : {&region, &ring, &wake}) {
    if (!*taken) return taken->error();
  }
  return LinkDescriptors{std::move(*region), std::move(*ring), std::move(*wake)};
}

Result<ShmLink> open_link(LinkDescriptors descriptors, const nlohmann::json& settings,
                          const MacAddress& mac) {
  const std::string side = settings.value("side", "");
  if (side != "a" && side != "b")
    return Error{"the \"side\" of a link is \"a\" or \"b\", not \"" + side + "\""};
  Result<Region> region = Region::adopt(std::move(descriptors.region), ShmLink::region_bytes());
  if (!region) return region.error();
  LinkFacts facts;
  facts.mtu = settings.value("mtu", uint32_t{1500});
  const bool super_frames = settings.value("super_frames", true);
  facts.max_frame = super_frames ? kMaxFrame : facts.mtu + 14;
  facts.mac = mac;
  facts.takes_unfinished = super_frames;
  facts.segments_tcp4 = super_frames;
  return ShmLink::create(std::move(*region), side == "a" ? Side::kA : Side::kB, facts,
                         std::move(descriptors.ring), std::move(descriptors.wake));
}

Result<void> watch_link(Waiter& waiter, ShmLink& link) {
  return waiter.watch(link.wake_fd(), [&link](uint32_t) { link.drain(); });
}

}  // namespace skerry
