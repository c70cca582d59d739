"""redis-server behind rules in its stack, to see what they cost."""

import re
import statistics
import time
from pathlib import Path

from lab import host_rules
from lab.proc import cpu_ns
from lab.process import Failure


def five_field_rules(count):
    """Rules at input and output that no packet of a benchmark holds for, and that all it sends passes."""
    rules = [f"ip saddr 10.{100 + (i >> 16)}.{i >> 8 & 255}.{i & 255} ip daddr 10.77.0.2 tcp sport {1000 + i % 5000} tcp dport {i % 60000} ip ttl 64 drop"
             for i in range(count)]
    chains = [f"chain {hook} {{\ntype filter hook {hook} priority 0; policy accept\n" + "\n".join(rules) + "\n}\n" for hook in ("input", "output")]
    return "table ip cost {\n" + "".join(chains) + "}\n"


STATEFUL = "stateful"
NONE = 0


def name_of(which):
    return f"{which} rules"


def stateful_rules(port):
    """As a host has them: answers, what the server is asked, and little else."""
    return f"""table inet host {{
{host_rules.BLOCKED}chain input {{
type filter hook input priority 0; policy drop
{host_rules.incoming(port)}}}
chain output {{
type filter hook output priority 0; policy accept
ct state invalid drop
ip daddr 169.254.0.0/16 reject
}}
}}
"""


def rules(which):
    """The text for a number of rules, none of them, or STATEFUL."""
    return stateful_rules(6379) if which == STATEFUL else five_field_rules(which) if which else "flush ruleset\n"


class RulesInTurn:
    """One redis-server whose rules change while one redis-benchmark asks without end, so that what is compared differs in nothing
    else: two servers would also lie elsewhere in memory, and start at other moments."""

    SETTLE_S = .3  # after a change, so that flows are remembered again and what was is taken apart

    def __init__(self, skerry, argv, server_core, client_core):
        self.skerry, self.name = skerry, Path(argv[0]).name
        self.server = skerry.start("server", server_core, argv)
        self.server.wait_for("Ready to accept connections", timeout_s=20)
        self.pids = skerry.server_pids(self.server)
        setting = skerry.start("client", client_core, ["redis-benchmark", "-h", skerry.address("server"), "-t", "set", "-n", "1000"])
        setting.wait(timeout_s=20)  # so that there is something to get
        self.client = skerry.start("client", client_core, ["redis-benchmark", "-h", skerry.address("server"), "-t", "get", "-n", "2000000000", "-c", "50"])
        self.client.wait_for("rps=", timeout_s=20)

    def measure(self, which, seconds):
        """Requests a second and the server's processor time for each, behind these rules."""
        file = Path(self.skerry.folder.name, "rules.nft")
        file.write_text(rules(which))
        self.skerry.command("filter", "load", self.name, str(file), timeout_s=60)
        time.sleep(self.SETTLE_S)
        told, began, cpu = len(self.client.output()), time.monotonic(), cpu_ns(self.pids)
        time.sleep(seconds)
        cpu, took = cpu_ns(self.pids) - cpu, time.monotonic() - began
        # The first of its lines, four a second, tells of a time that began before.
        rates = [float(rate) for rate in re.findall(r"rps=([0-9.]+)", self.client.output()[told:])][1:]
        if self.client.process.poll() is not None or not rates:
            raise Failure(f"{self.client} stopped telling its rate:\n{self.client.output()[-500:]}")
        rate = statistics.mean(rates)
        return {"value": rate, "cpu_us": cpu / 1000 / (rate * took)}
