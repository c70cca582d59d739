"""Programs through a link that loses, doubles, damages and reorders frames: what arrives is what was sent, both ways.

By hand, 1 GiB with each of four seeds: SKERRY_LOSSY_MIB=1024 SKERRY_LOSSY_SEEDS=1,2,3,4 ./test programs
"""

import contextlib
import hashlib
import os
import time
import unittest
from pathlib import Path

import nginx_test
from lab.process import Failure
from redis_test import READY, SERVER
from skerry_case import SkerryCase

MIB = int(os.environ.get("SKERRY_LOSSY_MIB", "16"))
SEEDS = [int(seed) for seed in os.environ.get("SKERRY_LOSSY_SEEDS", "1,2").split(",")]
VALUE_BYTES = 65536
CONTENT = Path(__file__).with_name("redis_content.py")

COMPOSITION = """
[network.lan]
subnet = "10.77.0.0/24"

[program.server]
run = {server}
network = "lan"
address = "10.77.0.2"
share = ["{folder}"]

[stack.server]
lossy_seed = {seed}

[program.client]
run = {client}
network = "lan"
address = "10.77.0.3"
share = ["{folder}"]
stdout = "{output}"
stderr = "{output}"
"""


def words(argv):
    return "[" + ", ".join(f"'{word}'" for word in argv) + "]"


class BadWeather(SkerryCase):
    LIMIT_S = 60 + 4 * MIB

    def carry(self, seed, server, client):
        """Runs the client to its end and returns what it printed; the server's stack has the bad link."""
        output, file = self.folder / f"output-{seed}", self.folder / f"lossy-{seed}.toml"
        file.write_text(COMPOSITION.format(folder=self.folder, seed=seed, server=words(server), client=words(client), output=output))
        up = self.skerry.begin("up", str(file))
        deadline = time.monotonic() + self.LIMIT_S
        while time.monotonic() < deadline and not self.has_ended("client"):
            time.sleep(0.2)
        counters = self.skerry.counters("server.stack")
        self.end(up)
        # What is carried is mostly several segments at a time, and one in a hundred is lost: without recovery nothing would have arrived.
        self.assertGreater(counters["tcp.segments_in"], MIB * 2**20 // VALUE_BYTES)
        self.assertGreater(counters["tcp.retransmissions"], 0)
        self.assertGreater(counters["drop.tcp checksum"], 0, "damaged segments are seen as such")
        return output.read_text()

    def has_ended(self, program):
        with contextlib.suppress(Failure):  # there is no supervisor to ask yet
            return any(row["name"] == program and row["state"] == "ended" for row in self.skerry.processes())


class Redis(BadWeather):
    def test_values_come_back_as_they_were(self):
        count = MIB * 2**20 // VALUE_BYTES
        for seed in SEEDS:
            with self.subTest(seed=seed):
                output = self.carry(seed, SERVER, ["/usr/bin/python3", CONTENT, "10.77.0.2", count, VALUE_BYTES])
                self.assertEqual(output, "equal\n")


class NginxAndCurl(nginx_test.Nginx, BadWeather):
    def test_a_file_down_and_up(self):
        """By GET out of nginx, and by PUT into it."""
        digest = self.make_file(MIB)
        server = self.configure()
        curl = "curl --silent --show-error --fail --retry 10 --retry-connrefused --retry-delay 1"
        script = (f"{curl} {nginx_test.SITE}/large | sha256sum && "
                  f"{curl} --upload-file {self.folder}/large {nginx_test.SITE}/uploaded && echo uploaded")
        for seed in SEEDS:
            with self.subTest(seed=seed):
                output = self.carry(seed, server, ["sh", "-c", script])
                self.assertIn(digest, output)
                self.assertIn("uploaded\n", output)
                with open(self.folder / "uploaded", "rb") as file:
                    self.assertEqual(hashlib.file_digest(file, "sha256").hexdigest(), digest)
                (self.folder / "uploaded").unlink()


if __name__ == "__main__":
    unittest.main()
