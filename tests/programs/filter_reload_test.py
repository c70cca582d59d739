"""Rules that change thousands of times under load: no packet meets a mixture of two rulesets, none is lost, no connection ends."""

import os
import unittest

from filter_stack_test import FilterCase
from lab.process import run
from lab.skerry import BUILD
from redis_test import HOST, READY, SERVER

# By hand: SKERRY_RELOADS=10000 ./test programs
RELOADS = int(os.environ.get("SKERRY_RELOADS", 500))

# What prerouting and output say of a packet, input and postrouting of the same rules must find.
RULES = """
table inet mine {{
    counter mixed {{ }}
    chain in_1 {{ type filter hook prerouting priority 0; policy accept; meta mark set {mark}; }}
    chain in_2 {{ type filter hook input priority 0; policy accept; meta mark != {mark} counter name mixed drop; tcp dport 6379 counter; {more}
}}
    chain out_1 {{ type filter hook output priority 0; policy accept; meta mark set {mark}; }}
    chain out_2 {{ type filter hook postrouting priority 0; policy accept; meta mark != {mark} counter name mixed drop; tcp sport 6379 counter; }}
}}
"""


class ReloadUnderLoad(FilterCase):
    LIMIT_S = 120 + RELOADS // 20

    def test_no_mixture_no_loss(self):
        self.reload(RELOADS, "")

    def test_nor_while_long_rules_are_read_in_slices(self):
        more = "\n".join(f"ip saddr 10.9.{i >> 8}.{i & 255} tcp sport {i} accept" for i in range(4000))
        self.reload(max(10, RELOADS // 50), more)
        self.assertGreater(self.skerry.counters("web.stack")["filter.load slices"], 10)

    def reload(self, times, more):
        one, other = (self.rules(RULES.format(mark=mark, more=more), f"{mark}.nft") for mark in (1, 2))
        self.serve(*SERVER, ready=READY, options=("--uplink", "none", "--name", "web", "--filter", str(one)))
        load = self.skerry.begin("run", "--uplink", "none", "--name", "load", "--address", "10.77.0.3", "--",
                                 "redis-benchmark", "-h", HOST, "-t", "get", "-c", "50", "-n", "20000", "-l", "--csv")
        load.wait_for("GET", timeout_s=30)
        before = self.stack_frames()
        code, output = run([BUILD / "bench-reload", "web", one, other, times], timeout_s=self.LIMIT_S, env=self.skerry.environment, check=False)
        self.assertEqual(code, 0, output)
        whole, slowest = map(float, output.split())
        print(f"{times} reloads in {whole / 1000:.1f} s, the slowest {slowest} ms, {self.stack_frames() - before} frames meanwhile")
        self.assert_stack_carried(1000, before)
        self.assertIsNone(load.process.poll(), load.output())
        self.assertNotIn("rror", load.output())
        for stack, peer in (("web.stack", "load.stack"), ("load.stack", "web.stack")):
            counters = self.skerry.counters(stack)
            lost = {name: value for name, value in counters.items() if value and (name.startswith("drop.") or name == "tcp.resets_in")}
            self.assertEqual(lost, {}, stack)
            self.assert_no_segment_lost(stack, peer)
        self.assertEqual([row["tally"]["counter"]["packets"] for row in self.listed() if row.get("name") == "mixed"], [0])


if __name__ == "__main__":
    unittest.main()
