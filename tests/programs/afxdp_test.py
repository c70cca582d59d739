"""Programs reached from another network namespace through AF_XDP on veth, and an interface that is the host's again afterwards."""

import hashlib
import json
import os
import signal
import time
import unittest

import memcached_test
import postgres_test
from iperf3_test import CLIENT as IPERF3
from iperf3_test import Iperf3
from lab.namespace import Namespace
from lab.process import Running, run
from lab.skerry import Skerry
from nginx_test import FILE_MIB, SITE, Nginx
from redis_test import HOST, READY, SERVER, requests_per_second
from skerry_case import SkerryCase, needs_root
from sockets_test import HERE, PYTHON

UPLINK = ("--uplink", "afxdp:sk-wire")
ECHO = HERE / "python_echo.py"


@needs_root("taking an interface for AF_XDP")
class WireCase(SkerryCase):
    """Two namespaces of ours and a veth pair between them: one is the host that Skerry runs on, in the other are the clients."""

    def make_skerry(self):
        self.host = self.enterContext(Namespace())
        self.far = self.enterContext(Namespace())
        self.host.run("ip", "link", "add", "sk-wire", "type", "veth", "peer", "name", "eth0", "netns", self.far.pid)
        self.host.run("ip", "link", "set", "sk-wire", "up")
        self.far.run("ip", "address", "add", "10.77.0.9/24", "dev", "eth0")
        self.far.run("ip", "link", "set", "eth0", "up")
        return Skerry(before=self.host.inside())

    def far_away(self, *argv, timeout_s=30):
        return run([*self.far.inside(), *argv], timeout_s=timeout_s)[1]


class OtherPrograms(Nginx, Iperf3, postgres_test.Postgres, WireCase):
    LIMIT_S = 120

    def test_nginx(self):
        digest = self.make_file()
        Nginx.start(self, options=UPLINK)
        self.far_away("curl", "--silent", "--fail", "--output", self.folder / "curl", f"{SITE}/large", timeout_s=30 + FILE_MIB)
        self.assertEqual(hashlib.sha256((self.folder / "curl").read_bytes()).hexdigest(), digest)
        self.check_wrk(self.far_away("wrk", "--threads", "2", "--connections", "50", "--duration", "2", "--timeout", "10", f"{SITE}/page.txt"))
        self.assert_stack_carried(100, self.before)

    def test_memcached(self):
        self.serve(*memcached_test.SERVER, ready=memcached_test.READY, options=UPLINK)
        before = self.stack_frames()
        output = self.far_away(*memcached_test.CLIENT, timeout_s=60)
        self.assertEqual(output.split()[-1], "equal", output)
        self.assert_stack_carried(16 * 100 * 2, before)

    def measure(self, *words):
        return json.loads(self.far_away(*IPERF3, *words))

    def test_iperf3(self):
        """A wire has no super-frames and loses what comes too fast, so eight streams share it as they can."""
        Iperf3.start(self, *UPLINK)
        for direction in ((), ("--reverse",)):
            self.check_tcp(1 << 20, 1, *direction)
            self.check_tcp(1000, 8, "--parallel", "8", *direction)
            self.check_udp(*direction)
        self.assert_stack_carried(2000, self.before)

    def test_python(self):
        """asyncio and http.server, asked by asyncio and wget."""
        self.serve(PYTHON, "-u", ECHO, "serve", "asyncio", "10.77.0.2", ready="ready", options=UPLINK)
        before = self.stack_frames()
        self.assertIn("equal", self.far_away(PYTHON, ECHO, "ask", "asyncio", "10.77.0.2"))
        self.assert_stack_carried(100, before)
        page = self.folder / "page.txt"
        page.write_text("over the wire\n" * 20_000)
        self.serve(PYTHON, "-u", "-m", "http.server", "--directory", self.folder, "8080", ready="Serving HTTP", address="10.77.0.3",
                   options=(*UPLINK, "--share", self.folder))
        self.assertEqual(self.far_away("wget", "--quiet", "--output-document=-", "http://10.77.0.3:8080/page.txt"), page.read_text())
        self.assertGreater(self.stack_frames("10.77.0.3"), 20)

    def test_pgbench(self):
        postgres_test.Postgres.start(self, options=UPLINK)
        self.far_away("pgbench", "--initialize", "--scale=1", "--quiet", *postgres_test.ASK)
        self.check_pgbench(self.far_away("pgbench", "--client=8", "--jobs=2", "--time=2", *postgres_test.ASK))
        self.assert_stack_carried(100, self.before)


