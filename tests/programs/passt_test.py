"""The programs of the other tests without any privilege, through passt in both directions: the server on a stack, published, and its
client on the host; then the server on the host, and its client on a stack."""

import hashlib
import json
import unittest

import iperf3_test
import memcached_test
import nginx_test
import postgres_test
import redis_test
import user_test
from lab.process import run
from skerry_case import as_user
from user_test import HERE, PYTHON, free_port

ECHO = HERE / "python_echo.py"
# Connections with values of many kilobytes at once: what passt loses of more it sends again only after seconds (docs/uplinks.md).
FEW = 4


class Programs(iperf3_test.Iperf3, nginx_test.Nginx, postgres_test.Postgres):
    """What is tried of each program. Who says the direction has begin(), which starts a server on self.port, ask(), which runs a
    client to its end, `where`, which is the server for the client, and `user`, as whom the server runs where root runs the tests."""

    LIMIT_S = 120

    def setUp(self):
        super().setUp()
        self.port = free_port()

    def assert_carried(self, frames):
        self.assertGreaterEqual(self.stack_frames(), frames, "the program's stack did not see the traffic")

    def test_redis(self):
        self.begin(*redis_test.SERVER, "--port", self.port, ready=redis_test.READY)
        for words in (["-n", 5000], ["-n", 200, "-d", 65536, "-c", FEW]):
            output = self.ask("redis-benchmark", "-h", self.where, "-p", self.port, "-t", "set,get", "--csv", *words)
            for command in ("SET", "GET"):
                self.assertGreater(redis_test.requests_per_second(output, command), 0, output)
        self.assert_carried(200)

    def test_memcached_over_tcp_and_udp(self):
        self.begin(*memcached_test.SERVER, "-p", self.port, "-U", self.port, ready=memcached_test.READY)
        self.assertIn("equal", self.ask(PYTHON, HERE / "memcached_content.py", self.where, self.port, FEW))
        self.assert_carried(500)

    def test_pgbench(self):
        become = as_user(self.user)
        self.begin(*self.database(become, self.port), ready="ready to accept connections", become=become)
        for words in (["--initialize", "--scale=1", "--quiet"], ["--client=8", "--jobs=2", "--time=2"]):
            output = self.ask("pgbench", *words, f"--host={self.where}", f"--port={self.port}", "--username=tester", "postgres")
        self.check_pgbench(output)
        self.assert_carried(100)

    def measure(self, *words):
        return json.loads(self.ask("iperf3", "--client", self.where, "--port", self.port, *iperf3_test.HOW, *words))

    def test_iperf3(self):
        self.begin(*iperf3_test.SERVER, "--port", self.port, ready=iperf3_test.READY)
        for direction in ((), ("--reverse",)):
            self.check_tcp(1 << 20, 1, *direction)
            # Time for what passt sends again after three seconds, if it lost the beginning of one on a slow machine.
            self.check_tcp(1000, 8, "--parallel", "8", "--time", "5", *direction)
            self.check_udp(*direction)
        self.assert_carried(100)

    def test_nginx_with_curl_and_wrk(self):
        self.begin(*self.configure(port=self.port, user=""), ready=nginx_test.READY)
        site = f"http://{self.where}:{self.port}"
        self.fetch_with_curl(site)
        self.check_wrk(self.ask("wrk", "--threads", "2", "--connections", "50", "--duration", "1", f"{site}/page.txt"))
        self.assert_carried(100)

    def test_http_server(self):
        self.begin(PYTHON, "-u", "-m", "http.server", "--directory", self.folder, self.port, ready="Serving HTTP")
        self.fetch_with_curl(f"http://{self.where}:{self.port}")
        self.assert_carried(100)

    def fetch_with_curl(self, site):
        self.ask("curl", "--silent", "--show-error", "--fail", "--output", self.folder / "fetched", f"{site}/big")
        self.assertEqual(hashlib.sha256((self.folder / "fetched").read_bytes()).hexdigest(), self.digest)

    def test_asyncio(self):
        self.begin(PYTHON, "-u", ECHO, "serve", "asyncio", "0.0.0.0", self.port, ready="ready")
        self.assertIn("equal", self.ask(PYTHON, ECHO, "ask", "asyncio", self.where, self.port, FEW))
        self.assert_carried(100)


class Inwards(Programs, user_test.UserCase):
    where = "127.0.0.1"
    user = "nobody"

    def begin(self, *argv, ready, become=()):
        """Skerry and so the program are that user already."""
        publish = ("-p", f"127.0.0.1:{self.port}:{self.port}", "-p", f"127.0.0.1:{self.port}:{self.port}/udp")
        self.serve(*argv, ready=ready, options=(*publish, "--share", self.folder))

    def ask(self, *argv):
        return run([*self.host, *argv], timeout_s=60)[1]


class Outwards(Programs, user_test.UserCase):
    where = "host"
    user = "postgres"
    last = None

    def begin(self, *argv, ready, become=()):
        self.on_the_host(*become, *argv, ready=ready)

    def ask(self, *argv):
        if self.last:
            self.last.stop()
        self.last = self.client(*argv)
        return self.last.output().removesuffix("that was all\n")


if __name__ == "__main__":
    unittest.main()
