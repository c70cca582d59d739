#!/usr/bin/python3
# redis with 10 000 idle connections: the rate of fifty others, and the memory of one
"""redis-server on core 0 with thousands of connections that were used once and then do nothing, and redis-benchmark on core 1 with
fifty of its own. A run measures three times on one server: before the idle connections come, while they are there, and after they have
gone; `kept` compares the rate with them to the mean of the other two.

The memory of a connection is what grows when all but the first of the idle ones come, shared out among those: in the processes of the
whole side, page tables included, and in the kernel's objects. So it is that of both ends, because the client stands on the same
machine. `server` is the growth of the server's end alone (on Skerry program, stack and vswitch, on Linux the program), without the
kernel's objects, and `slab` is these; they are counted for the whole machine, so other work on it shows.
"""

import contextlib
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lab import idle_connections
from lab.memory import memory_kib, slab_kib
from lab.proc import descendants
from lab.process import Failure
from redis import CLIENT_CORE, SERVER, Redis
from side_by_side import options, runs

EXTRA = {"without": "req/s without", "kept": "kept %", "server": "server KiB", "slab": "slab KiB"}


def server_end(side, server):
    if side.name == "kernel":
        return [server.pid]
    return [pid for row in side.processes() if row["kind"] == "vswitch" or row["address"] == side.address("server")
            for pid in descendants(row["pid"])]


class WithIdle(Redis):
    """A redis-server and its idle clients."""

    def __init__(self, side, count):
        super().__init__(side)
        self.count = count
        self.argv = [*SERVER, "--maxclients", str(count + idle_connections.OTHER_FILES)]

    def run(self, seconds):
        """The rates and, in KiB a connection, the memory. Each time with a new server, because memory that was used once stays."""
        def rate():
            return self.measure("get", 1, 50, seconds)["value"]
        try:
            before = rate()
            few, _ = self.with_idle(1)
            many, during = self.with_idle(self.count, rate)
            without = (before + rate()) / 2
        finally:
            self.stop()
        each = {key: (many[key] - few[key]) / (self.count - 1) for key in many}
        return {"rate": {"value": during, "without": without, "kept": 100 * during / without},
                "memory": {"value": each["processes"] + each["slab"], "server": each["server"], "slab": each["slab"]}}

    def with_idle(self, count, measure=lambda: None):
        """What memory there is with so many, and what `measure` finds meanwhile."""
        client = self.side.start("idle client", CLIENT_CORE, ["/usr/bin/python3", idle_connections.__file__, self.side.address("server"), str(count)])
        try:
            client.wait_for("open", timeout_s=120)
            memory = self.memory(client)
            measured = measure()
        finally:
            client.stop(grace_s=60)
        if "all answered" not in client.output():
            raise Failure(f"an idle connection did not live:\n{client.output()}")
        return memory, measured

    def memory(self, client):
        everybody = {*self.side.server_pids(self.server), *descendants(client.pid)}
        return {"processes": memory_kib(everybody), "server": memory_kib(server_end(self.side, self.server)), "slab": slab_kib()}


def run_cases(chosen):
    rate = runs.Case("idle", f"get_p1_idle_{chosen.idle}", "req/s")
    memory = runs.Case("idle", f"memory_idle_{chosen.idle}", "KiB/connection", lower_is_better=True)
    with contextlib.ExitStack() as stack:
        sides = {side.name: lambda server=WithIdle(side, chosen.idle): server.run(chosen.seconds)
                 for side in options.chosen_sides(chosen, stack)}
        both = runs.interleave(runs.Case("idle", rate.name, rate.unit), sides, chosen.rounds)
    for case, part in ((rate, "rate"), (memory, "memory")):
        case.runs = {side: [row and row[part] for row in rows] for side, rows in both.runs.items()}
    return [rate, memory]


def sentence(cases):
    rate, memory = cases
    return (f"With the idle connections there, redis-server on its own stack kept {rate.median('ours', 'kept'):.0f} % of its rate (plain Linux "
            f"{rate.median('kernel', 'kept'):.0f} %); each took {memory.median('ours'):.0f} KiB at both ends together "
            f"(plain Linux {memory.median('kernel'):.0f}).")


def main():
    parser = options.parser("idle", __doc__, "./bench idle --json idle.json")
    parser.add_argument("--idle", type=int, default=10_000, metavar="N", help="how many idle connections (10000)")
    chosen = options.parse(parser)
    if os.geteuid():
        raise SystemExit("./bench idle needs root: nobody else may see how much memory a stack and the vswitch have")
    return options.execute("idle", "redis: requests a second while thousands of connections are idle, beside veth", chosen, run_cases,
                           EXTRA, sentence)


if __name__ == "__main__":
    sys.exit(main())
