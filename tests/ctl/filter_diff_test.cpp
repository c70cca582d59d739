// `skerry filter diff`: which packets fare otherwise, and who is named for it.
#include <gmock/gmock.h>

#include "filter/ftp_world.hpp"
#include "filter_command.hpp"

namespace skerry::ctl {
namespace {

using testing::EndsWith;
using testing::StartsWith;

class FilterDiff : public FilterCommand {
 protected:
  static std::string raw(const filter::Octets& bytes) { return {bytes.begin(), bytes.end()}; }
};

TEST_F(FilterDiff, SaysWhichPacketsFareOtherwiseAndByWhichRule) {
  const std::string before = file("old.nft",
                                  "table ip t {\n chain in {\n  type filter hook input priority 0; policy "
                                  "drop;\n  udp dport 53 accept\n }\n}\n");
  const std::string after = file("new.nft",
                                 "table ip t {\n chain in {\n  type filter hook input priority 0;\n  udp "
                                 "dport 53 accept\n\n  udp dport 54 reject\n }\n}\n");
  const std::string packets = file("p.pcap", capture({packet(53), packet(54), packet(55)}));
  const Ended differs = skerry({"filter", "diff", before, after, "--pcap", packets});
  EXPECT_EQ(differs.status, 1) << differs.err;
  EXPECT_EQ(differs.out, "2  udp 10.0.0.1:5000 > 10.0.0.2:54, 28 bytes\n< drop  " + before +
                             ": ip t in policy\n> reject with icmp code 3  " + after +
                             ":6\n3  udp 10.0.0.1:5000 > 10.0.0.2:55, 28 bytes\n< drop  " + before +
                             ": ip t in policy\n> accept  " + after + ": ip t in policy\n");
  const Ended same = skerry({"filter", "diff", before, before, "--pcap", packets});
  EXPECT_EQ(same.status, 0);
  EXPECT_EQ(same.out, "");
  EXPECT_EQ(skerry({"filter", "diff", before, "/nowhere.nft", "--pcap", packets}).status, 2);
  const Ended json = skerry({"filter", "diff", after, before, "--pcap", packets, "--json"});
  EXPECT_EQ(nlohmann::json::parse(json.out.substr(0, json.out.find('\n')))["old"]["by"], after + ":6");
}

// Behind all rules, of which the last one let it pass.
TEST_F(FilterDiff, WhatNoRuleDropsIsNoRulesDoing) {
  const std::string chain =
                        " chain pre {\n  type filter hook prerouting priority 0;\n  ct state invalid drop\n",
                    before = file("old.nft", "table inet t {\n" + chain + " }\n}\n"),
                    after = file("new.nft",
                                 "table inet t {\n ct helper ftp-std { type \"ftp\" protocol tcp; }\n" +
                                     chain + "  tcp dport 21 ct helper set \"ftp-std\"\n }\n}\n"),
                    nat = file("nat.nft",
                               "table ip t {\n chain pre { type nat hook prerouting priority -100; ip "
                               "protocol sctp redirect to :80; }\n}\n");
  const filter::Ends control{filter::kPeer, filter::kHost, 40000, 21};
  const std::string cut = file(
      "ftp.pcap", capture({raw(filter::segment(control, filter::kSyn, 999)),
                           raw(filter::segment(control.answer(), filter::kSyn | filter::kAck, 4999, 1000)),
                           raw(filter::segment(control, filter::kAck, 1000, 5000)),
                           raw(filter::said(control, 1000, 5000, "USER me\r\n")),
                           raw(filter::said(control, 1009, 5000, "PORT 10,0\r\n"))}));
  const Ended helped = skerry({"filter", "diff", before, after, "--pcap", cut, "--address", "10.0.0.1"});
  EXPECT_EQ(helped.status, 1) << helped.err;
  EXPECT_THAT(helped.out, StartsWith("5  tcp 10.99.0.1:40000 > 10.0.0.1:21, "));
  EXPECT_THAT(helped.out, EndsWith("\n> drop  " + after + ": an announcement (ct helper)\n"));
  const filter::Octets sctp =
      filter::v4(filter::kProtocolSctp, filter::kPeer, filter::kHost, filter::Octets(16));
  const Ended translated = skerry({"filter", "diff", file("none.nft", "flush ruleset\n"), nat, "--pcap",
                                   file("sctp.pcap", capture({raw(sctp)}))});
  EXPECT_THAT(translated.out, EndsWith("\n> drop  " + nat + ": translation\n")) << translated.err;
}

}  // namespace
}  // namespace skerry::ctl
