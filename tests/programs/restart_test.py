"""What dies or is watched while requests are under way: nobody loses a connection, and every request is answered."""

import os
import signal
import time
import unittest

from lab.namespace import Namespace
from lab.process import Running
from lab.skerry import Skerry
from redis_test import HOST, READY, SERVER, requests_per_second
from skerry_case import SkerryCase, needs_tap

KILLS = 2


class UnderLoad(SkerryCase):
    LIMIT_S = 150

    def setUp(self):
        super().setUp()
        self.serve(*SERVER, ready=READY, options=("--uplink", self.uplink()))

    def uplink(self):
        return "none"

    def benchmark(self, requests, connections=50):
        """Begins a redis-benchmark on a stack of its own."""
        return self.skerry.begin("run", "--uplink", "none", "--", *self.words(requests, connections))

    def words(self, requests, connections=50):
        return ("redis-benchmark", "-h", HOST, "-t", "get", "-n", str(requests), "-c", str(connections), "--csv")

    def assert_all_answered(self, benchmark):
        """A connection that is reset ends redis-benchmark with an error, a request without an answer lets it wait for ever."""
        self.assertEqual(benchmark.wait(timeout_s=100), 0, benchmark.output())
        self.assertGreater(requests_per_second(benchmark.output(), "GET"), 0, benchmark.output())
        self.assertNotIn("rror", benchmark.output())

    def wait_for_requests(self, benchmark, frames=2000):
        """Until the server's stack has seen so many frames more."""
        before = self.stack_frames()
        while self.stack_frames() - before < frames:
            self.assertIsNone(benchmark.process.poll(), f"it ended too early: {benchmark.output()}")
            time.sleep(0.05)

    def process(self, kind):
        return next(row for row in self.skerry.processes() if row["kind"] == kind)

    def kill_under_load(self, kind, benchmark):
        for _ in range(KILLS):
            self.wait_for_requests(benchmark)
            first = self.process(kind)["pid"]
            os.kill(first, signal.SIGKILL)
            while self.process(kind)["pid"] in (0, first) or self.process(kind)["state"] != "running":
                time.sleep(0.05)
        self.wait_for_requests(benchmark)


class BetweenStacks(UnderLoad):
    def test_the_vswitch_is_killed(self):
        benchmark = self.benchmark(3_000_000)
        self.kill_under_load("vswitch", benchmark)
        self.assert_all_answered(benchmark)

    def test_a_capture_takes_nothing_away(self):
        """Two clients send the server more in one breath than a capture copies at once."""
        network, link = self.link_of_the_server()
        capture = self.skerry.begin("capture", f"{network}.{link}", "-w", self.folder / "all.pcapng")
        clients = [self.benchmark(300_000, connections=200) for _ in range(2)]
        for client in clients:
            self.assert_all_answered(client)
        lost = {name: count for name, count in self.skerry.counters(f"{network}.vswitch").items() if name.endswith("drop.no_memory")}
        self.assertFalse(any(lost.values()), lost)
        self.assertEqual(capture.stop(signal.SIGINT), 0, capture.output())
        self.assertGreater((self.folder / "all.pcapng").stat().st_size, 100_000)

    def link_of_the_server(self):
        rows = self.skerry.processes()
        return (next(row["network"] for row in rows if row["kind"] == "vswitch"),
                next(row["name"] for row in rows if row["kind"] == "program"))


@needs_tap
class FromTheHost(UnderLoad):
    """The host is a network namespace of ours, so the real one keeps its interfaces."""

    def make_skerry(self):
        self.host = self.enterContext(Namespace())
        self.host.run("ip", "link", "set", "lo", "up")
        return Skerry(before=self.host.inside())

    def uplink(self):
        return "tap"

    def test_the_driver_is_killed(self):
        benchmark = Running([*self.host.inside(), *self.words(400_000)])
        self.addCleanup(benchmark.stop)
        self.kill_under_load("driver-tap", benchmark)
        self.assert_all_answered(benchmark)

    def test_the_vswitch_is_killed(self):
        benchmark = Running([*self.host.inside(), *self.words(400_000)])
        self.addCleanup(benchmark.stop)
        self.kill_under_load("vswitch", benchmark)
        self.assert_all_answered(benchmark)


if __name__ == "__main__":
    unittest.main()
