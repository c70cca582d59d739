// What is said on connections whose lines are read: the first byte says whether they are translated, and by
// how much packets may grow; of each piece the first byte is its length, the second who says it, on which of
// four connections, whether it is sent again, and whether one begins that may be expected.
#include <algorithm>
#include <cstring>
#include <vector>

#include "base/check.hpp"
#include "filter/conntrack.hpp"
#include "filter/ftp_lines.hpp"
#include "filter/protocols.hpp"

namespace {

using namespace skerry::filter;
using skerry::ConstBytes;

constexpr uint8_t kSyn = 2, kAck = 16;

void check_line(ConstBytes text) {
  for (const bool reply : {false, true}) {
    for (const bool v6 : {false, true}) {
      const FtpLine line = read_ftp_line(text, reply, v6);
      if (line.says != FtpLine::Says::announces) continue;
      CHECK(line.bytes > 0 && line.begin + line.bytes <= text.size());
      // What follows changes nothing of what is there.
      std::vector<uint8_t> longer(text.begin(), text.end());
      longer.push_back('1');
      if (line.begin + line.bytes == text.size()) continue;
      const FtpLine same = read_ftp_line(longer, reply, v6);
      CHECK(same.says == line.says && same.port == line.port && same.address == line.address);
      CHECK(same.begin == line.begin && same.bytes == line.bytes);
    }
  }
}

// The client seems to be 200.200.200.200 where it is translated.
constexpr uint8_t kOutside = 200;

struct Control {
  uint16_t port;
  bool translated;
  std::array<uint32_t, 2> seq{1, 1}, before{1, 1};  // by reply
};

std::vector<uint8_t> segment(const Control& control, bool reply, uint8_t flags, uint32_t seq,
                             ConstBytes text) {
  std::vector<uint8_t> bytes(40 + text.size());
  bytes[0] = 0x45;
  skerry::store_be16(&bytes[2], static_cast<uint16_t>(bytes.size()));
  bytes[9] = kProtocolTcp;
  bytes[12 + 3] = reply ? 2 : 1;
  bytes[16 + 3] = reply ? 1 : 2;
  if (reply && control.translated) std::fill_n(bytes.begin() + 16, 4, kOutside);
  skerry::store_be16(&bytes[20], reply ? 21 : control.port);
  skerry::store_be16(&bytes[22], reply ? control.port : 21);
  skerry::store_be32(&bytes[24], seq);
  skerry::store_be32(&bytes[28], (flags & kAck) != 0 ? control.seq[!reply] : 0);
  bytes[32] = 5 << 4;
  bytes[33] = flags;
  skerry::store_be16(&bytes[34], 60000);
  std::copy(text.begin(), text.end(), bytes.begin() + 40);
  return bytes;
}

class World {
 public:
  explicit World(uint8_t how) : translated_((how & 1) != 0), room_(how >> 1) {
    table_.make_room_for_help();
    table_.make_room_for_nat();
    for (uint16_t i = 0; i < controls_.size(); ++i) {
      controls_[i].port = static_cast<uint16_t>(1000 + i);
      controls_[i].translated = translated_;
      pass(segment(controls_[i], false, kSyn, 0, {}));
      pass(segment(controls_[i], true, kSyn | kAck, 0, {}));
    }
  }
  void says(uint8_t how, ConstBytes text) {
    now_ += (how >> 4 & 7) * 10 * skerry::kSecond;
    Control& control = controls_[how & 3];
    const bool reply = (how & 4) != 0, again = (how & 8) != 0;
    const uint32_t seq = again ? control.before[reply] : control.seq[reply];
    if (!pass(segment(control, reply, kAck, seq, text)) || again) return;
    control.before[reply] = seq;
    control.seq[reply] = seq + static_cast<uint32_t>(text.size());
  }
  // To a port of the text, from either side.
  void begins(uint8_t how, ConstBytes text) {
    const Control from{.port = 5000, .translated = translated_};
    auto bytes = segment(from, (how & 4) != 0, kSyn, 0, {});
    if (text.size() >= 2) std::memcpy(&bytes[22], text.data(), 2);
    pass(std::move(bytes));
  }

 private:
  bool pass(std::vector<uint8_t> bytes) {
    const size_t size = bytes.size();
    bytes.resize(size + room_);
    Packet packet;
    CHECK(packet.read(skerry::Bytes(bytes).first(size)));
    packet.room = room_;
    table_.track(packet, now_);
    const Tracked& tracked = packet.tracked;
    if (tracked.flow != nullptr && packet.bytes[23] == 21) table_.help(*tracked.flow);
    if (tracked.state == CtState::fresh && translated_) {
      NatRange range{.has_address = true};
      range.address_low = range.address_high = {kOutside, kOutside, kOutside, kOutside};
      table_.bind(*tracked.flow, NatSide::source, range, now_);
    }
    if (tracked.state == CtState::related) CHECK((tracked.flow->status & Flow::kExpected) != 0);
    const bool passes = !Conntrack::is_helped(packet) || table_.read_lines(packet, now_);
    CHECK(packet.length == packet.bytes.size() && packet.length == skerry::load_be16(&packet.bytes[2]));
    return passes && table_.confirm(packet, now_);
  }

  bool translated_;
  size_t room_;
  Conntrack table_{{}, 16};  // so that room runs out
  skerry::TimeNs now_ = skerry::kSecond;
  std::array<Control, 4> controls_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  World world(*data);
  ++data, --size;
  while (size >= 2) {
    const size_t length = std::min<size_t>(data[0], size - 2);
    const uint8_t how = data[1];
    const std::vector<uint8_t> text(data + 2, data + 2 + length);  // exactly: what lies behind is not theirs
    data += 2 + length;
    size -= 2 + length;
    check_line(text);
    (how & 0x80) != 0 ? world.begins(how, text) : world.says(how, text);
  }
  return 0;
}
