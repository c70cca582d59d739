// What a rule does: verdicts, counters, limits, quotas, numbers of connections, logs and rejections, with the
// defaults that the kernel fills in.
#include <cerrno>

#include "filter/import.hpp"

namespace skerry::filter {

namespace {

bool multiply(uint64_t a, uint64_t b, uint64_t& product) {
  return !__builtin_mul_overflow(a, b, &product);
}

}  // namespace

bool Import::verdict(uint32_t table, const Attribute& attribute, Verdict& into) {
  using namespace nft;
  Nest nest;
  uint32_t code = 0, id = 0;
  std::string name;
  if (!reader_.nest(attribute, known({kVerdictCode, kVerdictChain, kVerdictChainId}), nest) ||
      !reader_.need(nest, {kVerdictCode}, "a verdict") || !reader_.number(nest, kVerdictCode, code) ||
      !reader_.text(nest, kVerdictChain, name) || !reader_.number(nest, kVerdictChainId, id))
    return false;
  into.code = static_cast<Code>(code);
  switch (into.code) {
    case Code::drop:
    case Code::accept:
    case Code::next:
    case Code::stop_rule:
    case Code::back:
      return true;
    case Code::jump:
    case Code::go:
      break;
    default:
      return reader_.refuse(attribute.at, EOPNOTSUPP, "this verdict is not supported");
  }
  if (nest.has(kVerdictChain)) {
    into.chain = chain_named(table, name);
  } else if (const auto found = chain_ids_.find({table, id});
             nest.has(kVerdictChainId) && found != chain_ids_.end()) {
    into.chain = found->second;
  }
  const uint32_t at = nest.has(kVerdictChain) ? nest[kVerdictChain].at : attribute.at;
  if (into.chain == kNone) return reader_.refuse(at, ENOENT, "there is no chain " + name + " to go to");
  if (ruleset_.chains[into.chain].is_base)
    return reader_.refuse(at, EOPNOTSUPP, "chain " + name + " has a hook, nothing can jump to it");
  return true;
}

bool Import::keep(const Stateful& stateful, uint32_t at, uint32_t& index) {
  if (ruleset_.stateful.size() >= limits_.stateful)
    return reader_.refuse(at, E2BIG, "there are too many counters, limits and quotas");
  index = static_cast<uint32_t>(ruleset_.stateful.size());
  pause_.push_back(ruleset_.stateful, stateful);
  return true;
}

bool Import::immediate(uint32_t table, const Nest& nest, Action& action) {
  using namespace nft;
  uint32_t to = 0;
  if (!reader_.need(nest, {kImmediateTo, kImmediateData}, "immediate") ||
      !reader_.number(nest, kImmediateTo, to))
    return false;
  if (to == 0) {
    Nest data;
    Decide decide;
    if (!reader_.nest(nest[kImmediateData], known({kDataVerdict}), data) ||
        !reader_.need(data, {kDataVerdict}, "a verdict") ||
        !verdict(table, data[kDataVerdict], decide.verdict))
      return false;
    action = decide;
    return true;
  }
  LoadImmediate load{};
  if (!register_number(nest, kImmediateTo, load.to) || !value(nest, kImmediateData, load.value)) return false;
  action = load;
  return true;
}

bool Import::log(uint32_t, const Nest& nest, Action& action) {
  using namespace nft;
  LogText text;
  uint32_t flags = 0;
  if (!reader_.text(nest, kLogPrefix, text.prefix, 127) || !reader_.number(nest, kLogLevel, text.level) ||
      !reader_.number(nest, nft::kLogFlags, flags))
    return false;
  if (nest.has(kLogGroup)) {
    if (nest[kLogGroup].bytes.size() != 2)
      return reader_.refuse(nest[kLogGroup].at, EINVAL, "a log group has 16 bits");
    text.group = load_be16(nest[kLogGroup].bytes.data());
  }
  if (nest.has(kLogGroup) && (nest.has(kLogLevel) || nest.has(nft::kLogFlags)))
    return reader_.refuse(nest.at, EINVAL, "a log goes to a group or has a level, not both");
  if ((flags & ~kLogKnownFlags) != 0)
    return reader_.refuse(nest[nft::kLogFlags].at, EINVAL, "a flag of log is not known here");
  constexpr uint32_t kAudit = 8;
  if (text.level == kAudit)
    return reader_.refuse(nest[kLogLevel].at, EOPNOTSUPP,
                          "no audit system listens here: write another log level");
  if (text.level > kAudit) return reader_.refuse(nest[kLogLevel].at, EINVAL, "there is no such log level");
  const auto index = static_cast<uint32_t>(ruleset_.logs.size());
  pause_.push_back(ruleset_.logs, std::move(text));
  action = filter::Log{index};
  return true;
}

bool Import::reject(uint32_t, const Nest& nest, Action& action) {
  using namespace nft;
  uint32_t kind = 0;
  filter::Reject reject{};
  if (!reader_.need(nest, {kRejectType}, "reject") || !reader_.number(nest, kRejectType, kind)) return false;
  if (kind > 2) return reader_.refuse(nest[kRejectType].at, EINVAL, "there is no such way to reject");
  reject.kind = static_cast<RejectKind>(kind);
  if (reject.kind != RejectKind::tcp_reset) {
    if (!reader_.need(nest, {kRejectCode}, "reject")) return false;
    if (nest[kRejectCode].bytes.size() != 1)
      return reader_.refuse(nest[kRejectCode].at, EINVAL, "a code has one byte");
    reject.code = nest[kRejectCode].bytes[0];
    if (reject.kind == RejectKind::icmpx_unreachable && reject.code > 3)
      return reader_.refuse(nest[kRejectCode].at, EINVAL, "there is no such code for icmpx");
  }
  action = reject;
  return true;
}

bool Import::object_reference(uint32_t table, const Nest& nest, Action& action) {
  using namespace nft;
  if (nest.has(kObjrefFrom)) {
    TouchMapped mapped{};
    if (!find_set(table, nest, kObjrefSetName, kObjrefSetId, mapped.set) ||
        !register_number(nest, kObjrefFrom, mapped.from))
      return false;
    action = mapped;
    return true;
  }
  uint32_t type = 0;
  std::string name;
  if (!reader_.need(nest, {kObjrefType, kObjrefName}, "objref") || !reader_.number(nest, kObjrefType, type) ||
      !reader_.text(nest, kObjrefName, name))
    return false;
  uint32_t found = kNone;
  if (type == kObjectCounter) found = object_named(table, name, StatefulKind::counter);
  if (type == kObjectQuota) found = object_named(table, name, StatefulKind::quota);
  if (type == kObjectLimit) found = object_named(table, name, StatefulKind::limit);
  if (type == kObjectHelper) found = object_named(table, name, StatefulKind::helper);
  if (found == kNone) return reader_.refuse(nest[kObjrefName].at, ENOENT, "there is no object " + name);
  action = Touch{found};
  return true;
}

// A rule that adds to a set. All that add to one give its elements the same counters, limits and quotas.
bool Import::dynset(uint32_t table, const Nest& nest, Action& action) {
  using namespace nft;
  constexpr uint32_t kInverted = 1, kSeveral = 2;
  UpdateSet update{};
  uint32_t operation = 0, flags = 0;
  uint64_t timeout = 0;
  std::vector<Stateful> given;
  if (!reader_.need(nest, {kDynsetName, kDynsetOperation, kDynsetKey}, "dynset") ||
      !find_set(table, nest, kDynsetName, kDynsetId, update.set) ||
      !reader_.number(nest, kDynsetOperation, operation) || !reader_.number(nest, kDynsetFlags, flags) ||
      !reader_.number(nest, kDynsetTimeout, timeout) || !register_number(nest, kDynsetKey, update.key) ||
      !expressions_of_elements(nest, kDynsetExpression, kDynsetExpressions, given))
    return false;
  if (nest.has(kDynsetData) && !register_number(nest, kDynsetData, update.data)) return false;
  Set& set = ruleset_.sets[update.set];
  if (!set.dynamic)
    return reader_.refuse(nest.at, EOPNOTSUPP,
                          "set " + set.name + " has not the flag dynamic, rules cannot change it");
  if (operation > 2 || (flags & ~(kInverted | kSeveral)) != 0)
    return reader_.refuse(nest.at, EOPNOTSUPP, "this change of a set is not supported");
  if (nest.has(kDynsetTimeout) && !set.has_timeout)
    return reader_.refuse(nest[kDynsetTimeout].at, EOPNOTSUPP,
                          "set " + set.name + " has not the flag timeout");
  if (timeout > kMostMilliseconds)
    return reader_.refuse(nest[kDynsetTimeout].at, ERANGE, "the time of an element is too long");
  if (!given.empty() && !set.takes_expressions)
    return reader_.refuse(nest.at, EINVAL,
                          "set " + set.name + " has not the flag dynamic, its elements cannot count");
  if (!may_count(set, given, nest.at)) return false;
  update.update = static_cast<SetUpdate>(operation);
  update.has_data = nest.has(kDynsetData);
  update.inverted = (flags & kInverted) != 0;
  update.timeout_ns = timeout * 1'000'000;
  if (update.update != SetUpdate::remove) {
    if (!set.added_to && !set.declares_expressions) set.element_expressions = given;
    set.added_to = true;
    if ((!given.empty() || !set.declares_expressions) && given != set.element_expressions)
      return reader_.refuse(
          nest.at, EOPNOTSUPP,
          "elements of set " + set.name + " get other counters, limits or quotas elsewhere");
  }
  action = update;
  return true;
}

bool Import::touch_one(StatefulKind kind, const Nest& nest, Action& action) {
  Stateful begins;
  Touch touch{};
  if (!stateful(kind, nest, begins) || !keep(begins, nest.at, touch.stateful)) return false;
  action = touch;
  return true;
}

bool Import::stateful(StatefulKind kind, const Nest& nest, Stateful& into) {
  using namespace nft;
  into.kind = kind;
  if (kind == StatefulKind::counter)
    return reader_.number(nest, kCounterBytes, into.bytes) &&
           reader_.number(nest, kCounterPackets, into.packets);
  uint32_t flags = 0, type = 0;
  if (kind == StatefulKind::connections) {
    if (!reader_.need(nest, {kConnlimitCount}, "connlimit") ||
        !reader_.number(nest, kConnlimitCount, into.connections) ||
        !reader_.number(nest, kConnlimitFlags, flags))
      return false;
    if (flags > 1)
      return reader_.refuse(nest[kConnlimitFlags].at, EOPNOTSUPP, "a flag of ct count is not known here");
    into.inverted = flags == 1;
    return true;
  }
  if (kind == StatefulKind::quota) {
    if (!reader_.need(nest, {kQuotaBytes}, "quota") || !reader_.number(nest, kQuotaBytes, into.bytes) ||
        !reader_.number(nest, kQuotaFlags, flags) || !reader_.number(nest, kQuotaConsumed, into.consumed))
      return false;
    if (flags > 1 || into.bytes > INT64_MAX)
      return reader_.refuse(nest.at, EOPNOTSUPP, "a quota of this kind is not supported");
    into.inverted = flags == 1;
    return true;
  }
  // nft_limit.c: a bucket of nanoseconds, from which each packet or byte takes period / rate. Overflow is
  // refused.
  uint64_t seconds = 0, most = 0;
  if (!reader_.need(nest, {kLimitRate, kLimitUnit}, "limit") ||
      !reader_.number(nest, kLimitRate, into.rate) || !reader_.number(nest, kLimitUnit, seconds) ||
      !reader_.number(nest, kLimitBurst, into.burst) || !reader_.number(nest, kLimitType, type) ||
      !reader_.number(nest, kLimitFlags, flags))
    return false;
  if (type > 1 || flags > 1)
    return reader_.refuse(nest.at, EOPNOTSUPP, "a limit of this kind is not supported");
  into.in_bytes = type == 1;
  into.inverted = flags == 1;
  if (!into.in_bytes && into.burst == 0) into.burst = 5;
  if (into.rate == 0) return reader_.refuse(nest[kLimitRate].at, EINVAL, "a limit of nothing");
  const bool fits = multiply(seconds, 1'000'000'000, into.period_ns) && into.period_ns != 0 &&
                    (into.in_bytes ? into.rate <= UINT64_MAX - into.burst &&
                                         multiply(into.period_ns, into.rate + into.burst, most)
                                   : multiply(into.period_ns / into.rate, into.burst, most));
  if (!fits) return reader_.refuse(nest[kLimitRate].at, EOVERFLOW, "a limit is too large");
  return true;
}

bool Import::element_expression(const Attribute& attribute, std::vector<Stateful>& into) {
  std::vector<Expression> one;
  const size_t kept = ruleset_.stateful.size();
  if (in_element_) return reader_.refuse(attribute.at, EOPNOTSUPP, "elements stand in elements");
  in_element_ = true;  // so that no depth of nests goes on for ever
  if (!expression(kNone, attribute, one)) return false;
  in_element_ = false;
  const auto* touch = std::get_if<Touch>(&one.front().action);
  if (touch == nullptr || touch->stateful < kept || into.size() >= OwnCounters::kMost)
    return reader_.refuse(attribute.at, EOPNOTSUPP, kNotInElements);
  into.push_back(ruleset_.stateful[touch->stateful]);
  ruleset_.stateful.pop_back();
  return true;
}

}  // namespace skerry::filter
