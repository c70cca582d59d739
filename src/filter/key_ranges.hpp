// Which values a field of a packet may have: ranges of unsigned numbers of up to 16 bytes, the field's bytes
// in their order.
//
// Invariant: the ranges are sorted, and between two of them lies at least one value.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace skerry::filter {

class KeyRanges {
 public:
  using Number = unsigned __int128;
  struct Range {
    Number low, high;  // both in it
    friend bool operator==(const Range&, const Range&) = default;
  };

  static KeyRanges none(unsigned bytes) { return KeyRanges(bytes); }
  static KeyRanges all(unsigned bytes) { return KeyRanges(bytes, {{0, greatest(bytes)}}); }
  // `low` above `high`: none.
  static KeyRanges between(unsigned bytes, Number low, Number high);

  static Number greatest(unsigned bytes) {
    return bytes >= sizeof(Number) ? ~Number{0} : (Number{1} << (8 * bytes)) - 1;
  }
  static Number number_of(std::span<const uint8_t> bytes) {
    Number number = 0;
    for (const uint8_t byte : bytes) number = number << 8 | byte;
    return number;
  }

  unsigned bytes() const { return bytes_; }
  const std::vector<Range>& ranges() const { return ranges_; }
  bool empty() const { return ranges_.empty(); }
  bool is_all() const { return ranges_.size() == 1 && ranges_[0] == Range{0, greatest(bytes_)}; }
  // The one value that it can be; null if there are others, or none.
  const Number* only() const {
    return ranges_.size() == 1 && ranges_[0].low == ranges_[0].high ? &ranges_[0].low : nullptr;
  }

  void add(Range range) { ranges_.push_back(range), settle(); }
  void add(std::vector<Range> ranges);
  KeyRanges others() const;
  KeyRanges both(const KeyRanges& other) const;  // of as many bytes
  bool is_within(const KeyRanges& other) const;  // the same
  // What can stand in `count` of the bytes, from `first` on: at least all that does.
  KeyRanges part(unsigned first, unsigned count) const;

 private:
  explicit KeyRanges(unsigned bytes, std::vector<Range> ranges = {})
      : bytes_(bytes), ranges_(std::move(ranges)) {}
  void settle();

  unsigned bytes_;
  std::vector<Range> ranges_;
};

}  // namespace skerry::filter
