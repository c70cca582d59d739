"""Skerry with rules in the server's stack, to see what they cost."""

from pathlib import Path

from lab.skerry import Skerry


def five_field_rules(count):
    """Rules at input and output that no packet of a benchmark holds for, and that all it sends passes."""
    rules = [f"ip saddr 10.{100 + (i >> 16)}.{i >> 8 & 255}.{i & 255} ip daddr 10.77.0.2 tcp sport {1000 + i % 5000} tcp dport {i % 60000} ip ttl 64 drop"
             for i in range(count)]
    chains = [f"chain {hook} {{\ntype filter hook {hook} priority 0; policy accept\n" + "\n".join(rules) + "\n}\n" for hook in ("input", "output")]
    return "table ip cost {\n" + "".join(chains) + "}\n"


class Filtered(Skerry):
    """The same as Skerry, with so many rules at both hooks of the server's stack."""

    def __init__(self, count):
        super().__init__()
        self.name = f"{count} rules"
        self.count = count

    def start(self, role, core, argv):
        if role != "server":
            return super().start(role, core, argv)
        rules = Path(self.folder.name, "rules.nft")
        rules.write_text(five_field_rules(self.count))
        return self.begin("run", "--uplink", "none", "--core", core, "--address", self.address(role), "--filter", str(rules), "--", *argv)
