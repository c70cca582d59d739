#include "filter/expectations.hpp"

namespace skerry::filter {

namespace {

constexpr uint32_t kNobody = UINT32_MAX;

}  // namespace

Expectations::Expectations(const SipKey& secret, uint32_t most_flows)
    : secret_(secret), helped_(new Helped[most_flows]), buckets_(kBuckets, kNobody) {}

void Expectations::begin(uint32_t flow) {
  helped_[flow] = {};
}

bool Expectations::expect(uint32_t flow, Tuple first, const How& how, TimeNs now) {
  first.source_port = {};
  const uint32_t other = find(first);
  if (other != kNobody && other != flow) {
    if (helped_[other].until > now) return false;
    forget(other);
  }
  Helped& helped = helped_[flow];
  forget(flow);
  helped.expects = true;
  helped.how = how;
  helped.first = first;
  helped.until = now + kLifetime;
  helped.bucket = bucket_of(first);
  helped.next = buckets_[helped.bucket];
  buckets_[helped.bucket] = flow;
  ++waiting_;
  return true;
}

std::optional<Expectations::Expected> Expectations::take(const Tuple& first, TimeNs now) {
  Tuple wanted = first;
  wanted.source_port = {};
  const uint32_t flow = find(wanted);
  if (flow == kNobody) return std::nullopt;
  forget(flow);
  if (helped_[flow].until <= now) return std::nullopt;
  return Expected{flow, helped_[flow].how};
}

uint32_t Expectations::bucket_of(const Tuple& first) const {
  return static_cast<uint32_t>(siphash24(secret_, {reinterpret_cast<const uint8_t*>(&first), sizeof first}) %
                               kBuckets);
}

uint32_t Expectations::find(const Tuple& first) const {
  uint32_t flow = buckets_[bucket_of(first)];
  while (flow != kNobody && !(helped_[flow].first == first)) flow = helped_[flow].next;
  return flow;
}

void Expectations::forget(uint32_t flow) {
  Helped& helped = helped_[flow];
  if (!helped.expects) return;
  uint32_t* node = &buckets_[helped.bucket];
  while (*node != flow) node = &helped_[*node].next;
  *node = helped.next;
  helped.expects = false;
  --waiting_;
}

}  // namespace skerry::filter
