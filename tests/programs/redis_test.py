"""Debian's redis-server, redis-cli and redis-benchmark, unmodified: from another stack, and from the host through TAP."""

import os
import re
import time
import unittest
from pathlib import Path

from lab.process import run
from skerry_case import HostCase, SkerryCase, needs_tap

SERVER = ("redis-server", "--save", "", "--appendonly", "no", "--protected-mode", "no", "--bind", "0.0.0.0")
READY = "Ready to accept connections"
HOST = "10.77.0.2"
# A minute by hand: SKERRY_BLPOP_S=60 ./test programs
BLPOP_S = float(os.environ.get("SKERRY_BLPOP_S", "10"))


def requests_per_second(output, command):
    match = re.search(rf'^"{command}","([0-9.]+)"', output, re.MULTILINE)
    return float(match.group(1)) if match else 0


class BetweenStacks(SkerryCase):
    LIMIT_S = 60 + 2 * BLPOP_S

    def setUp(self):
        super().setUp()
        self.server = self.serve(*SERVER, ready=READY)
        self.before = self.stack_frames()

    def cli(self, *words, address="10.77.0.3"):
        return self.ask("redis-cli", "-h", HOST, *words, address=address).strip()

    def benchmark(self, *words):
        return self.ask("redis-benchmark", "-h", HOST, "--csv", *words)

    def test_ping_set_get(self):
        self.assertEqual(self.cli("PING"), "PONG")
        self.assertEqual(self.cli("SET", "key", "a value"), "OK")
        self.assertEqual(self.cli("GET", "key"), "a value")
        self.assert_stack_carried(3 * 4, self.before)

    def test_benchmark_without_pipelining(self):
        output = self.benchmark("-t", "set,get", "-n", "20000", "-c", "50")
        self.assertGreater(requests_per_second(output, "SET"), 0, output)
        self.assertGreater(requests_per_second(output, "GET"), 0, output)
        self.assertEqual(self.cli("STRLEN", "key:__rand_int__"), "3")
        self.assert_stack_carried(1000, self.before)

    def test_benchmark_pipelined(self):
        output = self.benchmark("-t", "set,get", "-n", "100000", "-c", "50", "-P", "16")
        self.assertGreater(requests_per_second(output, "GET"), 0, output)
        self.assert_stack_carried(1000, self.before)

    def test_values_of_512_bytes(self):
        output = self.benchmark("-t", "set,get", "-n", "20000", "-d", "512", "-P", "16")
        self.assertGreater(requests_per_second(output, "GET"), 0, output)
        self.assertEqual(self.cli("STRLEN", "key:__rand_int__"), "512")

    def test_values_of_64_kib(self):
        output = self.benchmark("-t", "set,get", "-n", "2000", "-d", "65536")
        self.assertGreater(requests_per_second(output, "GET"), 0, output)
        self.assertEqual(self.cli("STRLEN", "key:__rand_int__"), "65536")
        self.assert_stack_carried(2000, self.before)

    def test_more_large_values_than_the_links_have_memory_for(self):
        """Frames are lost then, as on a wire, and sent again; nobody is left waiting."""
        output = self.benchmark("-t", "set,get", "-n", "2000", "-d", "65536", "-c", "400")
        self.assertGreater(requests_per_second(output, "SET"), 0, output)
        self.assertGreater(requests_per_second(output, "GET"), 0, output)
        self.assertEqual(self.cli("STRLEN", "key:__rand_int__"), "65536")

    def test_content_survives_both_ways(self):
        """Eight values of 8 MiB, each with bytes of its own: what comes back has the digest of what was sent."""
        script = Path(__file__).with_name("redis_content.py")
        output = self.ask("/usr/bin/python3", str(script), HOST, "8", str(8 << 20))
        self.assertEqual(output.split()[-1], "equal", output)

    def test_subscribe(self):
        subscriber = self.skerry.begin("run", "--uplink", "none", "--address", "10.77.0.4", "--",
                                       "redis-cli", "-h", HOST, "SUBSCRIBE", "news")
        subscriber.wait_for("subscribe", timeout_s=10)
        self.assertEqual(self.cli("PUBLISH", "news", "first light"), "1")
        subscriber.wait_for("first light", timeout_s=10)
        subscriber.stop()

    def test_blocking_pop_waits_and_wakes(self):
        waiting = self.skerry.begin("run", "--uplink", "none", "--address", "10.77.0.4", "--",
                                    "redis-cli", "-h", HOST, "BLPOP", "queue", str(int(2 * BLPOP_S)))
        time.sleep(BLPOP_S)
        self.assertIsNone(waiting.process.poll(), waiting.output())
        self.assertEqual(self.cli("RPUSH", "queue", "job"), "1")
        self.assertEqual(waiting.wait(timeout_s=20), 0)
        self.assertEqual(waiting.output().split(), ["queue", "job"])

    def test_nothing_is_left_after_ctrl_c(self):
        self.end(self.server)


class BackgroundSave(SkerryCase):
    def test_a_fork_is_not_noticed(self):
        """BGSAVE's child closes the listener that it inherited; the parent must go on, and its clients too."""
        self.serve(*SERVER, "--dir", self.folder, ready=READY, options=("--uplink", "none", "--share", self.folder))
        cli = ("redis-cli", "-h", HOST)
        self.assertEqual(self.ask(*cli, "SET", "key", "a value").strip(), "OK")
        self.assertEqual(self.ask(*cli, "BGSAVE").strip(), "Background saving started")
        for _ in range(50):
            state = self.ask(*cli, "INFO", "persistence")
            if "rdb_bgsave_in_progress:0" in state:
                break
            time.sleep(0.1)
        self.assertIn("rdb_last_bgsave_status:ok", state)
        self.assertGreater((self.folder / "dump.rdb").stat().st_size, 0)
        self.assertEqual(self.ask(*cli, "GET", "key").strip(), "a value")


