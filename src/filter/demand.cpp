#include "filter/demand.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "filter/demand_masks.hpp"
#include "filter/packet.hpp"

namespace skerry::filter {

namespace {

using Number = KeyRanges::Number;

// What LoadMeta leaves in its register; none of what other packets or rules may change on the way.
unsigned bytes_of(MetaKey key) {
  switch (key) {
    case MetaKey::nfproto:
    case MetaKey::l4proto:
    case MetaKey::pkttype:
      return 1;
    case MetaKey::protocol:
    case MetaKey::iiftype:
    case MetaKey::oiftype:
      return 2;
    case MetaKey::length:
    case MetaKey::iif:
    case MetaKey::oif:
      return 4;
    case MetaKey::iifname:
    case MetaKey::oifname:
      return 16;
    default:
      return 0;
  }
}

unsigned bytes_of(CtKey key) {
  switch (key) {
    case CtKey::state:
      return 4;
    case CtKey::direction:
    case CtKey::l3protocol:
    case CtKey::protocol:
      return 1;
    default:
      return 0;
  }
}

// Reads a rule's expressions in order and knows of each register which field is in it.
class Reader {
 public:
  Reader(const Ruleset& ruleset, Family family, Demand& demand)
      : ruleset_(ruleset), family_(family), demand_(demand) {}

  // What is not listed below may do anything: behind it a field may be another.
  template <class Action>
  void operator()(const Action&) {
    demand_.exact = false;
    in_the_dark_ = true;
  }

  void operator()(const LoadPayload& load) {
    put(load.to, load.length,
        {.kind = Field::Kind::payload,
         .base = static_cast<uint8_t>(load.base),
         .place = load.offset,
         .bytes = load.length});
  }
  void operator()(const LoadExtension& load) {
    put(load.to, load.length,
        {.kind = Field::Kind::extension,
         .base = static_cast<uint8_t>(load.kind),
         .place = static_cast<uint16_t>(load.type << 8 | load.offset),
         .more = load.only_present ? uint16_t{1} : uint16_t{0},
         .bytes = load.only_present ? uint8_t{1} : load.length});
  }
  void operator()(const LoadMeta& load) {
    const unsigned bytes = bytes_of(load.key);
    put(load.to, load.key == MetaKey::mark ? 4 : bytes,
        {.kind = Field::Kind::meta,
         .base = static_cast<uint8_t>(load.key),
         .bytes = static_cast<uint8_t>(bytes)});
    const bool is_name = load.key == MetaKey::iifname || load.key == MetaKey::oifname;
    if (is_name && family_ != Family::bridge) know(*registers_[load.to], names_in_a_stack());
  }
  void operator()(const LoadCt& load) {
    const unsigned bytes = bytes_of(load.key);
    put(load.to, kLongest,  // however long it is
        {.kind = Field::Kind::ct,
         .base = static_cast<uint8_t>(load.key),
         .more = load.reply ? uint16_t{1} : uint16_t{0},
         .bytes = static_cast<uint8_t>(bytes)});
  }
  // A rule holds for no packet without a socket.
  void operator()(const LoadSocket& load) {
    demand_.exact = false;
    forget(load.to, 4);
  }
  void operator()(const LoadImmediate& load) { forget(load.to, load.value.length); }
  void operator()(const NextNumber& next) { forget(next.to, 4); }
  void operator()(const HashRegisters& hash) { forget(hash.to, 4); }
  void operator()(const HashFlow& hash) { forget(hash.to, 4); }
  void operator()(const SwapBytes& swap) { forget(swap.to, swap.length); }
  void operator()(const Shift& shift) { forget(shift.to, shift.length); }
  void operator()(const Mask& mask) {
    std::optional<Field> field = registers_[mask.from];
    forget(mask.to, mask.mask.length);
    if (!field || field->mask != 0 || field->bytes != mask.mask.length || mask.to != mask.from) return;
    field->mask = KeyRanges::number_of({mask.mask.bytes.data(), mask.mask.length});
    field->flip = KeyRanges::number_of({mask.flip.bytes.data(), mask.flip.length});
    if (field->mask != 0) registers_[mask.to] = field;
  }

  void operator()(const Compare& compare) {
    const Number value = KeyRanges::number_of({compare.value.bytes.data(), compare.value.length});
    const unsigned bytes = compare.value.length;
    const Number most = KeyRanges::greatest(bytes);
    KeyRanges values = KeyRanges::between(bytes, value, value);
    switch (compare.comparison) {
      case Comparison::equal:
        break;
      case Comparison::not_equal:
        values = values.others();
        break;
      case Comparison::less:
        values = value == 0 ? KeyRanges::none(bytes) : KeyRanges::between(bytes, 0, value - 1);
        break;
      case Comparison::less_equal:
        values = KeyRanges::between(bytes, 0, value);
        break;
      case Comparison::greater:
        values = value == most ? KeyRanges::none(bytes) : KeyRanges::between(bytes, value + 1, most);
        break;
      case Comparison::greater_equal:
        values = KeyRanges::between(bytes, value, most);
        break;
    }
    test(compare.from, values);
  }
  void operator()(const InRange& range) {
    const KeyRanges values =
        KeyRanges::between(range.low.length, KeyRanges::number_of({range.low.bytes.data(), range.low.length}),
                           KeyRanges::number_of({range.high.bytes.data(), range.high.length}));
    test(range.from, range.inverted ? values.others() : values);
  }

