"""Skerry with rules in the server's stack, to see what they cost."""

from pathlib import Path

from lab import host_rules
from lab.skerry import Skerry


def five_field_rules(count):
    """Rules at input and output that no packet of a benchmark holds for, and that all it sends passes."""
    rules = [f"ip saddr 10.{100 + (i >> 16)}.{i >> 8 & 255}.{i & 255} ip daddr 10.77.0.2 tcp sport {1000 + i % 5000} tcp dport {i % 60000} ip ttl 64 drop"
             for i in range(count)]
    chains = [f"chain {hook} {{\ntype filter hook {hook} priority 0; policy accept\n" + "\n".join(rules) + "\n}\n" for hook in ("input", "output")]
    return "table ip cost {\n" + "".join(chains) + "}\n"


STATEFUL = "stateful"


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


class Filtered(Skerry):
    """The same as Skerry, with so many rules at both hooks of the server's stack, or with STATEFUL ones."""

    def __init__(self, which):
        super().__init__()
        self.name = name_of(which)
        self.text = stateful_rules(6379) if which == STATEFUL else five_field_rules(which)

    def start(self, role, core, argv):
        if role != "server":
            return super().start(role, core, argv)
        rules = Path(self.folder.name, "rules.nft")
        rules.write_text(self.text)
        return self.begin("run", "--uplink", "none", "--core", core, "--address", self.address(role), "--filter", str(rules), "--", *argv)
