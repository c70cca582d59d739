#!/usr/bin/python3
# redis-server and redis-benchmark, GET and SET, pipelining 1 and 16, and through AF_XDP
"""Debian's redis-server on core 0, Debian's redis-benchmark on core 1: each on a stack of its own, then the same two over veth.

CPU is what the server side used a request: on Skerry the program, its stack, the vswitch and drivers; on Linux the program (which
is charged what the kernel does for it) and ksoftirqd of its core. Over veth the server's receive work runs on the client's core
and is not counted, which favours Linux.

get_p1_afxdp compares that CPU, because there the client stands on plain Linux on both sides and is the limit: redis-server behind
AF_XDP on one end of the veth pair, against redis-server on the kernel's stack. What the kernel does to deliver an answer to the
client is part of the sender's time on both sides.
"""

import contextlib
import csv
import io
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lab import peers
from lab.filtered import NONE, STATEFUL, RulesInTurn, name_of
from lab.on_a_wire import SkerryOnAWire
from lab.plain import PlainLinux
from lab.proc import cpu_ns
from lab.process import Failure, Running
from lab.skerry import Skerry
from side_by_side import options, runs

CASES = {"get_p1": ("get", 1), "set_p1": ("set", 1), "get_p16": ("get", 16), "set_p16": ("set", 16)}
AFXDP = "get_p1_afxdp"
SERVER = ["redis-server", "--save", "", "--appendonly", "no", "--protected-mode", "no", "--bind", "0.0.0.0"]
SERVER_CORE, CLIENT_CORE = "0", "1"
EXTRA = {"cpu_us": "server CPU us/req", "p50_us": "p50 us", "p99_us": "p99 us", "rps": "req/s"}


class Redis:
    """One redis-server on one side, started again after a run that failed."""

    argv = SERVER

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
        self.server = self.side.start("server", SERVER_CORE, self.argv)
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


def run_afxdp(chosen):
    """The same server and client, and the server's CPU as the figure."""
    with contextlib.ExitStack() as stack:
        sides = {"ours": SkerryOnAWire, "kernel": PlainLinux}
        servers = [Redis(stack.enter_context(side())) for name, side in sides.items() if chosen.side in (None, name)]

        def measure(redis):
            row = redis.measure("get", 1, 50, chosen.seconds)
            return {"value": row["cpu_us"], "rps": row["value"], "p50_us": row["p50_us"], "p99_us": row["p99_us"]}
        try:
            return runs.interleave(runs.Case("redis", AFXDP, "server CPU us/req", lower_is_better=True),
                                   {redis.side.name: lambda redis=redis: measure(redis) for redis in servers}, chosen.rounds)
        finally:
            for redis in servers:
                redis.stop()


def case_name(name, connections, hog):
    return name + (f"_c{connections}" if connections != 50 else "") + ("_hog" if hog else "")


def run_filtered(chosen):
    """get_p1 without rules and with so many, in turn on one server, and what each costs. A request is a packet: see bench.d/reload/turns.cpp."""
    which = [NONE, *chosen.filter]
    case = runs.Case("redis", "get_p1", "req/s")
    with Skerry() as skerry:
        for index, run in RulesInTurn(skerry, SERVER, SERVER_CORE, CLIENT_CORE).turns(which, chosen.rounds, chosen.seconds):
            name = name_of(which[index]) if index > 0 else "ours"
            case.runs.setdefault(name, []).append(run)
            runs.progress(f"{case.name}: round {len(case.runs[name])} of {chosen.rounds}, {name}")
    runs.progress("")
    tell_losses(case, chosen.filter)
    return [case]


def run_cases(chosen):
    if chosen.filter:
        return run_filtered(chosen)
    cases = []
    with contextlib.ExitStack() as stack:
        sides = options.chosen_sides(chosen, stack)
        if chosen.peers:
            sides += [stack.enter_context(peer()) for peer in peers.installed()]
        for connections in chosen.connections:
            for name in chosen.cases:
                if name == AFXDP:
                    continue
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
    if AFXDP in chosen.cases and 50 in chosen.connections and not chosen.hog:
        cases.append(run_afxdp(chosen))
    return cases


