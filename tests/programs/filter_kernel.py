"""The same rules and the same packets through the kernel and through our engine. Runs inside a network namespace of its own, as root:

    unshare --net python3 tests/programs/filter_kernel.py SKERRY --seed 1 --rulesets 1000 --packets 1000

Each packet of ours enters at a TAP device. Rules of the kernel's own, before and behind those that are tried, note in sets which packets
came past them and with which mark. Prints what was compared; ends with 1 at a difference, with the ruleset and the packet in a folder.
"""

import argparse
import collections
import json
import os
import random
import re
import sys
import tempfile
import time
from pathlib import Path

import filter_connections
from filter_packets import frame, pcap
from filter_rules import DYNAMIC, Rules
from kernel_rules import Attempts, Kernel, command, kernel_tallies, passed


def our_tallies(result):
    rules, objects, elements = collections.defaultdict(list), {}, collections.Counter()
    for rule in result["rules"]:
        rules[(rule["table"], rule["chain"])].append([(t["packets"], t["bytes"]) for t in rule["tallies"] if t and "packets" in t])
    for each in result["objects"]:
        tally = each["tally"]
        if tally is not None:
            objects[(each["table"], each["name"])] = (tally["packets"], tally["bytes"]) if "packets" in tally else tally["used"]
    for each in result["elements"]:
        counter = next((tally for tally in each["tallies"] if tally), {})
        key = each["key"] if each["set"] in DYNAMIC else ""
        if key or counter:
            elements[(each["table"], each["set"], key, counter.get("packets"), counter.get("bytes"))] += 1
    return dict(rules), objects, elements


def number_of(each):
    if each[12:14] == b"\x08\x00":
        return ("4", int.from_bytes(each[18:20], "big")) if len(each) >= 20 else None
    return ("6", int.from_bytes(each[16:18], "big")) if len(each) >= 18 else None


