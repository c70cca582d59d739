#!/usr/bin/python3
# iperf3, one TCP stream and eight, both directions, through TAP, and over a long and lossy wire
"""Debian's iperf3, server on core 0 and client on core 1: each on a stack of its own, then the same two over veth. `tap_1`, which
needs root: the client is a program of the host, and reaches the server's stack through a TAP device; over veth as before.

`netem_1` and `netem_1_reverse`, which need root too: 20 ms there and back and 1 % of the frames lost in either direction (lab/long_wire.py). The
client stands on plain Linux; the server behind AF_XDP, or on plain Linux. Forward measures how we receive, reverse how we send. A loss comes
some six times a second there, so a run takes ten seconds at least.

CPU is what the server side used for a GiB, counted as in ./bench redis.
"""

import contextlib
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lab.long_wire import PlainLinuxFarApart, SkerryFarAway
from lab.namespace import Namespace
from lab.plain import PlainLinux
from lab.proc import cpu_ns
from lab.process import Failure, Running
from lab.skerry import Skerry
from side_by_side import options, runs

SERVER_CORE, CLIENT_CORE = "0", "1"
CUBIC = ["--congestion", "cubic"]  # Linux's default, and what we have; a machine may have chosen another
CASES = {"tcp_1": [], "tcp_1_reverse": ["--reverse"], "tcp_8": ["--parallel", "8"], "tap_1": [], "netem_1": CUBIC,
         "netem_1_reverse": [*CUBIC, "--reverse"]}
LONG_RUN = 10  # seconds
EXTRA = {"cpu_ms": "server CPU ms/GiB", "retransmits": "retransmits"}


class SkerryThroughTap(Skerry):
    """The server on a stack, the client in the namespace that is this Skerry's host."""

    def __enter__(self):
        self._host = Namespace()
        self.before = self._host.__enter__().inside()
        return super().__enter__()

    def __exit__(self, *what):
        super().__exit__(*what)
        self._host.__exit__(*what)

    def start(self, role, core, argv):
        if role == "client":
            return Running([*self.before, "taskset", "--cpu-list", core, *argv])
        return self.begin("run", "--uplink", "tap", "--core", core, "--address", self.address(role), "--", *argv)


class Iperf3:
    """One server on one side, started again after a run that failed."""

    def __init__(self, side):
        self.side = side
        self.server = None

    def measure(self, words, seconds):
        try:
            if not self.server:
                self.server = self.side.start("server", SERVER_CORE, ["iperf3", "--server", "--forceflush"])
                self.server.wait_for("Server listening", timeout_s=20)
            pids = self.side.server_pids(self.server)
            before = cpu_ns(pids)
            client = self.side.start("client", CLIENT_CORE, ["iperf3", "--client", self.side.address("server"), "--json", "--time",
                                                             str(max(1, round(seconds))), *words])
            code = client.wait(timeout_s=30 + 2 * seconds)
            if code:
                raise Failure(f"{client} ended with {code} and printed:\n{client.output()}")
            end = json.loads(client.output())["end"]
            gib = end["sum_received"]["bytes"] / (1 << 30)
            return {"value": end["sum_received"]["bits_per_second"] / 1e9, "cpu_ms": (cpu_ns(pids) - before) / 1e6 / gib,
                    "retransmits": end["sum_sent"].get("retransmits")}
        except Failure:
            self.stop()
            raise

    def stop(self):
        if self.server:
            self.server.stop()
        self.server = None


SIDES = {"tap": (SkerryThroughTap, PlainLinux), "netem": (SkerryFarAway, PlainLinuxFarApart)}


def run_cases(chosen):
    cases = []
    for name in chosen.cases:
        ours, plain = SIDES.get(name.partition("_")[0], (Skerry, PlainLinux))
        seconds = max(chosen.seconds, LONG_RUN) if name.startswith("netem") else chosen.seconds
        with contextlib.ExitStack() as stack:
            sides = [stack.enter_context(kind()) for side, kind in (("ours", ours), ("kernel", plain)) if chosen.side in (None, side)]
            servers = {side.name: Iperf3(side) for side in sides}
            measure = {side: lambda iperf3=iperf3: iperf3.measure(CASES[name], seconds) for side, iperf3 in servers.items()}
            try:
                cases.append(runs.interleave(runs.Case("bulk", name, "Gbit/s"), measure, chosen.rounds))
            finally:
                for iperf3 in servers.values():
                    iperf3.stop()
    return cases


def sentence(cases):
    return "; ".join(f"{case.name}: {case.ratio():.2f} times the bytes of plain Linux" for case in cases) + "; in the same run."


def main():
    parser = options.parser("bulk", __doc__, "./bench bulk --cases tcp_1 --json bulk.json")
    root, tap = os.geteuid() == 0, os.path.exists("/dev/net/tun")
    usual = [name for name in CASES if name.startswith("tcp") or (root and (tap or not name.startswith("tap")))]
    parser.add_argument("--cases", type=lambda text: text.split(","), default=usual, metavar="A,B", help="of " + ", ".join(CASES))
    chosen = options.parse(parser)
    for name in chosen.cases:
        if name not in CASES:
            parser.error(f"there is no case '{name}'; there are {', '.join(CASES)}")
    return options.execute("bulk", "bulk: iperf3, Gbit a second, beside veth", chosen, run_cases, EXTRA, sentence)


if __name__ == "__main__":
    sys.exit(main())
