"""The same as filter_kernel.py for family bridge: the same frames through a bridge of Linux and through our switch, with the same rules. Runs
inside a network namespace of its own, as root:

    unshare --net python3 tests/programs/filter_bridge_kernel.py BENCH-SWITCH --seed 1 --rulesets 100 --packets 300

The bridge has four TAP devices as its ports; what leaves by one is read there, so that every byte of every copy is compared. Frames that our
switch refuses before any rule is asked, because their headers of IPv4 are not sound, do not enter the bridge either.
"""

import argparse
import fcntl
import json
import os
import random
import struct
import sys
import tempfile
from pathlib import Path

from filter_link_kernel import LinkComparison
from filter_link_rules import BridgeRules, PORTS, bridged
from kernel_rules import IFF_NO_PI, IFF_TAP, SKIPPED, TUNSETIFF, command, listing, must

NEEDED = """
table bridge needed {
  set d { type ether_addr; flags dynamic; size 10; }
  chain in {
    type filter hook prerouting priority 0
    ether saddr 02:00:00:00:00:01 vlan id 5 iifname "p0" counter limit rate 1/day quota 5 bytes
    ip saddr 10.0.0.1 tcp dport { 1-3 } ip ttl set 1 meta mark set 1 add @d { ether saddr } accept
    arp operation request meta pkttype other drop
  }
  chain out { type filter hook postrouting priority 0; oifname "p1" drop; }
}
"""


class BridgeKernel:
    def __init__(self):
        code, _, errors = command(["ip", "link", "add", "br0", "type", "bridge", "mcast_snooping", "0", "stp_state", "0", "forward_delay", "0"])
        if code:
            self.lacks(errors)
        # Where br_netfilter is in the kernel a bridge also gives its frames to the chains of IP, and cuts off what is behind their packets.
        for switch in Path("/proc/sys/net/bridge").glob("bridge-nf-call-*"):
            switch.write_text("0")
        Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
        Path("/proc/sys/net/ipv6/conf/br0/disable_ipv6").write_text("1")
        self.taps = []
        for name in PORTS:
            tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
            self.taps.append(tap)
        # A bridge gives what is for many to the port that came last first, and rules may count.
        for name in reversed(PORTS):
            must("ip", "link", "set", name, "master", "br0", "up")
        must("ip", "link", "set", "br0", "address", "02:5b:0b:00:00:01", "up")
        code, _, errors = command(["nft", "-f", "-"], NEEDED)
        if code:
            self.lacks(errors)

    def lacks(self, errors):
        print(f"this kernel lacks what the rules need: {errors}")
        sys.exit(SKIPPED)

    def load_with(self, rules, added):
        must("nft", "flush", "ruleset")
        must("ip", "link", "set", "br0", "type", "bridge", "fdb_flush")
        code, _, errors = command(["nft", "-f", rules])
        return errors if code else None

    def pass_(self, port, frame):
        """{port: bytes} of what leaves."""
        os.write(self.taps[port], frame)
        left = {}
        for number, tap in enumerate(self.taps):
            while True:
                try:
                    each = os.read(tap, 65536)
                except BlockingIOError:
                    break
                if number in left:
                    raise SystemExit(f"the bridge sends twice by {PORTS[number]}: {left[number].hex()}, {each.hex()}")
                left[number] = each
        return left

    def result(self):
        return listing()


class BridgeComparison(LinkComparison):
    def ruleset(self, seed, packets):
        rng = random.Random(seed)
        text = BridgeRules(rng).text
        frames = [(rng.randrange(len(PORTS)), bridged(rng, number)) for number in range(1, packets + 1)]
        Path(self.folder, "frames").write_text("".join(f"{port} {frame.hex()}\n" for port, frame in frames))
        ours = self.agreed_at_switch(seed, text)
        if ours is None:
            return
        for (port, frame), fate in zip(frames, ours["frames"]):
            if "kept" in fate:
                self.counts["kept"] += 1
                continue
            self.counts["packets"] += 1
            left = self.kernel.pass_(port, frame)
            mine = {int(number): bytes.fromhex(each) for number, each in fate["left"].items()}
            self.counts["accept" if left else "drop"] += 1
            self.counts["copies"] += len(left)
            self.counts["rewritten"] += any(each != frame for each in left.values())
            if left != mine:
                differ = {PORTS[number]: (left.get(number, b"").hex(), mine.get(number, b"").hex()) for number in set(left) | set(mine) if left.get(number) != mine.get(number)}
                self.differs(f"seed {seed}, from {PORTS[port]} {frame.hex()}:\n (the kernel's, ours) {differ}")
        self.tallies(seed, self.kernel.result(), ours)

    def agreed_at_switch(self, seed, text):
        for _ in range(10):
            Path(self.folder, "rules.nft").write_text(text)
            refused = self.kernel.load_with(f"{self.folder}/rules.nft", None)
            code, output, errors = command([self.skerry, f"{self.folder}/rules.nft", f"{self.folder}/frames", *PORTS])
            if bool(refused) != bool(code):
                self.differs(f"seed {seed}: the kernel says: {refused}\nwe say: {errors}")
            if not refused:
                self.counts["rulesets"] += 1
                return json.loads(output)
            text = self.without(text, refused)
        self.counts["rulesets given up"] += 1
        return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bench_switch")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rulesets", type=int, default=10)
    parser.add_argument("--packets", type=int, default=300)
    parser.add_argument("--folder", help="where what differs is kept (default: a new one below /tmp)")
    chosen = parser.parse_args()
    folder = chosen.folder or tempfile.mkdtemp(prefix="skerry-filter-")
    comparison = BridgeComparison(chosen.bench_switch, BridgeKernel(), folder)
    for seed in range(chosen.seed, chosen.seed + chosen.rulesets):
        comparison.attempt(comparison.ruleset, seed, chosen.packets)
    print(json.dumps(comparison.counts))


if __name__ == "__main__":
    sys.exit(main())
