// A host whose rules have FTP connections read, and what is said on them.
#pragma once

#include <string>

#include "filter/nat_world.hpp"

namespace skerry::filter {

inline constexpr uint32_t kStateKey = 0, kMarkKey = 3, kHelperKey = 6;  // NFT_CT_*
inline constexpr uint8_t kEstablished = 2, kRelated = 4, kNew = 8;

inline Octets helper_object(const Octets& data, const std::string& name = "ftp-std",
                            uint8_t family = nft::kInet) {
  return nft_message(
      nft::kNewObject,
      join(attribute(nft::kObjectTable, text("t")), attribute(nft::kObjectName, text(name)),
           attribute(nft::kObjectType, be32(nft::kObjectHelper)), attribute(nft::kObjectData, data)),
      family);
}
inline Octets helper_words(const std::string& type = "ftp", uint8_t protocol = kProtocolTcp,
                           uint8_t family = nft::kInet) {
  return join(attribute(nft::kHelperName, text(type)), attribute(nft::kHelperFamily, {0, family}),
              attribute(nft::kHelperProtocol, {protocol}));
}
inline Octets help(const std::string& name = "ftp-std") {
  return expression("objref", join(attribute(nft::kObjrefType, be32(nft::kObjectHelper)),
                                   attribute(nft::kObjrefName, text(name))));
}
inline Octets ct(uint32_t key) {
  return expression("ct", join(attribute(nft::kCtTo, be32(1)), attribute(nft::kCtKey, be32(key))));
}
inline Octets state_is(uint8_t bit) {
  return join(ct(kStateKey), cmp(0, {bit, 0, 0, 0}));
}
inline Octets helper_is(const std::string& name) {
  Octets bytes(16);
  std::copy(name.begin(), name.end(), bytes.begin());
  return join(ct(kHelperKey), cmp(0, bytes));
}
inline Octets set_ct_mark(uint8_t mark) {
  return join(immediate(1, {mark, 0, 0, 0}), expression("ct", join(attribute(nft::kCtFrom, be32(1)),
                                                                   attribute(nft::kCtKey, be32(kMarkKey)))));
}

inline Octets said(const Ends& ends, uint32_t seq, uint32_t ack, const std::string& text) {
  return segment(ends, kAck, seq, ack, Octets(text.begin(), text.end()));
}

// A client elsewhere and a server here. What either says ends in a line, unless a test says otherwise.
class FtpTest : public NatTest {
 protected:
  struct Side {
    uint32_t seq;
    Ends ends;
  };

  static Octets usual_rules(const Octets& more = {}) {
    return batch(table(), helper_object(helper_words()), chain("pre", hook(0)),
                 rule("pre", join(port_is(21), help())), more);
  }
  FtpTest() { use(usual_rules()); }

  // A control connection with a line from each side.
  void begin(const Ends& control = kControl) {
    client_ = {1000, control};
    server_ = {5000, control.answer()};
    ASSERT_TRUE(comes(segment(control, kSyn, 999)));
    ASSERT_TRUE(leaves(segment(control.answer(), kSyn | kAck, 4999, 1000)));
    ASSERT_TRUE(comes(segment(control, kAck, 1000, 5000)));
    ASSERT_TRUE(server("220 ready\r\n"));
    ASSERT_TRUE(client("USER me\r\n"));
  }
  // What came of it; it counts as said only if it passed.
  std::optional<Octets> client(const std::string& text) {
    auto passed = comes(said(client_.ends, client_.seq, server_.seq, text));
    if (passed) client_.seq += static_cast<uint32_t>(text.size());
    return passed;
  }
  std::optional<Octets> server(const std::string& text) {
    auto passed = leaves(said(server_.ends, server_.seq, client_.seq, text));
    if (passed) server_.seq += static_cast<uint32_t>(text.size());
    return passed;
  }
  // Each has heard all that the other said.
  void settle() {
    ASSERT_TRUE(comes(segment(client_.ends, kAck, client_.seq, server_.seq)));
    ASSERT_TRUE(leaves(segment(server_.ends, kAck, server_.seq, client_.seq)));
  }
  // What a connection is that begins now; its first packet passes.
  CtState from_client(uint16_t port, uint32_t from = kPeer) {
    EXPECT_TRUE(comes(segment({from, kHost, ++next_port_, port}, kSyn)));
    return packet_.tracked.state;
  }
  CtState from_server(uint16_t port, uint32_t to = kPeer) {
    EXPECT_TRUE(leaves(segment({kHost, to, ++next_port_, port}, kSyn)));
    return packet_.tracked.state;
  }

  static constexpr Ends kControl{kPeer, kHost, 40000, 21};
  Side client_{}, server_{};
  uint16_t next_port_ = 2000;
};

}  // namespace skerry::filter
