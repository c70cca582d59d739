"""redis through a link that loses, doubles, damages and reorders frames: what comes back is what was stored, both ways.

By hand, 1 GiB with each of four seeds: SKERRY_LOSSY_MIB=1024 SKERRY_LOSSY_SEEDS=1,2,3,4 ./test programs
"""

import os
import time
import unittest
from pathlib import Path

from redis_test import READY, SERVER
from skerry_case import SkerryCase

MIB = int(os.environ.get("SKERRY_LOSSY_MIB", "16"))
SEEDS = [int(seed) for seed in os.environ.get("SKERRY_LOSSY_SEEDS", "1,2").split(",")]
VALUE_BYTES = 65536
CONTENT = Path(__file__).with_name("redis_content.py")

COMPOSITION = """
[network.lan]
subnet = "10.77.0.0/24"

[program.redis]
run = {server}
network = "lan"
address = "10.77.0.2"

[stack.redis]
lossy_seed = {seed}

[program.content]
run = ["/usr/bin/python3", "{content}", "10.77.0.2", "{count}", "{bytes}"]
network = "lan"
address = "10.77.0.3"
stdout = "{output}"
stderr = "{output}"
"""


class ThroughBadWeather(SkerryCase):
    LIMIT_S = 60 + 4 * MIB

    def test_values_come_back_as_they_were(self):
        for seed in SEEDS:
            with self.subTest(seed=seed):
                self.carry(seed)

    def carry(self, seed):
        output = self.folder / f"content-{seed}"
        file = self.folder / f"lossy-{seed}.toml"
        server = "[" + ", ".join(f'"{word}"' for word in SERVER) + "]"
        count = MIB * 2**20 // VALUE_BYTES
        file.write_text(COMPOSITION.format(server=server, seed=seed, content=CONTENT, count=count, bytes=VALUE_BYTES,
                                           output=output))
        up = self.skerry.begin("up", str(file))
        deadline = time.monotonic() + self.LIMIT_S
        while time.monotonic() < deadline and not (output.exists() and output.read_text()):
            time.sleep(0.2)
        counters = self.skerry.counters("redis.stack")
        self.end(up)
        self.assertEqual(output.read_text(), "equal\n")
        # Most values are several segments, and one in a hundred is lost: without recovery nothing would have arrived.
        self.assertGreater(counters["tcp.segments_in"], count)
        self.assertGreater(counters["tcp.retransmissions"], 0)
        self.assertGreater(counters["drop.tcp checksum"], 0, "damaged segments are seen as such")


if __name__ == "__main__":
    unittest.main()
