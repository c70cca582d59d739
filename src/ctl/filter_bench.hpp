// A capture run through a ruleset in the place of a stack: what becomes of each of its packets. Nothing is
// sent, and time is the capture's own.
//
// Read first: docs/filter.md, "Where the rules stand".
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "ctl/capture_file.hpp"
#include "filter/engine.hpp"

namespace skerry::ctl {

struct Fate {
  enum class Kind { accepted, dropped, foreign, not_ip } kind = Kind::accepted;
  filter::Judgement judgement;
  filter::Hook hook{};              // the last that it met
  std::vector<uint8_t> translated;  // the packet as it is behind the rules, if it is another than it was
  filter::Step decided;             // of who is followed: the rule or policy that had the last word
};
const char* kind_name(Fate::Kind kind);

// The stack in whose place the rules are tried.
class Bench {
 public:
  // Packets from `addresses` leave, packets to them arrive; if there are none, all arrive. What is none of IP
  // arrives unless it comes from one of them.
  Bench(filter::Ruleset ruleset, TimeNs begin, std::vector<std::vector<uint8_t>> addresses);

  // From now on it is known who decided.
  void follow() { steps_.reserve(kMostSteps); }
  Fate pass(const CapturedPacket& captured);
  const filter::Engine& engine() const { return engine_; }
  TimeNs now() const { return now_; }

 private:
  static constexpr size_t kMostSteps = 1 << 16;

  bool is_ours(const filter::Packet& packet, bool destination) const;
  bool is_ours(const CapturedPacket& captured, bool destination) const;  // by its link header
  bool is_ours(ConstBytes address) const;
  // Each is true if it passes.
  bool judge(filter::Packet& packet, filter::Hook hook, bool leaves, Fate& fate);
  bool judge_frame(const CapturedPacket& captured, Bytes bytes, bool leaves, filter::Packet& packet,
                   Fate& fate);
  bool judge_packet(const CapturedPacket& captured, Bytes bytes, bool ip, bool arp, bool leaves,
                    filter::Packet& packet, Fate& fate);
  std::array<uint8_t, 16> own_address(const filter::Packet& packet) const;

  filter::Engine engine_;
  std::unique_ptr<filter::Conntrack> conntrack_;  // if rules ask about connections
  TimeNs now_;  // of the latest packet: captures are not always in order, time is
  std::vector<std::vector<uint8_t>> addresses_;
  filter::Interface network_ = filter::network_interface();
  std::vector<filter::Step> steps_;
};

struct Capture {
  std::vector<uint8_t> file;
  std::vector<CapturedPacket> packets;  // their bytes lie in `file`

  TimeNs begin() const { return packets.empty() ? 0 : packets.front().at; }
};
Result<Capture> open_capture(const std::string& path);

// "10.77.0.2", "fd00::2" or "02:5b:0a:4d:00:02" each.
Result<std::vector<std::vector<uint8_t>>> parse_addresses(const std::vector<std::string>& texts);

// "tcp 10.77.0.3:40000 > 10.77.0.2:80, 60 bytes", "arp request 10.77.0.3 > 10.77.0.2, 28 bytes", "frame
// 02:5b:0a:4d:00:03 > ff:ff:ff:ff:ff:ff, type 0x88cc, 46 bytes"; "" of what has no link header and is no IP.
std::string packet_text(const CapturedPacket& captured);

}  // namespace skerry::ctl
