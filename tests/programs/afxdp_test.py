"""redis reached from another network namespace through AF_XDP on veth, and an interface that is the host's again afterwards."""

import os
import signal
import time
import unittest

from lab.namespace import Namespace
from lab.process import Running, run
from lab.skerry import Skerry
from redis_test import READY, SERVER, requests_per_second
from skerry_case import SkerryCase, needs_root

ADDRESS = "10.99.0.2"


@needs_root("taking an interface for AF_XDP")
class FromAnotherNamespace(SkerryCase):
    """Two namespaces of ours and a veth pair between them: one is the host that Skerry runs on, in the other are the clients."""

    def make_skerry(self):
        self.host = self.enterContext(Namespace())
        self.far = self.enterContext(Namespace())
        self.host.run("ip", "link", "add", "sk-wire", "type", "veth", "peer", "name", "eth0", "netns", self.far.pid)
        self.host.run("ip", "link", "set", "sk-wire", "up")
        self.far.run("ip", "address", "add", "10.99.0.9/24", "dev", "eth0")
        self.far.run("ip", "link", "set", "eth0", "up")
        return Skerry(before=self.host.inside())

    def setUp(self):
        super().setUp()
        self.server = self.skerry.begin("run", "--uplink", "afxdp:sk-wire", "--address", ADDRESS + "/24", "--", *SERVER)
        self.server.wait_for(READY, timeout_s=20)
        self.before = self.stack_frames(ADDRESS)

    def far_away(self, *argv, timeout_s=30):
        return run([*self.far.inside(), *argv], timeout_s=timeout_s)[1]

    def benchmark(self, *words):
        return self.far_away("redis-benchmark", "-h", ADDRESS, "--csv", *words)

    def driver(self):
        return next(row for row in self.skerry.processes() if row["kind"] == "driver-afxdp")

    def has_program(self):
        return "xdp" in self.host.run("ip", "link", "show", "sk-wire")[1]

    def assert_the_hosts_again(self):
        deadline = time.monotonic() + 5
        while self.has_program() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertFalse(self.has_program(), "the XDP program is still there")
        self.assertIn("promiscuity 0", self.host.run("ip", "-details", "link", "show", "sk-wire")[1])

    def test_redis_answers(self):
        self.assertTrue(self.has_program())
        self.assertEqual(self.far_away("redis-cli", "-h", ADDRESS, "PING").strip(), "PONG")
        output = self.benchmark("-t", "set,get", "-n", "20000")
        self.assertGreater(requests_per_second(output, "GET"), 0, output)
        output = self.benchmark("-t", "set,get", "-n", "500", "-d", "65536")  # in segments: a wire has no super-frames
        self.assertGreater(requests_per_second(output, "GET"), 0, output)
        self.assert_stack_carried(20_000, self.before, ADDRESS)
        counters = self.skerry.counters(self.driver()["name"])
        self.assertGreater(counters["unfinished_checksums"], 20_000, "veth left them to us")
        self.assertEqual(counters["drop.rx_too_long"], 0)
        self.end(self.server)
        self.assert_the_hosts_again()

    def test_finished_checksums_are_verified(self):
        """The other end finishes its checksums itself: then none is marked, and the stack verifies each."""
        self.far.run("python3", "-c", OFFLOAD_OFF)
        output = self.benchmark("-t", "get", "-n", "5000")
        self.assertGreater(requests_per_second(output, "GET"), 0, output)
        unfinished = self.skerry.counters(self.driver()["name"])["unfinished_checksums"]
        self.assertLess(unfinished, 20, "one finished checksum in 65536 looks like an unfinished one")

    def test_the_wire_goes_down_and_comes_up(self):
        """Connections live, and the driver has counted both times."""
        benchmark = Running([*self.far.inside(), "redis-benchmark", "-h", ADDRESS, "-t", "get", "-n", "150000", "--csv"])
        self.addCleanup(benchmark.stop)
        for _ in range(2):
            seen = self.stack_frames(ADDRESS)
            while self.stack_frames(ADDRESS) - seen < 2000:
                self.assertIsNone(benchmark.process.poll(), benchmark.output())
                time.sleep(0.02)
            self.host.run("ip", "link", "set", "sk-wire", "down")
            time.sleep(1.5)  # longer than a retransmission waits, and than the driver looks away
            self.host.run("ip", "link", "set", "sk-wire", "up")
        self.assertEqual(benchmark.wait(timeout_s=60), 0, benchmark.output())
        self.assertGreater(requests_per_second(benchmark.output(), "GET"), 0, benchmark.output())
        self.assertEqual(self.skerry.counters(self.driver()["name"])["flaps"], 2)

    def test_the_driver_is_killed(self):
        """A fresh one takes over the interface, and nobody loses a connection."""
        benchmark = Running([*self.far.inside(), "redis-benchmark", "-h", ADDRESS, "-t", "get", "-n", "150000", "--csv"])
        self.addCleanup(benchmark.stop)
        for _ in range(2):
            first = self.driver()["pid"]
            os.kill(first, signal.SIGKILL)
            self.assertTrue(self.has_program(), "meanwhile the host hears nothing that is not for it")
            while self.driver()["pid"] in (0, first) or self.driver()["state"] != "running":
                time.sleep(0.05)
            seen = self.stack_frames(ADDRESS)
            while self.stack_frames(ADDRESS) - seen < 2000:
                self.assertIsNone(benchmark.process.poll(), benchmark.output())
                time.sleep(0.02)
        self.assertEqual(benchmark.wait(timeout_s=60), 0, benchmark.output())
        self.assertGreater(requests_per_second(benchmark.output(), "GET"), 0, benchmark.output())

    def test_a_killed_supervisor_leaves_no_program(self):
        supervisor = next(pid for pid in self.skerry.left_behind() if os.readlink(f"/proc/{pid}/exe").endswith("skerry-supervisor"))
        os.kill(supervisor, signal.SIGKILL)
        self.assert_the_hosts_again()
        self.server.wait(timeout_s=10)

    def test_an_interface_is_taken_once(self):
        code, output = self.skerry.command("run", "--net", "second", "--uplink", "afxdp:sk-wire", "--", "/bin/true", check=False)
        self.assertEqual(code, 125)
        self.assertIn("has an XDP program already", output)


# ETHTOOL_STXCSUM of eth0: the sender finishes its checksums itself, without ethtool(8).
OFFLOAD_OFF = """
import array, fcntl, socket, struct
value = array.array("B", struct.pack("II", 0x17, 0))
request = struct.pack("16sP", b"eth0", value.buffer_info()[0])
fcntl.ioctl(socket.socket(), 0x8946, request)
"""


if __name__ == "__main__":
    unittest.main()
