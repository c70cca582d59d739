"""redis with many connections: a thousand that are idle, and thousands that are short. What they took comes back. And a client that begins anew.

By hand: SKERRY_IDLE=10000 ./test programs, and a minute of short ones: SKERRY_SHORT=60000 ./test programs
"""

import os
import time
import unittest
from pathlib import Path

from lab import idle_connections
from lab.memory import memory_kib
from lab.proc import descendants
from redis_test import HOST, READY, SERVER, requests_per_second
from skerry_case import SkerryCase, needs_root

PYTHON = "/usr/bin/python3"
IDLE = int(os.environ.get("SKERRY_IDLE", "1000"))
SHORT = int(os.environ.get("SKERRY_SHORT", "2000"))
GROWTH_KIB = 2048  # what redis and its allocator may still take after the first thousand

# It ends each connection first, so that the old ones wait at its end.
CLOSES = """
import socket
listener = socket.create_server(("", 7000))
print("ready", flush=True)
while True:
    listener.accept()[0].close()
"""
CONNECTS = """
import socket
with socket.create_connection(("10.77.0.2", 7000), timeout=20, source_address=("", 40001)) as connection:
    print(connection.recv(1))
"""


class ProgramsThatBeginAnew(SkerryCase):
    def test_the_port_of_the_one_before_is_free_to_connect_from(self):
        """Each client's stack draws its clock and its numbers afresh: of five, one is nearly always older than what waits at the server's end."""
        self.serve(PYTHON, "-c", CLOSES, ready="ready")
        for _ in range(6):
            self.assertEqual(self.ask(PYTHON, "-c", CONNECTS), "b''\n")


class ManyConnections(SkerryCase):
    LIMIT_S = 90 + (IDLE + SHORT) / 100

    def setUp(self):
        super().setUp()
        self.serve(*SERVER, "--maxclients", IDLE + 100, ready=READY)
        self.first_sockets = self.stack_counter("sockets.in_use")

    def wait_for_sockets(self, count, address=HOST):
        deadline = time.monotonic() + 30
        while self.stack_counter("sockets.in_use", address) != count:
            self.assertLess(time.monotonic(), deadline, f"{self.stack_counter('sockets.in_use', address)} sockets instead of {count}")
            time.sleep(0.05)

    def test_idle_ones(self):
        """They live, they keep nobody else from being answered, and when they end their sockets are free again."""
        idle = self.skerry.begin("run", "--uplink", "none", "--address", "10.77.0.4", "--", PYTHON, idle_connections.__file__, HOST, IDLE)
        idle.wait_for("open", timeout_s=60)
        self.wait_for_sockets(self.first_sockets + IDLE)
        output = self.ask("redis-benchmark", "-h", HOST, "-t", "get", "-n", "20000", "--csv")
        self.assertGreater(requests_per_second(output, "GET"), 0, output)
        idle.stop(grace_s=60)
        self.assertIn("all answered", idle.output())
        self.wait_for_sockets(self.first_sockets)

    @needs_root("it counts descriptors of processes that nobody may trace")
    def test_short_ones(self):
        """A thousand a second: descriptors, sockets and ports are where they were, and memory where it was after the first thousand."""
        descriptors, _ = self.server_end()
        self.connect(1000)
        _, memory = self.server_end()
        self.connect(SHORT)
        deadline = time.monotonic() + 20
        while self.server_end()[0] > descriptors:  # redis opens one by itself now and then
            self.assertLess(time.monotonic(), deadline, f"{self.server_end()[0]} descriptors instead of {descriptors}")
            time.sleep(0.05)
        self.assertLess(self.server_end()[1] - memory, GROWTH_KIB)

    def connect(self, count):
        """With the client still there: it would be told if it had no port left, and its closed connections hold no sockets."""
        client = self.skerry.begin("run", "--uplink", "none", "--address", "10.77.0.3", "--",
                                   PYTHON, str(Path(__file__).with_name("short_connections.py")), HOST, count)
        client.wait_for("done", timeout_s=30 + count / 100)
        self.wait_for_sockets(0, "10.77.0.3")
        client.stop()
        self.wait_for_sockets(self.first_sockets)

    def server_end(self):
        """Descriptors and memory of the server's program, its stack and the vswitch."""
        pids = [pid for row in self.skerry.processes() if row["kind"] == "vswitch" or row["address"] == HOST
                for pid in descendants(row["pid"])]
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids), memory_kib(pids)


if __name__ == "__main__":
    unittest.main()
