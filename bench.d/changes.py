#!/usr/bin/python3
# What it takes to change rules: all of them under load, and one element of a set
"""Ten thousand rules of five fields are loaded again and again into the stack of a redis-server that answers: the time of the whole
command, from the text on, and the longest slice of all loads, which is what packets waited for. Rounds with a load and without
one take turns, so that what it costs the server shows: requests a second.

Then, without a stack, the same, an address limit that counts 50 000 flows and goes on with them, and sets of 100 to 100 000 elements in our engine: what compiling and loading take, the longest slice of a
load, and how long one element takes that comes or goes (the middle of a thousand, and the longest). Microseconds of processor time.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from filter import BUILD, SHORT, ruleset
from lab.process import Failure
from lab.skerry import Skerry

RULES = 10_000
COUNTED = "counted flows"
SETS = ("hash set", "interval set", "concatenated ranges")
SERVER = ["redis-server", "--save", "", "--protected-mode", "no", "--bind", "0.0.0.0"]
READY = "Ready to accept connections"


def input_rules(count):
    """As ./bench filter has them, where packets meet them and pass."""
    return ruleset("ip", "five fields", count).replace("hook prerouting priority 0; policy drop", "hook input priority 0; policy accept")


def rules(kind, count):
    if kind != COUNTED:
        return ruleset("ip", kind, count)
    return ("table ip bench {\n set clients { type ipv4_addr; flags dynamic; size 65535; }\n"
            " chain input {\n  type filter hook input priority 0; policy accept;\n  add @clients { ip saddr ct count over 20 } drop\n }\n}\n")


class Loads:
    """A server that answers, and rules that change meanwhile."""

    def __init__(self, skerry, folder):
        self.skerry, self.text = skerry, Path(folder, "rules.nft")
        self.text.write_text(input_rules(RULES))
        self.server = skerry.begin("run", "--uplink", "none", "--core", "0", "--name", "web", "--address", "10.77.0.2", "--filter", str(self.text), "--", *SERVER)
        self.server.wait_for(READY, timeout_s=30)

    def requests(self):
        """A second of GETs; returns the rate."""
        done = self.skerry.begin("run", "--uplink", "none", "--core", "1", "--name", "client", "--address", "10.77.0.3", "--",
                                 "redis-benchmark", "-h", "10.77.0.2", "-t", "get", "-c", "50", "-n", "1000000", "--csv")
        return done

    def load(self):
        begin = time.monotonic()
        self.skerry.command("filter", "load", "web", str(self.text), timeout_s=60)
        whole = time.monotonic() - begin
        counters = self.skerry.counters("web.stack")
        return whole * 1000, counters["filter.longest load slice us"], counters["filter.load slices"]


def rate_of(done):
    code = done.process.wait(timeout=120)
    if code:
        raise Failure(f"redis-benchmark ended with {code}: {done.output()}")
    rows = [line for line in done.output().splitlines() if line.startswith('"GET"')]
    return float(rows[-1].split(",")[1].strip('"'))


def under_load(rounds, folder):
    seen = {"command ms": [], "longest slice us": [], "slices": [], "rate": [], "rate with loads": []}
    with Skerry() as skerry:
        loads = Loads(skerry, folder)
        for _ in range(rounds):
            seen["rate"].append(rate_of(loads.requests()))
            running = loads.requests()
            while running.process.poll() is None:
                for name, value in zip(("command ms", "longest slice us", "slices"), loads.load()):
                    seen[name].append(value)
            seen["rate with loads"].append(rate_of(running))
    return seen


def batch_of(text, folder):
    path = Path(folder, "batch")
    begin = time.monotonic()
    with open(path, "wb") as batch:
        done = subprocess.run([BUILD / "skerry-nftc", "lo", "eth0"], input=text.encode(), stdout=batch, stderr=subprocess.PIPE, timeout=300)
    if done.returncode:
        raise SystemExit(f"skerry-nftc: {done.stderr.decode()[:500]}")
    return path, (time.monotonic() - begin) * 1e6


def measured(what, batch):
    return [float(word) for word in subprocess.run([BUILD / "bench-filter-changes", what, batch], capture_output=True, text=True, check=True, timeout=300).stdout.split()]


def engine(kind, count, rounds, folder):
    """Medians, and the worst of what is the longest, in microseconds."""
    runs = {"compile": [], "load": [], "longest slice": [], "add": [], "add longest": [], "delete": [], "delete longest": []}
    for _ in range(rounds):
        batch, compiled = batch_of(rules(kind, count), folder)
        runs["compile"].append(compiled)
        names = ["load", "longest slice"]
        values = measured("load", batch)
        if kind in SETS:
            names += ["add", "add longest", "delete", "delete longest"]
            values += measured("elements", batch)
        for name, value in zip(names, values):
            runs[name].append(value)
    return runs


def main():
    parser = argparse.ArgumentParser(prog="./bench changes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds (3)")
    parser.add_argument("--quick", action="store_true", help="one round: a look, not a figure to quote")
    parser.add_argument("--json", metavar="FILE", help="also write one JSON object a line, one line a case")
    options = parser.parse_args()
    rounds = 1 if options.quick else options.rounds
    out = open(options.json, "w") if options.json else None

    def tell(row):
        if out:
            print(json.dumps({"bench": "changes", **row}), file=out, flush=True)

    with tempfile.TemporaryDirectory(prefix="skerry-bench-") as folder:
        seen = under_load(rounds, folder)
        middle = {name: statistics.median(values) for name, values in seen.items()}
        print(f"{RULES} rules, {len(seen['command ms'])} loads under load: the command {middle['command ms']:.0f} ms (longest {max(seen['command ms']):.0f}), "
              f"{middle['slices']:.0f} slices, the longest {middle['longest slice us']:.0f} µs (of all {max(seen['longest slice us']):.0f}); "
              f"{middle['rate with loads'] / 1000:.0f} k requests/s meanwhile, {middle['rate'] / 1000:.0f} k without", flush=True)
        tell({"case": "under_load", "unit": "ms, us, 1/s", **seen})
        print(f"{'':27}{'compile':>9}{'load':>9}{'longest slice':>15}{'add':>9}{'longest':>9}{'delete':>9}{'longest':>9}   [µs]")
        for kind, count in [("five fields", RULES), ("mixed masks", RULES), (COUNTED, 50_000), *((kind, count) for kind in SETS for count in (100, 1000, 10_000, 100_000))]:
            runs = engine(kind, count, rounds, folder)
            cells = [f"{max(values) if 'longest' in name else statistics.median(values):{15 if name == 'longest slice' else 9}.{0 if name in ('compile', 'load', 'longest slice') else 1}f}"
                     for name, values in runs.items() if values]
            print(f"{count:>7} {kind:19}{''.join(cells)}", flush=True)
            tell({"case": f"{SHORT.get(kind, 'counted')}_{count}", "unit": "us", **{name + " runs": values for name, values in runs.items()}})


if __name__ == "__main__":
    main()