class Redis(WireCase):
    LIMIT_S = 300

    def setUp(self):
        super().setUp()
        self.server = self.serve(*SERVER, ready=READY, options=UPLINK)
        self.before = self.stack_frames()

    def benchmark(self, *words):
        return self.far_away("redis-benchmark", "-h", HOST, "--csv", *words)

    def driver(self):
        return next(row for row in self.skerry.processes() if row["kind"] == "driver-afxdp")

    def has_program(self):
        return "xdp" in self.host.run("ip", "link", "show", "sk-wire")[1]

    def is_not_promiscuous(self):
        return "promiscuity 0" in self.host.run("ip", "-details", "link", "show", "sk-wire")[1]

    def assert_the_hosts_again(self):
        deadline = time.monotonic() + 20
        while self.has_program() or not self.is_not_promiscuous():
            self.assertLess(time.monotonic(), deadline, "the XDP program is still there, or hears everything")
            time.sleep(0.02)

    def test_redis_answers(self):
        self.assertTrue(self.has_program())
        self.assertEqual(self.far_away("redis-cli", "-h", HOST, "PING").strip(), "PONG")
        output = self.benchmark("-t", "set,get", "-n", "20000")
        self.assertGreater(requests_per_second(output, "GET"), 0, output)
        output = self.benchmark("-t", "set,get", "-n", "500", "-d", "65536")  # in segments: a wire has no super-frames
        self.assertGreater(requests_per_second(output, "GET"), 0, output)
        self.assert_stack_carried(20_000, self.before)
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
        self.assert_stack_carried(5000, self.before)

    def has_link(self, up):
        """Waits until driver and stack say so, and everything that shows it to a person."""
        deadline = time.monotonic() + 60
        processes = [f"{SERVER[0]}.stack", self.driver()["name"]]
        while any(self.skerry.counters(name)["link.down"] == up for name in processes):
            self.assertLess(time.monotonic(), deadline, f"link up: {up} is not seen")
            time.sleep(0.02)
        for view in (("ps",), ("ss",), ("top", "--once", "--interval", "0.1")):
            self.assertEqual("link down" in self.skerry.command(*view)[1], not up, view)

    def test_the_wire_goes_down_and_comes_up(self):
        """Connections live, and driver and stack have counted both times."""
        benchmark = Running([*self.far.inside(), "redis-benchmark", "-h", HOST, "-t", "get", "-n", "600000", "--csv"])
        self.addCleanup(benchmark.stop)
        for side, interface in ((self.host, "sk-wire"), (self.far, "eth0")):  # switched off; its cable pulled
            seen = self.stack_frames()
            while self.stack_frames() - seen < 2000:
                self.assertIsNone(benchmark.process.poll(), benchmark.output())
                time.sleep(0.02)
            side.run("ip", "link", "set", interface, "down")
            self.has_link(False)
            time.sleep(1)  # longer than a retransmission waits
            side.run("ip", "link", "set", interface, "up")
            self.has_link(True)
        self.assertEqual(benchmark.wait(timeout_s=200), 0, benchmark.output())
        self.assertGreater(requests_per_second(benchmark.output(), "GET"), 0, benchmark.output())
        for name in (self.driver()["name"], f"{SERVER[0]}.stack"):
            self.assertEqual(self.skerry.counters(name)["link.flaps"], 2, name)

    def test_the_driver_is_killed(self):
        """A fresh one takes over the interface, and nobody loses a connection."""
        benchmark = Running([*self.far.inside(), "redis-benchmark", "-h", HOST, "-t", "get", "-n", "600000", "--csv"])
        self.addCleanup(benchmark.stop)
        for _ in range(2):
            first = self.driver()["pid"]
            os.kill(first, signal.SIGKILL)
            self.assertTrue(self.has_program(), "meanwhile the host hears nothing that is not for it")
            while self.driver()["pid"] in (0, first) or self.driver()["state"] != "running":
                time.sleep(0.05)
            seen = self.stack_frames()
            while self.stack_frames() - seen < 2000:
                self.assertIsNone(benchmark.process.poll(), benchmark.output())
                time.sleep(0.02)
        self.assertEqual(benchmark.wait(timeout_s=200), 0, benchmark.output())
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