class Comparison(Attempts):
    def __init__(self, skerry, kernel, folder):
        super().__init__()
        self.skerry, self.kernel, self.folder = skerry, kernel, folder

    def differs(self, what):
        raise SystemExit(f"DIFFERENCE: {what}\nthe rules and packets are in {self.folder}")

    def engine(self):
        return command([self.skerry, "filter", "test", f"{self.folder}/rules.nft", "--pcap", f"{self.folder}/packets.pcap", "--json"])

    def ruleset(self, seed, packets):
        rng = random.Random(seed)
        late = rng.random() < .4
        rules = Rules(rng, late)
        frames = [frame(rng, number, wild=not late and rng.random() < .5, later=not self.kernel.reads_later_pieces) for number in range(1, packets + 1)]
        Path(self.folder, "packets.pcap").write_bytes(pcap(frames))
        text = rules.text
        for _ in range(10):
            Path(self.folder, "rules.nft").write_text(text)
            refused = self.kernel.load(f"{self.folder}/rules.nft")
            code, output, errors = self.engine()
            if bool(refused) != bool(code):
                self.differs(f"seed {seed}: the kernel says: {refused}\nwe say: {errors}")
            if not refused:
                break
            # Not every rule that can be drawn has a meaning. Those that both refuse are left out.
            text = self.without(text, refused)
        else:
            self.counts["rulesets given up"] += 1
            return
        self.kernel.send(frames)
        self.counts["rulesets"] += 1
        self.compare(seed, late, frames, self.kernel.result(), json.loads(output))

    def connections(self, seed, packets):
        """Flows through rules that say in the packets' marks what tracking says."""
        most_s = 1.5  # a flow's state depends on the time from two seconds on: what took longer says nothing, and is done again
        for attempt in range(20):
            rng = random.Random(seed)
            text = filter_connections.rules(rng)
            frames = filter_connections.frames(rng, seed + 7919 * attempt, packets)
            Path(self.folder, "rules.nft").write_text(text)
            Path(self.folder, "packets.pcap").write_bytes(pcap(frames))
            refused = self.kernel.load(f"{self.folder}/rules.nft")
            code, output, errors = self.engine()
            if refused or code:
                self.differs(f"seed {seed}: the kernel says: {refused}\nwe say: {errors}")
            begin = time.monotonic()
            self.kernel.send(frames)
            if time.monotonic() - begin < most_s:
                self.counts["rulesets about connections"] += 1
                return self.compare(seed, False, frames, self.kernel.result(), json.loads(output))
        self.counts["given up"] += 1
        return None

    def symmetric(self, seed, packets):
        """The kernel's symhash has a secret: not what it is can be compared, but which packets have the same."""
        rng = random.Random(seed)
        Path(self.folder, "rules.nft").write_text("table inet t {\nchain c {\ntype filter hook prerouting priority 0\nmeta mark set symhash mod 4294967295\n}\n}\n")
        ends = filter_connections.frames(rng, seed, packets)
        frames = [frame(rng, number, wild=True, later=True) if rng.random() < .5 else ends[number - 1] for number in range(1, packets + 1)]
        Path(self.folder, "packets.pcap").write_bytes(pcap(frames))
        refused = self.kernel.load(f"{self.folder}/rules.nft")
        code, output, errors = self.engine()
        if refused or code:
            self.differs(f"symhash: the kernel says: {refused}\nwe say: {errors}")
        self.kernel.send(frames)
        pre = passed(self.kernel.result(), "pre")
        theirs, ours = {}, {}
        for each, fate in zip(frames, json.loads(output)["packets"]):
            if number_of(each) not in pre:
                continue
            hash_ = pre[number_of(each)]
            if theirs.setdefault(hash_, fate["mark"]) != fate["mark"] or ours.setdefault(fate["mark"], hash_) != hash_:
                self.differs(f"seed {seed}: packets that are alike to one symhash are not to the other: {theirs[hash_]}, {fate}\n{each.hex()}")
        self.counts["flows by symhash"] += len(theirs)

    def without(self, text, refused):
        lines = text.split("\n")
        for place in re.finditer(r"^[^\n]*rules.nft:(\d+):[^\n]*Error: ([^\n]*)", refused, re.MULTILINE):
            self.counts["rules refused by both"] += 1
            if os.environ.get("SKERRY_VERBOSE"):
                print(place.group(2), "|", lines[int(place.group(1)) - 1], file=sys.stderr)
            lines[int(place.group(1)) - 1] = ""
        return "\n".join(lines)

    def compare(self, seed, late, frames, listing, ours):
        pre, came, into = (passed(listing, name) for name in ("pre", "came", "in"))
        for each, fate in zip(frames, ours["packets"]):
            number = number_of(each)
            self.counts["packets"] += 1
            self.counts[fate["verdict"]] += 1
            late_drop = fate.get("hook") == "input"
            if (number in pre) != (fate["verdict"] == "accept" or late_drop):
                self.differs(f"seed {seed}, packet {number} at prerouting: kernel {number in pre}, we {fate}\n{each.hex()}")
            if late and number in pre and (number not in came or (number in into) == late_drop):
                self.differs(f"seed {seed}, packet {number} at input: kernel {number in into}, we {fate}\n{each.hex()}")
            mark = (into if late else pre).get(number)
            if fate["verdict"] == "accept" and mark != fate["mark"]:
                self.differs(f"seed {seed}, packet {number}: the kernel marks it {mark}, we say {fate}\n{each.hex()}")
        for what, theirs, mine in zip(("counters of rules", "named objects", "counters of elements"), kernel_tallies(listing), our_tallies(ours)):
            self.counts[what] += len(theirs)
            for key in sorted(set(theirs) | set(mine), key=str):
                if theirs.get(key) != mine.get(key):
                    self.differs(f"seed {seed}, {what} {key}:\n kernel {theirs.get(key)}\n ours   {mine.get(key)}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("skerry")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rulesets", type=int, default=10)
    parser.add_argument("--packets", type=int, default=300)
    parser.add_argument("--connections", type=int, default=0, help="rulesets about connections, beside the others")
    parser.add_argument("--folder", help="where what differs is kept (default: a new one below /tmp)")
    chosen = parser.parse_args()
    folder = chosen.folder or tempfile.mkdtemp(prefix="skerry-filter-")
    comparison = Comparison(chosen.skerry, Kernel(), folder)
    for seed in range(chosen.seed, chosen.seed + chosen.rulesets):
        comparison.attempt(comparison.ruleset, seed, chosen.packets)
    comparison.attempt(comparison.symmetric, chosen.seed, 1000)
    if chosen.connections and not comparison.kernel.tracks_as_we_do():
        chosen.connections = 0
    for seed in range(chosen.seed, chosen.seed + chosen.connections):
        comparison.attempt(comparison.connections, seed, chosen.packets)
    comparison.counts["connections compared"] = chosen.connections
    print(json.dumps(comparison.counts))


if __name__ == "__main__":
    sys.exit(main())
