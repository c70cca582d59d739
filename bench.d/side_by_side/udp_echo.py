"""The UDP echo: bench-udp-echo and bench-udp-client, the same two binaries on either side."""

import contextlib
import json

from lab.proc import cpu_ns
from lab.process import Failure
from side_by_side.options import chosen_sides
from side_by_side.report import ROOT
from side_by_side.runs import interleave

PORT = "7007"


class UdpEcho:
    """One echo server on one side, started again after a run that failed."""

    def __init__(self, side, server_core, client_core):
        self.side = side
        self.cores = {"server": server_core, "client": client_core}
        self.server = None

    def measure(self, window, seconds):
        """Returns the client's figures and `cpu_us`, the server side's time for each echo."""
        try:
            if not self.server:
                self.server = self.side.start("server", self.cores["server"], [ROOT / "build/bench-udp-echo", PORT])
                self.server.wait_for("ready", timeout_s=20)
            pids = self.side.server_pids(self.server)
            before = cpu_ns(pids)
            client = self.side.start("client", self.cores["client"], [
                ROOT / "build/bench-udp-client", self.side.address("server"), PORT, str(window), str(seconds)])
            if client.wait(timeout_s=seconds + 30):
                raise Failure(f"{client} failed:\n{client.output()}")
            figures = json.loads(client.output().splitlines()[-1])
            figures["cpu_us"] = (cpu_ns(pids) - before) / 1000 / figures["replies"]
            return figures
        except (Failure, ValueError, IndexError) as problem:
            self.stop()
            raise problem if isinstance(problem, Failure) else Failure(f"{client} printed no figures:\n{client.output()}") from None

    def stop(self):
        if self.server:
            self.server.stop()
        self.server = None


def interleave_echoes(case, chosen, window, server_core, client_core, value):
    """Fills the case with interleaved echo runs; `value` makes the compared figure out of the client's figures."""
    with contextlib.ExitStack() as stack:
        measure = {}
        # With both ends on one core everything is on it, the vswitch too.
        for side in chosen_sides(chosen, stack, before=["taskset", "--cpu-list", f"{server_core},{client_core}"]):
            echo = UdpEcho(side, server_core, client_core)
            stack.callback(echo.stop)
            measure[side.name] = lambda echo=echo: with_value(echo.measure(window, chosen.seconds), value)
        return interleave(case, measure, chosen.rounds)


def with_value(figures, value):
    return {"value": value(figures), **{key: figures[key] for key in ("cpu_us", "p50_us", "p99_us", "lost")}}
