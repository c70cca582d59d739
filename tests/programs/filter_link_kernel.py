"""The same as filter_kernel.py for the families that see more than IP, netdev and arp. Runs inside a network namespace of its own, as root:

    unshare --net python3 tests/programs/filter_link_kernel.py SKERRY --seed 1 --rulesets 100 --packets 300

What comes enters at a TAP device; what leaves is sent by a packet socket, or is what the kernel answers to those that ask by ARP, and is
read at the TAP device. A frame is known again by its sender's address.
"""

import argparse
import errno
import json
import os
import random
import socket
import sys
import tempfile
from pathlib import Path

from filter_kernel import Comparison, our_tallies
from filter_link_rules import ArpRules, LinkRules, arp, frame, mac_of
from filter_packets import OUR_MAC, OUR_V4, pcap
from kernel_rules import LAST, SKIPPED, Kernel, command, kernel_tallies, must


def probe(family, hook):
    device = " device eth0" if family == "netdev" else ""
    return "\n".join([f"table {family} probe {{", "set passed { typeof ether saddr . meta mark; flags dynamic; size 65535; }", "chain c {",
                      f"type filter hook {hook}{device} priority {LAST}", "add @passed { ether saddr . meta mark }", "}", "}", ""])


class LinkKernel(Kernel):
    def __init__(self):
        super().__init__()
        # Nothing leaves but what is asked for: rules would count it.
        Path("/proc/sys/net/ipv6/conf/eth0/disable_ipv6").write_text("1")
        for kind in ("mcast_solicit", "ucast_solicit"):
            Path("/proc/sys/net/ipv4/neigh/eth0", kind).write_text("0")
        os.set_blocking(self.tap, False)
        self.out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.out.bind(("eth0", 0))
        self.hooks = ["ingress"] if self.takes("ingress", "reject") else []
        # Of what leaves Linux has not always said by what kind of link it came.
        if self.takes("egress", "iiftype ether counter"):
            self.leave(OUR_MAC + mac_of(1) + b"\x88\xcc" + bytes(30))
            if kernel_tallies(self.result())[0]["netdev needed", "c"] == [[(1, 44)]]:
                self.hooks.append("egress")

    def takes(self, hook, rule):
        must("nft", "flush", "ruleset")
        return command(["nft", "-f", "-"], f"table netdev needed {{\nchain c {{\ntype filter hook {hook} device eth0 priority 0\n{rule}\n}}\n}}\n")[0] == 0

    def load_with(self, rules, added):
        must("nft", "flush", "ruleset")
        code, _, errors = command(["nft", "-f", rules])
        if code == 0 and added:
            code, _, errors = command(["nft", "-f", "-"], added)
        return errors if code else None

    def leave(self, frame):
        try:
            self.out.send(frame)
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # as whoever sends what a rule drops is told
                raise

    def received(self):
        """What has left since it was asked last."""
        frames = []
        while True:
            try:
                frames.append(os.read(self.tap, 65536))
            except OSError as error:
                if error.errno == errno.EAGAIN:
                    return frames
                raise


def passed(listing):
    """{sender: mark}"""
    for item in listing:
        each = item.get("set", {})
        if each.get("table") == "probe":
            return {bytes.fromhex(mac.replace(":", "")): mark for mac, mark in (element["concat"] for element in each.get("elem", []))}
    return {}


