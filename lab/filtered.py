"""redis-server behind rules in its stack, to see what they cost."""

import time
from pathlib import Path

from lab import host_rules
from lab.process import Failure, Running
from lab.skerry import BUILD


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
    else: two servers would also lie elsewhere in memory, and start at other moments. Turns are short, because the machine's own
    speed moves within seconds."""

    SETTLE_MS = 100  # after a change, so that what was is taken apart and flows are remembered again

    def __init__(self, skerry, argv, server_core, client_core):
        self.skerry, self.name = skerry, Path(argv[0]).name
        self.server = skerry.start("server", server_core, argv)
        self.server.wait_for("Ready to accept connections", timeout_s=20)
        setting = skerry.start("client", client_core, ["redis-benchmark", "-h", skerry.address("server"), "-t", "set", "-n", "1000"])
        setting.wait(timeout_s=20)  # so that there is something to get
        self.client = skerry.start("client", client_core, ["redis-benchmark", "-h", skerry.address("server"), "-t", "get", "-n", "2000000000", "-c", "50"])
        self.client.wait_for("rps=", timeout_s=20)

    def turns(self, rulesets, rounds, seconds):
        """Yields the index of the rules and a run, as bench-turns prints them: requests a second, and the server's processor time
        for each, of all and of its stack alone."""
        files = []
        for index, which in enumerate(rulesets):
            files.append(Path(self.skerry.folder.name, f"rules-{index}.nft"))
            files[-1].write_text(rules(which))
        program = Running([BUILD / "bench-turns", self.name, str(self.SETTLE_MS), str(int(seconds * 1000)), str(rounds), *files],
                          env=self.skerry.environment)
        with program:
            told = 0
            while told < rounds * len(rulesets):
                ended = program.process.poll() is not None or self.client.process.poll() is not None  # before the last lines are read
                lines = program.output().split("\n")[:-1]
                if len(lines) == told:
                    if ended:
                        raise Failure(f"{program} or {self.client} ended:\n{program.output()}\n{self.client.output()[-500:]}")
                    time.sleep(.05)
                for line in lines[told:]:
                    index, requests, took_ns, cpu_ns, stack_cpu_ns = map(int, line.split())
                    if requests == 0:
                        raise Failure(f"{self.client} asks no more:\n{self.client.output()[-500:]}")
                    yield index, {"value": 1e9 * requests / took_ns, "cpu_us": cpu_ns / 1000 / requests, "stack_cpu_us": stack_cpu_ns / 1000 / requests}
                told = len(lines)