class BackgroundSaveUnderLoad(SkerryCase):
    LIMIT_S = 180
    SAVES = 3

    def cli(self, *words, address="10.77.0.4"):
        return self.ask("redis-cli", "-h", HOST, *words, address=address).strip()

    def start_server(self, address=HOST):
        return self.serve(*SERVER, "--dir", self.folder, ready=READY, address=address, options=("--uplink", "none", "--share", self.folder))

    def status(self):
        return dict(line.split(":", 1) for line in self.cli("INFO").split() if ":" in line)

    def save(self):
        """One BGSAVE from beginning to end; returns what INFO says then."""
        before = int(self.status()["rdb_saves"])
        self.assertEqual(self.cli("BGSAVE"), "Background saving started")
        deadline = time.monotonic() + 60
        while int((status := self.status())["rdb_saves"]) == before or status["rdb_bgsave_in_progress"] != "0":
            self.assertLess(time.monotonic(), deadline, status)
        self.assertEqual(status["rdb_last_bgsave_status"], "ok", status)
        return status

    def test_saves_while_fifty_clients_write(self):
        """The child inherits fifty busy connections. Neither they nor the file notice: what was written before a save is in it, whole."""
        self.start_server()
        before = self.stack_frames()
        self.ask("redis-benchmark", "-h", HOST, "-q", "-t", "set", "-n", "20000", "-r", "100000", "-d", "100", "-P", "16")
        saved = int(self.cli("DBSIZE"))
        received = int(self.status()["total_connections_received"])
        # redis-benchmark ends at the first connection that is lost, and says so.
        writing = self.skerry.begin("run", "--uplink", "none", "--share", self.folder, "--address", "10.77.0.3", "--", "sh", "-c",
                                    f"until [ -e {self.folder}/stop ]; do redis-benchmark -h {HOST} --csv -t set,get -r 100000 -d 100 -n 20000 -c 50"
                                    " || exit 1; done")
        self.wait_until(lambda: '"GET"' in writing.output(), writing)
        for _ in range(self.SAVES):
            status = self.save()
        self.assertEqual(int(status["rdb_saves"]), self.SAVES, status)
        rounds = writing.output().count('"GET"')
        self.wait_until(lambda: writing.output().count('"GET"') > rounds + 1, writing)  # they go on after it
        (self.folder / "stop").touch()
        self.assertEqual(writing.wait(60), 0, writing.output())
        self.assertNotIn("rror", writing.output())
        self.assertGreater(int(self.status()["total_connections_received"]), received + 50)
        self.assert_stack_carried(20000, before)
        run(["redis-check-rdb", self.folder / "dump.rdb"], timeout_s=20)
        self.start_server("10.77.0.5")
        self.assertGreaterEqual(int(self.ask("redis-cli", "-h", "10.77.0.5", "DBSIZE")), saved)


@needs_tap
class FromTheHost(HostCase):
    def test_redis_through_tap(self):
        server = self.serve(*SERVER, ready=READY, options=("--uplink", "tap"))
        before = self.stack_frames()
        self.assertEqual(self.on_host("redis-cli", "-h", HOST, "PING").strip(), "PONG")
        output = self.on_host("redis-benchmark", "-h", HOST, "-t", "set,get", "-n", "10000", "--csv")
        self.assertGreater(requests_per_second(output, "GET"), 0, output)
        output = self.on_host("redis-benchmark", "-h", HOST, "-t", "set,get", "-n", "500", "-d", "65536", "--csv")
        self.assertGreater(requests_per_second(output, "GET"), 0, output)
        self.assert_stack_carried(1000, before)
        self.end(server)
        self.assertNotIn("sk-", self.on_host("ip", "-brief", "link"), "the TAP device is still there")

    def test_large_values_pass_in_super_frames(self):
        """The virtio-net header is used both ways: a value of 64 KiB is a few frames, not 45 of a wire's size."""
        self.serve(*SERVER, ready=READY, options=("--uplink", "tap"))
        driver = next(row["name"] for row in self.skerry.processes() if row["kind"] == "driver-tap")
        for command, way in (("set", "rx"), ("get", "tx")):
            before = self.skerry.counters(driver)
            self.on_host("redis-benchmark", "-h", HOST, "-t", command, "-n", "500", "-d", "65536", "-c", "5", "--csv")
            after = self.skerry.counters(driver)
            carried = after[f"{way}_bytes"] - before[f"{way}_bytes"]
            frames = after[f"{way}_frames"] - before[f"{way}_frames"]
            self.assertGreater(carried, 500 * 65536)
            self.assertGreater(carried / frames, 1514, f"{command}: {frames} frames for {carried} bytes")
            self.assertEqual(after["drop.refused"], 0)

    def test_ping_through_tap(self):
        server = self.serve(*SERVER, ready=READY, options=("--uplink", "tap"))
        self.assertIn("3 received", self.on_host("ping", "-c", "3", "-i", "0.2", "-w", "20", HOST))
        self.end(server)


if __name__ == "__main__":
    unittest.main()
