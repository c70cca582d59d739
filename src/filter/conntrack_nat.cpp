// What a new flow is translated to: the addresses and ports of its answers, which no other flow may have.
//
// Read first: nf_nat_core.c (nf_nat_setup_info, get_unique_tuple), which this follows down to the hash that
// spreads flows over a range of addresses, so that both choose the same one. Ports that Linux draws are
// drawn here too.
#include <algorithm>
#include <bit>
#include <cstring>

#include "filter/conntrack.hpp"
#include "filter/protocols.hpp"

namespace skerry::filter {

namespace {

constexpr uint32_t kMostAttempts = 128;  // ports, before others are drawn
constexpr uint32_t kLastAttempts = 32;   // of those: an old TCP connection may have to make way
constexpr uint32_t kFewestAttempts = 16;
constexpr uint32_t kLookedAt = 64;  // flows of one source, the newest first

bool is_icmp(const Tuple& tuple) {
  return tuple.protocol == kProtocolIcmp || tuple.protocol == kProtocolIcmp6;
}

// An identifier of ICMP is the same in both directions, whoever's side is translated.
std::array<uint8_t, 2>& port_of(Tuple& tuple, NatSide side) {
  return side == NatSide::source || is_icmp(tuple) ? tuple.source_port : tuple.destination_port;
}

bool port_fits(Tuple tuple, NatSide side, const NatRange& range) {
  if (!is_icmp(tuple) && !has_ports(tuple.protocol)) return true;
  const uint16_t port = load_be16(port_of(tuple, side).data());
  return port >= range.port_low && port <= range.port_high;
}

bool source_fits(const Tuple& tuple, const NatRange& range) {
  const size_t size = tuple.v6 != 0 ? 16 : 4;
  if (range.has_address && (std::memcmp(tuple.source.data(), range.address_low.data(), size) < 0 ||
                            std::memcmp(tuple.source.data(), range.address_high.data(), size) > 0))
    return false;
  return !range.has_port || port_fits(tuple, NatSide::source, range);
}

// Jenkins' hash of four words, as the kernel has it (jhash2()).
uint32_t jenkins(const std::array<uint8_t, 16>& bytes, uint32_t begin) {
  uint32_t k[4];
  std::memcpy(k, bytes.data(), sizeof k);
  uint32_t a = 0xdeadbeef + (uint32_t{sizeof k / 4} << 2) + begin, b = a, c = a;
  a += k[0];
  b += k[1];
  c += k[2];
  a -= c, a ^= std::rotl(c, 4), c += b;
  b -= a, b ^= std::rotl(a, 6), a += c;
  c -= b, c ^= std::rotl(b, 8), b += a;
  a -= c, a ^= std::rotl(c, 16), c += b;
  b -= a, b ^= std::rotl(a, 19), a += c;
  c -= b, c ^= std::rotl(b, 4), b += a;
  a += k[3];
  c ^= b, c -= std::rotl(b, 14);
  a ^= c, a -= std::rotl(c, 11);
  b ^= a, b -= std::rotl(a, 25);
  c ^= b, c -= std::rotl(b, 16);
  a ^= c, a -= std::rotl(c, 4);
  b ^= a, b -= std::rotl(a, 14);
  c ^= b, c -= std::rotl(b, 24);
  return c;
}

// One address of the range for both ends (find_best_ips_proto()).
void choose_address(Tuple& tuple, NatSide side, const NatRange& range) {
  if (!range.has_address) return;
  std::array<uint8_t, 16>& address = side == NatSide::source ? tuple.source : tuple.destination;
  if (range.address_low == range.address_high) {
    address = range.address_low;
    return;
  }
  const size_t words = tuple.v6 != 0 ? 4 : 1;
  const auto word = [](const std::array<uint8_t, 16>& from, size_t index) {
    uint32_t value;
    std::memcpy(&value, from.data() + index * 4, 4);
    return value;
  };
  uint32_t hash = jenkins(tuple.source, range.persistent ? 0 : word(tuple.destination, words - 1));
  bool below = false;  // what was chosen so far lies below the last address
  for (size_t i = 0; i < words; ++i) {
    const uint32_t low = below ? 0 : load_be32(range.address_low.data() + i * 4);
    const uint32_t span = below ? ~0U : load_be32(range.address_high.data() + i * 4) - low + 1;
    store_be32(address.data() + i * 4, low + static_cast<uint32_t>(uint64_t{hash} * span >> 32));
    below |= word(address, i) != word(range.address_high, i);
    if (!range.persistent) hash ^= word(tuple.destination, i);
  }
}

}  // namespace

void Conntrack::make_room_for_nat() {
  if (sources_.empty()) sources_.assign(buckets_.size(), kNobody);
}

void Conntrack::bind(Flow& flow, NatSide side, const NatRange& range, TimeNs now) {
  if ((flow.status & Flow::kConfirmed) != 0) return;
  const Tuple from = *flow.tuples[1].inverse();
  const Tuple to = unique(from, side, range, flow, now);
  if (!(to == from)) {
    flow.tuples[1] = *to.inverse();
    flow.status |= nat_bit(side);
  }
  if (side == NatSide::source) link_source(flow);
  flow.status |= done_bit(side);
}

std::optional<Tuple> Conntrack::before(ConstBytes left, bool v6, uint16_t zone, TimeNs now) {
  const auto transport = find_transport(left, v6);
  if (!transport) return std::nullopt;
  auto tuple = Tuple::read(left, v6, transport->protocol, transport->offset);
  if (tuple) tuple->zone = zone;
  const auto answer = tuple ? tuple->inverse() : std::nullopt;
  if (!answer) return std::nullopt;
  const Found it = find(*answer, now);
  if (it.flow == nullptr || (it.flow->status & Flow::kTranslated) == 0) return std::nullopt;
  return it.flow->tuples[!it.reply];
}

Tuple Conntrack::unique(const Tuple& from, NatSide side, const NatRange& range, const Flow& flow,
                        TimeNs now) {
  if (side == NatSide::source && !range.random) {
    if (source_fits(from, range)) {
      if (!is_taken(from, flow, now)) return from;
    } else if (const auto before = as_before(from, range); before && !is_taken(*before, flow, now)) {
      return *before;
    }
  }
  Tuple to = from;
  choose_address(to, side, range);
  if (!range.random) {
    if (!range.has_port && !is_taken(to, flow, now)) return to;
    if (range.has_port && port_fits(to, side, range) &&
        (range.port_low == range.port_high || !is_taken(to, flow, now)))
      return to;
  }
  find_port(to, side, range, flow, now);
  return to;
}

// nf_nat_l4proto_unique_tuple(). Where all that are tried are taken, the last one stays: confirm() finds out.
void Conntrack::find_port(Tuple& tuple, NatSide side, const NatRange& range, const Flow& flow, TimeNs now) {
  if (!is_icmp(tuple) && !has_ports(tuple.protocol)) return;
  std::array<uint8_t, 2>& port = port_of(tuple, side);
  uint32_t low = range.port_low, high = range.port_high;
  if (!range.has_port) {
    const uint16_t now_port = load_be16(port.data());
    if (is_icmp(tuple)) {
      low = 0, high = 65535;
    } else if (side == NatSide::destination) {
      return;
    } else if (now_port < 512) {  // ports mean something by their class: it is kept
      low = 1, high = 511;
    } else if (now_port < 1024) {
      low = 600, high = 1023;
    } else {
      low = 1024, high = 65535;
    }
  }
  if (!is_icmp(tuple) && high < low) std::swap(low, high);
  const uint32_t size = high - low + 1;
  uint16_t offset = side == NatSide::source || range.random ? draw() : 0;
  for (uint32_t attempts = std::min(size, kMostAttempts);; attempts /= 2, offset = draw()) {
    for (uint32_t left = attempts; left > 0; --left, ++offset) {
      store_be16(port.data(), static_cast<uint16_t>(low + (size != 0 ? offset % size : 0)));
      const bool taken =
          left > kLastAttempts ? is_taken(tuple, flow, now) : is_taken_for_good(tuple, flow, now);
      if (!taken) return;
    }
    if (attempts >= size || attempts < kFewestAttempts) return;
  }
}

// Another flow has the answers that this one would have.
bool Conntrack::is_taken(const Tuple& tuple, const Flow& flow, TimeNs now) {
  const Flow* const other = find(*tuple.inverse(), now).flow;
  return other != nullptr && other != &flow;
}

// The same, and a TCP connection that is over does not make way (nf_nat_used_tuple_harder()).
bool Conntrack::is_taken_for_good(const Tuple& tuple, const Flow& flow, TimeNs now) {
  const Found other = find(*tuple.inverse(), now);
  if (other.flow == nullptr || other.flow == &flow) return false;
  const bool begins = tuple.protocol == kProtocolTcp && flow.tcp.state() == TcpState::syn_sent;
  if (!begins || !other.reply || (other.flow->status & Flow::kSourceNat) == 0 ||
      !other.flow->tcp.makes_way_for(flow.tcp))
    return true;
  remove(*other.flow);
  return false;
}

// As the last flow of this source was translated, if that is in the range: who is spoken to from one socket
// sees one source.
std::optional<Tuple> Conntrack::as_before(const Tuple& from, const NatRange& range) const {
  uint32_t index = sources_[source_bucket_of(from)];
  for (uint32_t left = kLookedAt; index != kNobody && left > 0;
       --left, index = flows_[index].next_of_source) {
    const Tuple& began = flows_[index].tuples[0];
    if (began.protocol != from.protocol || began.v6 != from.v6 || began.source != from.source ||
        began.source_port != from.source_port || began.zone != from.zone)
      continue;
    Tuple to = from;
    const Tuple before = *flows_[index].tuples[1].inverse();
    to.source = before.source;
    to.source_port = before.source_port;
    if (source_fits(to, range)) return to;
  }
  return std::nullopt;
}

uint32_t Conntrack::source_bucket_of(const Tuple& tuple) const {
  Tuple source{};
  source.source = tuple.source;
  source.source_port = tuple.source_port;
  source.protocol = tuple.protocol;
  source.v6 = tuple.v6;
  source.zone = tuple.zone;
  return bucket_of(source);
}

void Conntrack::link_source(Flow& flow) {
  flow.source_bucket = source_bucket_of(flow.tuples[0]);
  uint32_t& first = sources_[flow.source_bucket];
  flow.previous_of_source = kNobody;
  flow.next_of_source = first;
  if (first != kNobody) flows_[first].previous_of_source = index_of(flow);
  first = index_of(flow);
}

// A stranger may give one source as many flows as the table has: none is looked for.
void Conntrack::unlink_source(const Flow& flow) {
  const uint32_t next = flow.next_of_source, previous = flow.previous_of_source;
  (previous != kNobody ? flows_[previous].next_of_source : sources_[flow.source_bucket]) = next;
  if (next != kNobody) flows_[next].previous_of_source = previous;
}

uint16_t Conntrack::draw() {
  ++drawn_;
  return static_cast<uint16_t>(
      siphash24(secret_, {reinterpret_cast<const uint8_t*>(&drawn_), sizeof drawn_}));
}

}  // namespace skerry::filter
