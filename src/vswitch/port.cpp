#include "vswitch/port.hpp"

namespace skerry::vswitch {

std::string_view to_string(Drop reason) {
  switch (reason) {
    case Drop::kNone:
      return "none";
    case Drop::kRunt:
      return "runt";
    case Drop::kSourceMac:
      return "source_mac";
    case Drop::kSourceAddress:
      return "source_address";
    case Drop::kArpSender:
      return "arp_sender";
    case Drop::kMalformed:
      return "malformed";
    case Drop::kUnjudgedType:
      return "unjudged_type";
    case Drop::kBadMarks:
      return "bad_marks";
    case Drop::kHairpin:
      return "hairpin";
    case Drop::kIsolated:
      return "isolated";
    case Drop::kUnknown:
      return "unknown";
    case Drop::kFilter:
      return "filter";
    case Drop::kNoMemory:
      return "no_memory";
    case Drop::kTooLong:
      return "too_long";
  }
  return "none";
}

}  // namespace skerry::vswitch