def tell_losses(case, counts):
    """What rules cost against none, in the same rounds: of the rate, and of the server's processor time for a request."""
    losses = {}
    for count in counts:
        rate, cpu, stack = (case.loss(name_of(count), key, key != "value") for key in ("value", "cpu_us", "stack_cpu_us"))
        if rate and cpu and stack:
            losses[count] = {"loss_pct": rate[0], "loss_ci": rate[1], "cpu_loss_pct": cpu[0], "cpu_loss_ci": cpu[1],
                             "stack_cpu_loss_pct": stack[0], "stack_cpu_loss_ci": stack[1]}
            print(f"{name_of(count)}: {interval(rate)} fewer requests, {interval(cpu)} more processor time for each, "
                  f"{interval(stack)} more of the stack's (95 %)")
    if losses:
        most = max(losses, key=lambda count: 0 if count == STATEFUL else count)
        case.more = losses[most] | {"rules": most, "losses": losses}


def interval(loss):
    middle, (low, high) = loss
    return f"{middle:.1f} % [{low:.1f}..{high:.1f}]"


def titles(chosen):
    beside = [peer.name for peer in (peers.installed() if chosen.peers else [])] + [name_of(count) for count in chosen.filter]
    return options.TITLES | {name: name for name in beside}


def sentence(cases):
    by_name = {case.name: case for case in cases if case.name != AFXDP}
    parts = [f"{by_name[name].ratio():.1f} times as many requests {how}"
             for name, how in (("get_p1", "one at a time"), ("get_p16", "16 at a time")) if name in by_name]
    if not parts:
        parts = [f"{case.ratio():.1f} times as many requests in {name}" for name, case in by_name.items()]
    text = f"answered {' and '.join(parts)} as on plain Linux" if parts else ""
    for case in cases:
        if case.name == AFXDP:
            text += (", and " if text else "") + f"needed {1 / case.ratio():.2f} of its processor time for a request that came through AF_XDP"
    return f"redis-server on its own stack {text}, in the same run."


def main():
    parser = options.parser("redis", __doc__, "./bench redis --connections 1,10,50 --json redis.json")
    parser.add_argument("--cases", type=lambda text: text.split(","), default=[*CASES, AFXDP], metavar="A,B",
                        help="of " + ", ".join([*CASES, AFXDP]))
    parser.add_argument("--connections", type=lambda text: [int(word) for word in text.split(",")], default=[50], metavar="N,M",
                        help="how many clients (50)")
    parser.add_argument("--hog", action="store_true", help="with a busy loop on each of the two cores")
    parser.add_argument("--peers", action="store_true", help="get_p1 alone, and beside pasta, slirp4netns and gVisor where installed")
    parser.add_argument("--filter", type=lambda text: [word if word == STATEFUL else int(word) for word in text.split(",")], default=[],
                        metavar="N,M", help="get_p1 alone, without rules and with N, with M, … of five fields at both hooks of the server's "
                                            f"stack; '{STATEFUL}': with those of a host that tracks connections")
    chosen = options.parse(parser)
    if chosen.peers or chosen.filter:
        chosen.cases = ["get_p1"]
    if chosen.filter:
        chosen.side = "ours"
    for name in chosen.cases:
        if name not in (*CASES, AFXDP):
            parser.error(f"there is no case '{name}'; there are {', '.join([*CASES, AFXDP])}")
    if AFXDP in chosen.cases and os.geteuid() != 0:
        print(f"without root there is no {AFXDP}: AF_XDP needs it")
        chosen.cases.remove(AFXDP)
    return options.execute("redis", "redis: requests a second, both ends on stacks, beside veth", chosen, run_cases, EXTRA, sentence,
                           titles(chosen))


if __name__ == "__main__":
    sys.exit(main())
