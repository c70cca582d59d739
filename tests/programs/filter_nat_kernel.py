"""Rules that translate, and the same packets, through the kernel and through our engine. Runs inside a network namespace of its own, as root:

    unshare --net python3 tests/programs/filter_nat_kernel.py SKERRY --seed 1 --rulesets 100 --packets 300

Compares what came of each packet, byte by byte, and all counters. Ends with 1 at a difference, with rules and packets in a folder. With --ftp the flows are FTP's, and what they announce.
"""

import argparse
import json
import random
import socket
import struct
import sys
import tempfile
import time
from pathlib import Path

import filter_ftp
import filter_translations
from filter_kernel import our_tallies
from filter_packets import OUR_MAC, PEER_MAC, pcap
from kernel_rules import SKIPPED, Attempts, Kernel, command, kernel_tallies, must

NEEDED = """
table inet needed {
  chain pre {
    type nat hook prerouting priority -100
    tcp dport 80 redirect to :8080
    dnat ip to tcp dport map { 80 : 10.0.0.1 . 8080 }
  }
  chain post {
    type nat hook postrouting priority 100
    masquerade
    snat ip to 10.0.0.1-10.0.0.9 persistent
  }
}
"""


def forget_flows():
    """Of the namespace (IPCTNL_MSG_CT_DELETE). False: this kernel cannot."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as netfilter:
        netfilter.bind((0, 0))
        netfilter.send(struct.pack("=IHHIIBBH", 20, 1 << 8 | 2, 1 | 4, 1, 0, 0, 0, 0))
        return struct.unpack_from("=i", netfilter.recv(100), 16)[0] == 0


def drawn(layout, sent, theirs, ours):
    """Both sides cannot keep the port of a new flow, and drew another of one class."""
    protocol, at = sent[layout.protocol], layout.transport
    asks = (128, 139) if layout.v6 else (8, 13, 15, 17)
    if theirs is None or ours is None or protocol not in (layout.icmp, 6, 17) or (protocol == layout.icmp and sent[at] not in asks):
        return False
    port, checksum = {layout.icmp: (at + 4, at + 2), 6: (at, at + 16), 17: (at, at + 6)}[protocol]

    def rest(packet):
        return packet[:port] + packet[port + 2:checksum] + packet[checksum + 2:]

    def kind(packet):
        number = int.from_bytes(packet[port:port + 2], "big")
        return protocol == layout.icmp or (number >= 512) + (number >= 1024)
    return rest(theirs) == rest(ours) and kind(theirs) == kind(ours) and sent[port:port + 2] not in (theirs[port:port + 2], ours[port:port + 2])


class Translations(Attempts):
    def __init__(self, skerry, folder, drawn):
        super().__init__()
        self.skerry, self.folder, self.drawn = skerry, folder, drawn
        self.kernel = Kernel()
        if not self.kernel.tracks_as_we_do():
            print("this kernel tracks connections as an older one")
            sys.exit(SKIPPED)
        for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            Path("/proc/sys/net", name).write_text("0")
        for address in filter_translations.OURS[1:]:
            must("ip", "addr", "add", address + "/16", "dev", "eth0")
        for address in reversed(filter_translations.OURS):  # where a rule asks for one, Linux takes the newest and we the first
            must("ip", "addr", "add", filter_translations.v6_text(address) + "/32", "dev", "eth0", "nodad")
        for net in filter_translations.NETS:
            must("ip", "route", "add", net, "via", "10.9.0.2")
            must("ip", "route", "add", filter_translations.v6_text(net), "via", "fd00:9::2", "dev", "eth0")
        code, _, errors = command(["nft", "-f", "-"], filter_ftp.WANTED if drawn is filter_ftp else NEEDED)
        if code:
            print(f"this kernel lacks what the rules need: {errors}")
            sys.exit(SKIPPED)
        self.hosts = [filter_translations.Host(self.kernel.tap, v6) for v6 in (False, True)]

    def differs(self, what):
        raise SystemExit(f"DIFFERENCE: {what}\nthe rules and packets are in {self.folder}")

    def ruleset(self, seed, packets):
        most_s = 1.5  # as with rulesets about connections: what took longer says nothing
        for attempt in range(20):
            draw = random.Random(seed)
            host = self.hosts[draw.random() < .3]
            Path(self.folder, "rules.nft").write_text((self.drawn.rules_v6 if host.layout.v6 else self.drawn.rules)(draw))
            if refused := self.load():
                return self.both_refuse(seed, refused)
            begin = time.monotonic()
            sent, fates = self.drawn.converse(draw, seed + 7919 * attempt, packets, host)
            if time.monotonic() - begin < most_s:
                self.counts["rulesets"] += 1
                self.counts["of IPv6"] += host.layout.v6
                return self.compare(seed, host, sent, fates)
        self.counts["given up"] += 1
        return None

    def load(self):
        must("nft", "flush", "ruleset")
        if not forget_flows():
            print("this kernel does not forget flows when it is asked to")
            sys.exit(SKIPPED)
        code, _, errors = command(["nft", "-f", f"{self.folder}/rules.nft"])
        if code == 0:
            code, _, errors = command(["nft", "-f", "-"], filter_translations.QUIET)
        return errors if code else None

    def engine(self):
        ours = [address for v4 in filter_translations.OURS for address in (v4, filter_translations.v6_text(v4))]
        addresses = [word for address in ours for word in ("--address", address)]
        return command([self.skerry, "filter", "test", f"{self.folder}/rules.nft", "--pcap", f"{self.folder}/packets.pcap", "--json", *addresses])

    def both_refuse(self, seed, refused):
        Path(self.folder, "packets.pcap").write_bytes(pcap([]))
        code, _, errors = self.engine()
        if not code:
            self.differs(f"seed {seed}: the kernel says: {refused}\nwe say nothing")
        self.counts["refused by both"] += 1

    def compare(self, seed, host, sent, fates):
        Path(self.folder, "packets.pcap").write_bytes(pcap([OUR_MAC + PEER_MAC + host.kind + packet for packet in sent]))
        code, output, errors = self.engine()
        if code:
            self.differs(f"seed {seed}: the kernel takes the rules, we say: {errors}")
        ours = json.loads(output)
        for number, (packet, fate, mine) in enumerate(zip(sent, fates, ours["packets"]), 1):
            self.counts["packets"] += 1
            self.counts[mine["verdict"]] += 1
            came = bytes.fromhex(mine.get("translated", packet.hex())) if mine["verdict"] == "accept" else None
            if came != fate and drawn(host.layout, packet, fate, came):
                self.counts["drawn ports"] += 1  # what follows is about another port
                return
            if came != fate:
                self.differs(f"seed {seed}, packet {number}:\n sent   {packet.hex()}\n kernel {fate and fate.hex()}\n ours   {came and came.hex()} {mine}")
            self.counts["translated"] += "translated" in mine
        listing = [item for item in self.kernel.result() if next(iter(item.values())).get("table") != "quiet"]
        theirs, mine = kernel_tallies(listing)[0], our_tallies(ours)[0]
        self.counts["expected"] += sum(tally["packets"] for rule in ours["rules"] if rule["comment"] == "expected" for tally in rule["tallies"])
        self.counts["counters of rules"] += sum(len(tallies) for rules in theirs.values() for tallies in rules)
        for key in sorted(set(theirs) | set(mine)):
            if theirs.get(key) != mine.get(key):
                self.differs(f"seed {seed}, counters of {key}:\n kernel {theirs.get(key)}\n ours   {mine.get(key)}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("skerry")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rulesets", type=int, default=10)
    parser.add_argument("--packets", type=int, default=300)
    parser.add_argument("--ftp", action="store_true", help="FTP and what it announces")
    parser.add_argument("--folder", help="where what differs is kept (default: a new one below /tmp)")
    chosen = parser.parse_args()
    translations = Translations(chosen.skerry, chosen.folder or tempfile.mkdtemp(prefix="skerry-filter-"), filter_ftp if chosen.ftp else filter_translations)
    for seed in range(chosen.seed, chosen.seed + chosen.rulesets):
        translations.attempt(translations.ruleset, seed, chosen.packets)
    print(json.dumps(translations.counts))


if __name__ == "__main__":
    sys.exit(main())
