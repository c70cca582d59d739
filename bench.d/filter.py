#!/usr/bin/python3
# What rules cost a packet: the kernel's nftables and ours, from one rule to ten thousand
"""Each ruleset is loaded into a network namespace of its own and into our engine; then packets that no rule holds for, which is the
worst case, go through both: from a thousand addresses between those that the rules name, so that looking at one end of them does not tell. Of the kernel's time for a packet (written to a TAP device) that with an empty chain is taken away, in short turns; of ours
nothing is: reading the headers is counted. Needs root.

`ip` and `inet` are the kernel's two families; `linear` is our interpreter rule after rule, and element after element, `ours` with its indexes. Each packet is judged;
the ratio is that of `ours`. `again` is what a stack has in hand besides: the same packets where they pass (policy accept) and those that are
alike are remembered.

`typical` are the rules of a host that tracks connections, and packets of flows that were answered; there `linear` judges each of them,
and `ours`, like `again`, remembers those that are alike, as a stack does. Both track all.
"""

import argparse
import fcntl
import ipaddress
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from lab import host_rules

BUILD = ROOT / "build"
KERNEL_TURNS = 60  # of empty and rules in a round, where few rules are little beside what a packet takes without them
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454ca, 2, 0x1000


def address(number):
    """The first of sixteen; the packets come from the tenth of some rule's."""
    number *= 16
    return f"10.{100 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def pair(number):
    return f"{address(number)}-{ipaddress.ip_address(address(number)) + 1}"


def rules_of(kind, count):
    if kind == "one field":
        return [f"ip saddr {address(i)} accept" for i in range(count)]
    if kind == "five fields":
        return [f"ip saddr {address(i)} ip daddr 10.9.0.1 tcp sport {1000 + i % 5000} tcp dport {i % 60000} ip ttl 64 accept" for i in range(count)]
    if kind == "mixed masks":
        # Prefixes of 16 to 32 bits with one of two ports: 34 ways to compare. Packets lie in many of the prefixes, and no port tells the rules apart.
        prefixes = [ipaddress.ip_network((address(i), 16 + i % 17), strict=False) for i in range(count)]
        return [f"ip saddr {prefix} tcp {'dport' if i % 2 else 'sport'} 1000 accept" for i, prefix in enumerate(prefixes)]
    separator = ", "
    if kind == "hash set":
        elements, types = (address(i) for i in range(count)), "type ipv4_addr"
    elif kind == "interval set":
        elements, types = map(pair, range(count)), "type ipv4_addr; flags interval"
    else:
        elements, types = (f"{pair(i)} . {i % 60000}-{i % 60000 + 1}" for i in range(count)), "type ipv4_addr . inet_service; flags interval"
    key = "ip saddr . tcp dport" if kind == "concatenated ranges" else "ip saddr"
    return {"set": f"set s {{ {types}; elements = {{ {separator.join(elements)} }}\n}}", "rules": [f"{key} @s accept"]}


def ruleset(family, kind, count):
    made = rules_of(kind, count) if count else []
    sets, rules = (made["set"], made["rules"]) if isinstance(made, dict) else ("", made)
    return "\n".join([f"table {family} t {{", sets, "chain c {", "type filter hook prerouting priority 0; policy drop", *rules, "}", "}", ""])


def typical(family, last):
    """The rules of a host; `last`: behind them nothing passes, so that nobody's time for what passes is counted."""
    return f"""table {family} t {{
{host_rules.BLOCKED}chain c {{
type filter hook prerouting priority 0; policy drop
{host_rules.incoming()}}}
}}
""" + (LAST if last else "")


LAST = """table ip last {
chain c {
type filter hook prerouting priority 300; policy drop
}
}
"""
SHORT = {"one field": "linear", "five fields": "linear5", "mixed masks": "mixed", "hash set": "hash", "interval set": "interval",
         "concatenated ranges": "concat"}
CASES = [(kind, count) for kind in ("one field", "five fields", "mixed masks") for count in (1, 10, 100, 1000, 10000)]
CASES += [("hash set", count) for count in (100, 10000, 100000)] + [("interval set", count) for count in (100, 10000, 100000)]
CASES += [("concatenated ranges", 100), ("concatenated ranges", 1000), ("typical", 0)]


def run(words, **options):
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, **options)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))} ended with {done.returncode}: {done.stderr.strip()[:500]}")
    return done.stdout


class Kernel:
    def __init__(self):
        self.tap = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(self.tap, TUNSETIFF, struct.pack("16sH22x", b"eth0", IFF_TAP | IFF_NO_PI))
        run(["ip", "link", "set", "eth0", "address", "02:00:00:00:00:01", "up"])
        run(["ip", "addr", "add", "10.9.0.1/16", "dev", "eth0"])
        run(["ip", "neigh", "add", "10.9.0.2", "lladdr", "02:00:00:00:00:02", "dev", "eth0", "nud", "permanent"])
        self.server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.server.bind(("10.9.0.1", 53))
        self.server.settimeout(10)

    def load(self, text):
        run(["nft", "-f", "-"], input="flush ruleset\n" + text)

    def cost(self, packets, rules=0, what="write"):
        return float(run([BUILD / "bench-filter", what, str(self.tap), str(packets), str(rules)], pass_fds=[self.tap]))

    def answer_flows(self):
        """Each flow once more in both directions: it is established then."""
        self.cost(0, what="write-flows")
        for _ in range(64):
            self.server.sendto(*self.server.recvfrom(100))
        flows = int(Path("/proc/sys/net/netfilter/nf_conntrack_count").read_text())
        if flows < 64:
            raise SystemExit(f"the kernel tracks {flows} flows of 64")