  // Only a set that nobody can name never changes.
  void operator()(const Lookup& lookup) {
    const Set& set = ruleset_.sets[lookup.set];
    const std::optional<KeyRanges> keys = keys_of(set, lookup.to_verdict);
    if (!set.anonymous || !keys || lookup.to_register) {
      demand_.exact = false;
      if (lookup.to_register) forget(lookup.to, set.data_bytes);
      return;
    }
    if (!lookup.to_verdict) return test(lookup.from, lookup.inverted ? keys->others() : *keys);
    const std::optional<KeyRanges> any = keys_of(set, false);
    // A rule that holds without ending is none that another could stand behind: so the keys that end it
    // count.
    test(lookup.from, *any);
    if (any->is_within(*keys)) demand_.ends = Code::accept;
  }

  void operator()(const Decide& decide) {
    const Code code = decide.verdict.code;
    if (code == Code::accept || code == Code::drop || code == Code::go || code == Code::back)
      demand_.ends = code;
  }
  void operator()(const Reject&) { demand_.ends = Code::drop; }
  // These end no rule, and change nothing that is compared here.
  void operator()(const Log&) {}
  void operator()(const StoreMark&) {}
  void operator()(const StoreCt&) {}
  void operator()(const Touch& touch) {
    const StatefulKind kind = ruleset_.stateful[touch.stateful].kind;
    if (kind != StatefulKind::counter && kind != StatefulKind::helper) demand_.exact = false;
  }

 private:
  static constexpr unsigned kLongest = 16;

  void forget(Register first, unsigned bytes) {
    for (unsigned i = first; i < first + (bytes + 3) / 4 && i < kRegisters; ++i) registers_[i].reset();
  }
  // A rule holds for no packet that has not what it loads.
  void put(Register to, unsigned bytes, const Field& field) {
    forget(to, bytes);
    if (field.bytes == 0 || field.bytes > kLongest) {
      demand_.exact = false;
      return;
    }
    registers_[to] = field;
    know(field, KeyRanges::all(field.bytes));
  }
  void know(const Field& field, const KeyRanges& values) {
    if (in_the_dark_) return;
    for (Demand::Test& known : demand_.tests) {
      if (known.field != field) continue;
      known.values = known.values.both(values);
      return;
    }
    demand_.tests.push_back({field, values});
  }

  // The values of a set's keys; `ending`: of those that lead to a verdict which ends a chain.
  static std::optional<KeyRanges> keys_of(const Set& set, bool ending) {
    if (set.fields.size() > 1 || set.key_bytes > kLongest || set.shape == SetShape::concatenated_ranges ||
        set.dynamic)
      return std::nullopt;
    const unsigned bytes = set.key_bytes;
    KeyRanges keys = KeyRanges::none(bytes);
    std::vector<KeyRanges::Range> ranges;
    for (const Element& element : set.elements) {
      if (element.gone) continue;
      if (!element.counters.empty()) return std::nullopt;
      const Code code = element.verdict.code;
      if (element.catchall) return std::nullopt;
      if (ending && (code == Code::next || code == Code::jump)) continue;
      ranges.push_back({KeyRanges::number_of({&set.keys[element.key], bytes}),
                        KeyRanges::number_of({&set.keys[element.key_end], bytes})});
    }
    keys.add(std::move(ranges));
    return keys;
  }

  void test(Register from, KeyRanges values) {
    if (!registers_[from]) {
      demand_.exact = false;
      return;
    }
    Field field = *registers_[from];
    const unsigned bytes = field.bytes, compared = values.bytes();
    if (compared == 0 || compared > bytes || (compared < bytes && field.mask != 0)) {
      demand_.exact = false;
      return;
    }
    if (compared < bytes) {  // its first bytes
      if (field.kind == Field::Kind::payload)
        field.bytes = static_cast<uint8_t>(compared);
      else
        values = widened(values, bytes);
    }
    if (field.mask != 0) values = without_mask(field, behind_mask(field, values));
    know(field, values);
  }

  // No name stands where there is no interface: at `output` for the one that a packet came from.
  static KeyRanges names_in_a_stack() {
    constexpr unsigned kBytes = 16;
    std::vector<KeyRanges::Range> ranges;
    for (const std::string_view name : {"", kLoopbackName, kNetworkName}) {
      std::array<uint8_t, kBytes> bytes{};
      std::copy(name.begin(), name.end(), bytes.begin());
      ranges.push_back({KeyRanges::number_of(bytes), KeyRanges::number_of(bytes)});
    }
    KeyRanges names = KeyRanges::none(kBytes);
    names.add(std::move(ranges));
    return names;
  }

  const Ruleset& ruleset_;
  const Family family_;
  Demand& demand_;
  std::array<std::optional<Field>, kRegisters> registers_{};
  bool in_the_dark_ = false;
};

}  // namespace

Demand demand_of(const Ruleset& ruleset, Family family, const Rule& rule) {
  Demand demand;
  Reader reader(ruleset, family, demand);
  for (const Expression& expression : rule.expressions) std::visit(reader, expression.action);
  return demand;
}

}  // namespace skerry::filter