class LinkComparison(Comparison):
    def agreed(self, seed, text, added, *options):
        """What the engine says of the packets, of rules that both take; None: there are none."""
        for _ in range(10):
            Path(self.folder, "rules.nft").write_text(text)
            refused = self.kernel.load_with(f"{self.folder}/rules.nft", added)
            code, output, errors = command([self.skerry, "filter", "test", f"{self.folder}/rules.nft", "--pcap", f"{self.folder}/packets.pcap", "--json", *options])
            if bool(refused) != bool(code):
                self.differs(f"seed {seed}: the kernel says: {refused}\nwe say: {errors}")
            if not refused:
                self.counts["rulesets"] += 1
                return json.loads(output)
            text = self.without(text, refused)
        self.counts["rulesets given up"] += 1
        return None

    def tallies(self, seed, listing, ours):
        for what, theirs, mine in zip(("counters of rules", "named objects", "counters of elements"), kernel_tallies(listing), our_tallies(ours)):
            self.counts[what] += len(theirs)
            for key in sorted(set(theirs) | set(mine), key=str):
                if theirs.get(key) != mine.get(key):
                    self.differs(f"seed {seed}, {what} {key}:\n kernel {theirs.get(key)}\n ours   {mine.get(key)}")

    def verdicts(self, seed, frames, came, ours):
        for each, fate in zip(frames, ours["packets"]):
            self.counts["packets"] += 1
            dropped = fate["verdict"] == "drop"
            self.counts["drop" if dropped else "accept"] += 1
            mark = came.get(each[6:12])
            if (mark is None) != dropped or (not dropped and mark != fate["mark"]):
                self.differs(f"seed {seed}, frame {int.from_bytes(each[10:12], 'big')}: the kernel's mark {mark}, we say {fate}\n{each.hex()}")

    def link(self, seed, packets, hook):
        rng = random.Random(seed)
        rules = LinkRules(rng, hook)
        frames = [frame(rng, number, hook == "ingress") for number in range(1, packets + 1)]
        Path(self.folder, "packets.pcap").write_bytes(pcap(frames))
        options = [] if hook == "ingress" else [word for each in frames for word in ("--address", each[6:12].hex(":"))]
        ours = self.agreed(seed, rules.text, probe("netdev", hook), *options)
        if ours is None:
            return
        for each in frames:
            if hook == "ingress":
                self.kernel.send([each])
            else:
                self.kernel.leave(each)
        self.kernel.received()
        listing = self.kernel.result()
        self.verdicts(seed, frames, passed(listing), ours)
        self.tallies(seed, listing, ours)

    def arp_in(self, seed, packets):
        rng = random.Random(seed)
        rules = ArpRules(rng, "input")
        frames = [rng.choice([OUR_MAC, b"\xff" * 6]) + mac_of(number) + b"\x08\x06" + arp(rng, number) for number in range(1, packets + 1)]
        Path(self.folder, "packets.pcap").write_bytes(pcap(frames))
        ours = self.agreed(seed, rules.text, probe("arp", "input"))
        if ours is None:
            return
        self.kernel.send(frames)
        self.kernel.received()
        listing = self.kernel.result()
        self.verdicts(seed, frames, passed(listing), ours)
        self.tallies(seed, listing, ours)

    def arp_out(self, seed, packets):
        """Those that the kernel answers without rules, and with them."""
        rng = random.Random(seed)
        rules = ArpRules(rng, "output")
        asks = [OUR_MAC + mac_of(number) + b"\x08\x06" + arp(rng, number, 1, OUR_V4) for number in range(1, packets + 1)]
        asks = [each for each in asks if each[14:18] == b"\0\1\x08\0"]
        answers = [each[6:12] + OUR_MAC + each[12:20] + b"\0\2" + OUR_MAC + OUR_V4 + each[22:32] for each in asks]
        Path(self.folder, "packets.pcap").write_bytes(pcap(answers))
        ours = self.agreed(seed, rules.text, None, "--address", "10.9.0.1")
        if ours is None:
            return
        self.kernel.received()
        self.kernel.send(asks)
        came = {each[:6]: each for each in self.kernel.received() if each[12:14] == b"\x08\x06" and each[6:12] == OUR_MAC}
        for each, fate in zip(answers, ours["packets"]):
            self.counts["packets"] += 1
            self.counts["answers"] += 1
            self.counts[fate["verdict"]] += 1
            expected = None if fate["verdict"] == "drop" else each[:14] + bytes.fromhex(fate.get("translated", each[14:].hex()))
            if came.get(each[:6]) != expected:
                self.differs(f"seed {seed}, answer to {each[:6].hex()}: the kernel sends {came.get(each[:6])}, we say {fate}\n{each.hex()}")
        self.tallies(seed, self.kernel.result(), ours)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("skerry")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rulesets", type=int, default=10)
    parser.add_argument("--packets", type=int, default=300)
    parser.add_argument("--folder", help="where what differs is kept (default: a new one below /tmp)")
    chosen = parser.parse_args()
    folder = chosen.folder or tempfile.mkdtemp(prefix="skerry-filter-")
    kernel = LinkKernel()
    if "ingress" not in kernel.hooks:
        print("this kernel has no chains at links")
        sys.exit(SKIPPED)
    comparison = LinkComparison(chosen.skerry, kernel, folder)
    for seed in range(chosen.seed, chosen.seed + chosen.rulesets):
        kind = seed % 5
        if kind == 0:
            comparison.attempt(comparison.arp_in, seed, chosen.packets)
        elif kind == 1:
            comparison.attempt(comparison.arp_out, seed, min(chosen.packets, 100))
        elif kind == 2 and "egress" in kernel.hooks:
            comparison.attempt(comparison.link, seed, chosen.packets, "egress")
        else:
            comparison.attempt(comparison.link, seed, chosen.packets, "ingress")
    print(json.dumps(comparison.counts))


if __name__ == "__main__":
    sys.exit(main())
