"""The filter gives the kernel's verdicts, marks and counters, on rules and packets drawn from seeds.

By hand, for as long as one likes: SKERRY_FILTER_RULESETS=1000 SKERRY_FILTER_CONNECTIONS=1000 SKERRY_FILTER_TRANSLATIONS=1000 SKERRY_FILTER_CONVERSATIONS=1000 SKERRY_FILTER_LINKS=1000 SKERRY_FILTER_BRIDGES=1000
SKERRY_FILTER_PACKETS=1000 ./test programs;
the seed with which the rulesets begin is SKERRY_FILTER_SEED.
"""

import json
import os
import shutil
import tempfile
import unittest
from pathlib import Path

from kernel_rules import SKIPPED
from lab.process import run
from skerry_case import needs_tap

ROOT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("filter_kernel.py")
NAT_WORKER = Path(__file__).with_name("filter_nat_kernel.py")
LINK_WORKER = Path(__file__).with_name("filter_link_kernel.py")
BRIDGE_WORKER = Path(__file__).with_name("filter_bridge_kernel.py")


class TheKernel(unittest.TestCase):
    RULESETS = int(os.environ.get("SKERRY_FILTER_RULESETS", 60))
    CONNECTIONS = int(os.environ.get("SKERRY_FILTER_CONNECTIONS", 30))
    TRANSLATIONS = int(os.environ.get("SKERRY_FILTER_TRANSLATIONS", 40))
    CONVERSATIONS = int(os.environ.get("SKERRY_FILTER_CONVERSATIONS", 30))
    LINKS = int(os.environ.get("SKERRY_FILTER_LINKS", 40))
    BRIDGES = int(os.environ.get("SKERRY_FILTER_BRIDGES", 40))
    PACKETS = int(os.environ.get("SKERRY_FILTER_PACKETS", 300))
    SEED = int(os.environ.get("SKERRY_FILTER_SEED", 1))

    def setUp(self):
        code, output = run(["unshare", "--net", "nft", "add", "table", "inet", "t"], timeout_s=20, check=False)
        if code:
            self.skipTest(f"this kernel takes no nftables rules: {output.strip()}")

    def compared(self, worker, product, rulesets, *options, more=0):
        """What `worker` counted while it compared so many drawn rulesets with the kernel's, which agreed."""
        folder = tempfile.mkdtemp(prefix="skerry-filter-")
        code, output = run(["unshare", "--net", "python3", "-B", worker, ROOT / "build" / product, "--seed", self.SEED, "--rulesets", rulesets, "--packets", self.PACKETS,
                            "--folder", folder, *options], timeout_s=100 + rulesets + more, check=False, whole_group=True)
        if code == SKIPPED:
            self.skipTest(output)
        self.assertEqual(code, 0, output)
        shutil.rmtree(folder)
        return json.loads(output)

    def enough_were_compared(self, counts, rulesets):
        without = sum(counts.get(why, 0) for why in ("given up", "refused by both", "rulesets that nft does not list"))
        self.assertEqual(counts.get("rulesets", 0) + without, rulesets, counts)
        if counts.get("given up", 0) > rulesets * .1:
            self.skipTest(f"this machine was too slow for {counts['given up']} of {rulesets} rulesets; the others agree")

    @needs_tap
    def test_agrees_with_us(self):
        counts = self.compared(WORKER, "skerry", self.RULESETS, "--connections", self.CONNECTIONS, more=self.CONNECTIONS)
        # So that it cannot pass because nothing was compared.
        self.assertGreaterEqual(counts["rulesets"], self.RULESETS * .9, counts)
        too_slow = counts.get("given up", 0)
        unlisted = counts.get("rulesets that nft does not list", 0)
        self.assertGreaterEqual(counts.get("rulesets about connections", 0) + too_slow + unlisted, counts["connections compared"], counts)
        for what in ("counters of rules", "named objects", "counters of elements"):
            self.assertGreaterEqual(counts[what], self.RULESETS, counts)
        self.assertGreaterEqual(counts["flows by symhash"], 300, counts)
        self.assertGreaterEqual(min(counts["accept"], counts["drop"]), counts["packets"] * .1, counts)
        if too_slow > counts["connections compared"] * .1:
            self.skipTest(f"this machine was too slow for {too_slow} of {counts['connections compared']} rulesets about connections; the others agree")

    @needs_tap
    def test_translates_as_we_do(self):
        counts = self.compared(NAT_WORKER, "skerry", self.TRANSLATIONS)
        self.enough_were_compared(counts, self.TRANSLATIONS)
        # After a port that both draw a ruleset is over, which more packets make likelier.
        self.assertLessEqual(counts.get("drawn ports", 0), counts["rulesets"] * (1 - .6 ** (self.PACKETS / 300)), counts)
        self.assertGreaterEqual(counts["of IPv6"], self.TRANSLATIONS * .1, counts)
        self.assertGreaterEqual(counts["translated"], counts["packets"] * .1, counts)
        self.assertGreaterEqual(counts["counters of rules"], counts["rulesets"], counts)

    @needs_tap
    def test_expects_what_we_do(self):
        counts = self.compared(NAT_WORKER, "skerry", self.CONVERSATIONS, "--ftp")
        self.enough_were_compared(counts, self.CONVERSATIONS)
        self.assertGreaterEqual(counts["expected"], counts["rulesets"], counts)
        self.assertGreaterEqual(min(counts["accept"], counts["drop"]), counts["packets"] * .02, counts)

    @needs_tap
    def test_agrees_at_the_link_and_in_arp(self):
        counts = self.compared(LINK_WORKER, "skerry", self.LINKS)
        self.assertGreaterEqual(counts["rulesets"], self.LINKS * .9, counts)
        self.assertGreaterEqual(counts["counters of rules"], self.LINKS, counts)
        self.assertGreaterEqual(counts["answers"], self.LINKS, counts)
        self.assertGreaterEqual(min(counts["accept"], counts["drop"]), counts["packets"] * .1, counts)

    @needs_tap
    def test_agrees_at_the_switch(self):
        counts = self.compared(BRIDGE_WORKER, "bench-switch", self.BRIDGES)
        self.assertGreaterEqual(counts["rulesets"], self.BRIDGES * .9, counts)
        self.assertGreaterEqual(counts["counters of rules"], self.BRIDGES, counts)
        self.assertGreaterEqual(counts["copies"], counts["packets"] * .3, counts)
        self.assertGreaterEqual(counts["rewritten"], self.BRIDGES, counts)
        self.assertGreaterEqual(min(counts["accept"], counts["drop"]), counts["packets"] * .1, counts)


if __name__ == "__main__":
    unittest.main()
