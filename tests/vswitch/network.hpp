// A switch with stations plugged in over LocalLinks, for tests: stations send octets and see what arrives.
#pragma once

#include <memory>
#include <vector>

#include "frames.hpp"
#include "link/local_link.hpp"
#include "vswitch/vswitch.hpp"

namespace skerry::vswitch {

class Network {
 public:
  struct Received {
    Octets bytes;
    Frame marks;
  };

  explicit Network(const MacTableLimits& limits = {}) : vswitch(limits, 0x1234567) {}

  // Plugs in a station with mac_of(number) and address_of(number), joined to nobody.
  PortId add(uint8_t number, bool uplink = false, const SlotGeometry& geometry = {},
             uint32_t max_frame = kMaxFrame) {
    return add({mac_of(number), {address_of(number)}, uplink}, geometry, max_frame);
  }
  PortId add(const PortSettings& settings, const SlotGeometry& geometry = {},
             uint32_t max_frame = kMaxFrame) {
    LinkFacts facts;
    facts.max_frame = max_frame;
    facts.takes_unfinished = facts.segments_tcp4 = max_frame > 1514;
    auto wire = std::make_unique<LocalWire>(facts, facts, geometry);
    Result<PortId> id = vswitch.add_port(settings, wire->a());
    CHECK(id);
    wires_[*id] = std::move(wire);
    return *id;
  }
  void remove(PortId id) {
    vswitch.remove_port(id);
    wires_[id].reset();
  }
  void join_all() {
    for (PortId a = 0; a < kMaxPorts; ++a)
      for (PortId b = 0; b < a; ++b)
        if (wires_[a] && wires_[b]) vswitch.set_joined(a, b, true);
  }

  void send(PortId from, const Octets& bytes, Frame marks = {}) {
    LocalLink& station = wires_[from]->b();
    const std::optional<Frame> slot = station.allocate(static_cast<uint32_t>(bytes.size()));
    CHECK(slot.has_value());
    std::memcpy(station.data(*slot).data(), bytes.data(), bytes.size());
    marks.slot = slot->slot;
    marks.offset = slot->offset;
    marks.length = slot->length;
    CHECK(station.send({&marks, 1}) == 1);
  }

  void breathe(TimeNs now = 0) {
    vswitch.rx(now);
    vswitch.tx(now);
  }

  std::vector<Received> received(PortId at) {
    LocalLink& station = wires_[at]->b();
    std::vector<Received> result;
    for (;;) {
      FrameBatch batch;
      station.receive(batch);
      if (batch.count == 0) return result;
      for (const Frame& frame : batch.view()) {
        const Bytes bytes = station.data(frame);
        result.push_back({Octets(bytes.begin(), bytes.end()), frame});
        station.give_back(frame);
      }
    }
  }
  size_t received_count(PortId at) { return received(at).size(); }

  uint64_t dropped(PortId id, Drop reason) const {
    return vswitch.counters(id).drops[static_cast<size_t>(reason)];
  }

  LocalLink& station(PortId id) { return wires_[id]->b(); }

  Vswitch<LocalLink> vswitch;

 private:
  std::unique_ptr<LocalWire> wires_[kMaxPorts];
};

}  // namespace skerry::vswitch
