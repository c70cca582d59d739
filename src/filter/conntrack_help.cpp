// Connections whose lines are read because a rule says so (`ct helper set`): what they announce is related to
// them. FTP is the one protocol that is known.
//
// Read first: expectations.hpp; nf_conntrack_ftp.c, help(), with its parameter `loose` as it comes: who
// announces the address of somebody else announces nothing.
#include <algorithm>

#include "filter/announcement.hpp"
#include "filter/conntrack.hpp"
#include "filter/expectations.hpp"
#include "filter/protocols.hpp"

namespace skerry::filter {

Conntrack::~Conntrack() = default;

void Conntrack::make_room_for_help() {
  if (!expectations_) expectations_ = std::make_unique<Expectations>(secret_, most_flows_);
}

void Conntrack::help(Flow& flow) {
  if ((flow.status & (Flow::kConfirmed | Flow::kHelped)) != 0 || flow.tuples[0].protocol != kProtocolTcp)
    return;
  flow.status |= Flow::kHelped;
  expectations_->begin(index_of(flow));
}

// What a packet that begins a flow inherits from the one that announced it (init_conntrack()). Where that is
// translated, so is this one: from whom the announcer's packets go to, to the announcer as it is
// (nf_nat_follow_master()).
void Conntrack::inherit(Flow& flow, TimeNs now) {
  const auto expected = expectations_->take(flow.tuples[0], now);
  if (!expected || flows_[expected->flow].expires <= now) return;
  const Flow& master = flows_[expected->flow];
  flow.status |= Flow::kExpected;
  flow.mark = master.mark;
  if (!expected->how.translated) return;
  const Tuple announcer = master.tuples[expected->how.reply];
  NatRange source{.has_address = true}, destination{.has_address = true, .has_port = true};
  source.address_low = source.address_high = announcer.destination;
  destination.address_low = destination.address_high = announcer.source;
  destination.port_low = destination.port_high = expected->how.port;
  bind(flow, NatSide::source, source, now);
  bind(flow, NatSide::destination, destination, now);
}

uint32_t Conntrack::shift_of_ack(const Flow& flow, bool reply, uint32_t ack) const {
  return expectations_->shift(index_of(flow), !reply).at(ack - 1);
}

bool Conntrack::read_lines(Packet& packet, TimeNs now) {
  // What loops was read when it left.
  if (packet.in != nullptr && packet.in->index == kLoopbackIndex) return true;
  const auto transport = find_transport(packet.bytes, packet.v6);
  if (!transport || transport->protocol != kProtocolTcp) return true;  // an ICMP error
  const Tracked& tracked = packet.tracked;
  const uint32_t flow = index_of(*tracked.flow);
  const bool shifted = (tracked.flow->status & Flow::kShifted) != 0;  // before this one
  if (tracked.state == CtState::established && !read_text(packet, transport->offset, now)) return false;
  if (!shifted) return true;
  packet.translated = true;
  return shift_segment(packet.bytes.subspan(transport->offset), expectations_->shift(flow, tracked.reply),
                       expectations_->shift(flow, !tracked.reply), !packet.unfinished && !packet.unsummed);
}

// The payload. Of a packet that is not all there it says nothing.
bool Conntrack::read_text(Packet& packet, size_t transport, TimeNs now) {
  constexpr size_t kTcpBytes = 20;
  const ConstBytes tcp = packet.bytes.subspan(transport);
  if (packet.bytes.size() < packet.length || tcp.size() < kTcpBytes) return true;
  const size_t header = (tcp[12] >> 4) * size_t{4};
  if (header >= tcp.size()) return true;
  const ConstBytes text = tcp.subspan(header);
  const uint32_t seq = load_be32(tcp.data() + 4), end = seq + static_cast<uint32_t>(text.size());
  const bool ends_line = text.back() == '\n';

  LineStarts& lines = expectations_->lines(index_of(*packet.tracked.flow), packet.tracked.reply);
  bool passes = true;
  if (lines.has(seq)) {
    const FtpLine line = read_ftp_line(text, packet.tracked.reply, packet.v6);
    if (line.says == FtpLine::Says::unclear) return false;
    if (line.says == FtpLine::Says::announces)
      passes = announce(packet, transport, transport + header, line, now);
  }
  // One that lacks room comes again in pieces that end elsewhere, and its place is to be known then.
  if (ends_line && !packet.lacks_room) lines.add(end);
  return passes;
}

bool Conntrack::announce(Packet& packet, size_t transport, size_t text, const FtpLine& line, TimeNs now) {
  const Flow& flow = *packet.tracked.flow;
  const bool reply = packet.tracked.reply;
  if (line.has_address && line.address != flow.tuples[reply].source) return true;
  if ((flow.status & Flow::kTranslated) != 0) return announce_translated(packet, transport, text, line, now);
  Tuple first = flow.tuples[!reply];
  store_be16(first.destination_port.data(), line.port);
  return expectations_->expect(index_of(flow), first, {}, now);
}

// The other side knows the announcer by another address, and the port may be taken there (nf_nat_ftp(),
// nf_nat_exp_find_port()).
bool Conntrack::announce_translated(Packet& packet, size_t transport, size_t text, const FtpLine& line,
                                    TimeNs now) {
  constexpr uint32_t kMostAttempts = 128;
  if (line.port == 0) return false;
  Flow& flow = *packet.tracked.flow;
  const bool reply = packet.tracked.reply;
  const uint32_t index = index_of(flow), above = uint32_t{UINT16_MAX} - line.port;
  Tuple first = flow.tuples[!reply];
  uint16_t port = line.port;
  for (uint32_t left = std::min(above, kMostAttempts);; --left) {
    store_be16(first.destination_port.data(), port);
    if (expectations_->expect(index, first, {true, reply, line.port}, now)) break;
    if (left == 0) return false;
    port = static_cast<uint16_t>(line.port + draw() % above);
  }
  const uint32_t seq = load_be32(packet.bytes.data() + transport + 4);
  const FtpText written(line.form, packet.v6, first.destination, port);
  if (!replace_text(packet, transport, text + line.begin, line.bytes, written.bytes())) {
    expectations_->forget(index);
    return false;
  }
  if (written.bytes().size() == line.bytes) return true;
  flow.status |= Flow::kShifted;
  expectations_->shift(index, reply).add(seq, static_cast<uint32_t>(written.bytes().size() - line.bytes));
  return true;
}

}  // namespace skerry::filter
