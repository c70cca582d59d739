#!/usr/bin/python3
# redis-server and redis-benchmark, GET and SET, pipelining 1 and 16
"""Debian's redis-server on core 0, Debian's redis-benchmark on core 1: each on a stack of its own, then the same two over veth.

CPU is what the server side used a request: on Skerry the program, its stack, the vswitch and drivers; on Linux the program (which
is charged what the kernel does for it) and ksoftirqd of its core. Over veth the server's receive work runs on the client's core
and is not counted, which favours Linux.
"""

import contextlib
import csv
import io
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lab import peers
from lab.proc import cpu_ns
from lab.process import Failure, Running
from side_by_side import options, runs

CASES = {"get_p1": ("get", 1), "set_p1": ("set", 1), "get_p16": ("get", 16), "set_p16": ("set", 16)}
SERVER = ["redis-server", "--save", "", "--appendonly", "no", "--protected-mode", "no", "--bind", "0.0.0.0"]
SERVER_CORE, CLIENT_CORE = "0", "1"
EXTRA = {"cpu_us": "server CPU us/req", "p50_us": "p50 us", "p99_us": "p99 us"}


class Redis:
    """One redis-server on one side, started again after a run that failed."""

    def __init__(self, side):
        self.side = side
        self.server = None

    def measure(self, command, pipeline, connections, seconds):
        try:
            if not self.server:
                self.start(pipeline, connections)
            requests = self.bounded(max(10_000, int(self.rate[command] * seconds)))
            pids = self.side.server_pids(self.server)
            before = cpu_ns(pids)
            row = self.benchmark(command, pipeline, connections, requests, seconds)[command]
            cpu_us = (cpu_ns(pids) - before) / 1000 / requests
        except Failure:
            self.stop()
            raise
        return {"value": float(row["rps"]), "cpu_us": cpu_us, "p50_us": 1000 * float(row["p50_latency_ms"]),
                "p99_us": 1000 * float(row["p99_latency_ms"])}

    def start(self, pipeline, connections):
        """Starts the server, gives GET something to get, and finds out how many requests make a run of a second."""
        self.server = self.side.start("server", SERVER_CORE, SERVER)
        self.server.wait_for("Ready to accept connections", timeout_s=20)
        requests = self.bounded(20_000 * pipeline if connections > 1 else 5_000)
        rows = self.benchmark("set,get", pipeline, connections, requests, seconds=10)
        self.rate = {command: float(row["rps"]) for command, row in rows.items()}

    def bounded(self, requests):
        return min(requests, getattr(self.side, "most_requests", requests))

    def benchmark(self, commands, pipeline, connections, requests, seconds):
        client = self.side.start("client", CLIENT_CORE, [
            "redis-benchmark", "-h", self.side.address("server"), "-t", commands, "-n", str(requests), "-c", str(connections),
            "-P", str(pipeline), "--csv"])
        code = client.wait(timeout_s=20 + 10 * seconds)
        lines = [line for line in client.output().splitlines() if line.startswith('"')]
        rows = {row["test"].lower(): row for row in csv.DictReader(io.StringIO("\n".join(lines)))}
        if code or set(rows) != set(commands.split(",")):
            raise Failure(f"{client} ended with {code} and printed:\n{client.output()}")
        return rows

    def stop(self):
        if self.server:
            self.server.stop()
        self.server = None


@contextlib.contextmanager
def busy_loops(wanted):
    """A program that wants the processor for itself, on each of the two cores."""
    with contextlib.ExitStack() as stack:
        for core in (SERVER_CORE, CLIENT_CORE) if wanted else ():
            stack.enter_context(Running(["taskset", "--cpu-list", core, "/usr/bin/python3", "-c", "while True: pass"]))
        yield


def case_name(name, connections, hog):
    return name + (f"_c{connections}" if connections != 50 else "") + ("_hog" if hog else "")


def run_cases(chosen):
    cases = []
    with contextlib.ExitStack() as stack:
        sides = options.chosen_sides(chosen, stack)
        if chosen.peers:
            sides += [stack.enter_context(peer()) for peer in peers.installed()]
        for connections in chosen.connections:
            for name in chosen.cases:
                command, pipeline = CASES[name]
                servers = {side.name: Redis(side) for side in sides}
                measure = {side: lambda redis=redis: redis.measure(command, pipeline, connections, chosen.seconds)
                           for side, redis in servers.items()}
                case = runs.Case("redis", case_name(name, connections, chosen.hog), "req/s")
                with busy_loops(chosen.hog):
                    try:
                        cases.append(runs.interleave(case, measure, chosen.rounds))
                    finally:
                        for redis in servers.values():
                            redis.stop()
    return cases


def titles(with_peers):
    return options.TITLES | {peer.name: peer.name for peer in (peers.installed() if with_peers else [])}


def sentence(cases):
    by_name = {case.name: case for case in cases}
    parts = [f"{by_name[name].ratio():.1f} times as many requests {how}"
             for name, how in (("get_p1", "one at a time"), ("get_p16", "16 at a time")) if name in by_name]
    if not parts:
        parts = [f"{case.ratio():.1f} times as many requests in {case.name}" for case in cases]
    return f"redis-server on its own stack answered {' and '.join(parts)} as on plain Linux, in the same run."


def main():
    parser = options.parser("redis", __doc__, "./bench redis --connections 1,10,50 --json redis.json")
    parser.add_argument("--cases", type=lambda text: text.split(","), default=list(CASES), metavar="A,B", help="of " + ", ".join(CASES))
    parser.add_argument("--connections", type=lambda text: [int(word) for word in text.split(",")], default=[50], metavar="N,M",
                        help="how many clients (50)")
    parser.add_argument("--hog", action="store_true", help="with a busy loop on each of the two cores")
    parser.add_argument("--peers", action="store_true", help="get_p1 alone, and beside pasta, slirp4netns and gVisor where installed")
    chosen = options.parse(parser)
    if chosen.peers:
        chosen.cases = ["get_p1"]
    for name in chosen.cases:
        if name not in CASES:
            parser.error(f"there is no case '{name}'; there are {', '.join(CASES)}")
    return options.execute("redis", "redis: requests a second, both ends on stacks, beside veth", chosen, run_cases, EXTRA, sentence,
                           titles(chosen.peers))


if __name__ == "__main__":
    sys.exit(main())