def ours(text, packets, rules, folder, what="judge"):
    with open(Path(folder, "batch"), "wb") as batch:
        done = subprocess.run([BUILD / "skerry-nftc", "lo", "eth0"], input=text.encode(), stdout=batch, stderr=subprocess.PIPE, timeout=300)
    if done.returncode:
        raise SystemExit(f"skerry-nftc: {done.stderr.decode()[:500]}")
    return [float(line) for line in run([BUILD / "bench-filter", what, Path(folder, "batch"), str(packets), str(rules)]).splitlines()]


def note(seen, family, pairs):
    """What the kernel took behind an empty chain, and how much more behind rules: the middle of the pairs of a round."""
    seen["empty"].append(statistics.median(empty for empty, _ in pairs))
    seen[family].append(statistics.median(more for _, more in pairs))


def measure(kind, count, rounds, kernel, folder):
    """Nanoseconds a packet of each round, by way."""
    seen = {"empty": [], "ip": [], "inet": [], "linear": [], "ours": [], "again": []}
    turns = max(1, min(KERNEL_TURNS, 2000 // count))
    heavy = max(1, count if kind in ("one field", "five fields", "mixed masks") else count // 10 if kind == "concatenated ranges" else 1)
    packets = max(2_000, min(200_000, 20_000_000 // heavy))
    one_by_one = max(2_000, min(packets, 20_000_000 // count))
    for _ in range(rounds):
        for family in ("ip", "inet"):
            pairs = []
            for _ in range(turns):
                kernel.load(ruleset(family, kind, 0))
                empty = kernel.cost(max(2_000, packets // turns), count)
                kernel.load(ruleset(family, kind, count))
                pairs.append((empty, kernel.cost(max(2_000, packets // turns), count) - empty))
            note(seen, family, pairs)
        for way, cost in zip(("linear", "ours", "again"), ours(ruleset("ip", kind, count), one_by_one, count, folder)):
            seen[way].append(cost)
    return seen


def measure_typical(rounds, packets, kernel, folder):
    seen = {"empty": [], "ip": [], "inet": [], "linear": [], "ours": [], "again": []}
    for _ in range(rounds):
        for family in ("ip", "inet"):
            pairs = []
            for _ in range(KERNEL_TURNS):
                kernel.load(LAST)
                empty = kernel.cost(packets // KERNEL_TURNS, what="write-flows")
                kernel.load(typical(family, last=False))
                kernel.answer_flows()
                kernel.load(typical(family, last=True))
                pairs.append((empty, kernel.cost(packets // KERNEL_TURNS, what="write-flows") - empty))
            note(seen, family, pairs)
        linear, remembers = ours(typical("ip", last=False), packets, 0, folder, "judge-flows")
        seen["linear"].append(linear)
        seen["ours"].append(remembers)
        seen["again"].append(remembers)
    return seen


def line(kind, count, seen):
    """As every bench writes it: nanoseconds a packet, the kernel's in its fastest family; the ratio is how many times ours is better."""
    ours, kernel = statistics.median(seen["ours"]), statistics.median(seen["ip"])
    return {"bench": "filter", "case": f"{SHORT[kind]}_{count}" if count else kind, "ours": ours, "kernel": kernel, "ratio": kernel / ours, "unit": "ns/packet",
            "ours_runs": seen["ours"], "kernel_runs": seen["ip"], "kernel_inet_runs": seen["inet"], "ours_without_index_runs": seen["linear"], "ours_again_runs": seen["again"]}


def main():
    parser = argparse.ArgumentParser(prog="./bench filter", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="interleaved rounds (5)")
    parser.add_argument("--quick", action="store_true", help="one round of the smaller cases: a look, not a figure to quote")
    parser.add_argument("--rules", type=lambda text: [int(word) for word in text.split(",")], metavar="N,M", help="only cases with so many rules or elements")
    parser.add_argument("--json", metavar="FILE", help="also write one JSON object a line, one line a case")
    options = parser.parse_args()
    if os.geteuid():
        raise SystemExit("./bench filter needs root, for the kernel's side")
    if not os.environ.get("SKERRY_BENCH_FILTER"):
        os.environ["SKERRY_BENCH_FILTER"] = "1"
        os.execvp("unshare", ["unshare", "--net", sys.executable, "-B", *sys.argv])
    kernel, out = Kernel(), open(options.json, "w") if options.json else None
    print(f"{'rules':28}{'kernel ip':>12}{'inet':>10}{'linear':>10}{'ours':>9}   kernel ip / ours{'again':>9}   [ns a packet]")
    with tempfile.TemporaryDirectory(prefix="skerry-bench-") as folder:
        for kind, count in CASES:
            if (options.quick and count > 1000) or (options.rules and count not in options.rules):
                continue
            rounds = 1 if options.quick else options.rounds
            seen = measure(kind, count, rounds, kernel, folder) if count else measure_typical(rounds, 200_000, kernel, folder)
            row = {way: statistics.median(runs) for way, runs in seen.items()}
            print(f"{count or '':>7} {kind:20}{row['ip']:12.0f}{row['inet']:10.0f}{row['linear']:10.0f}{row['ours']:9.0f}{row['ip'] / row['ours']:12.1f} ×{row['again']:14.0f}", flush=True)
            if out:
                print(json.dumps(line(kind, count, seen)), file=out, flush=True)


if __name__ == "__main__":
    main()
