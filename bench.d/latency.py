#!/usr/bin/python3
# UDP ping-pong, one outstanding, across cores and on one core
"""The round trip of one 64-byte datagram, nobody spinning, the same placement on both sides: across cores (server 0, client 1)
and with both ends on core 0. Each on a stack of its own, then over veth.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from side_by_side import options, runs, udp_echo

CASES = {"udp_w1": ("0", "1"), "udp_w1_same_core": ("0", "0")}
EXTRA = {"cpu_us": "server CPU us/echo", "p99_us": "p99 us", "lost": "lost"}


def run_cases(chosen):
    return [udp_echo.interleave_echoes(runs.Case("latency", name, "us", lower_is_better=True), chosen, window=1,
                                       server_core=server_core, client_core=client_core,
                                       value=lambda figures: figures["p50_us"])
            for name, (server_core, client_core) in CASES.items()]


def sentence(cases):
    across, same = cases
    return (f"One datagram there and back took {across.median('ours'):.1f} us across cores, {across.ratio():.1f} times faster than "
            f"plain Linux, and {same.median('ours'):.1f} us on one core, {same.ratio():.1f} times.")


if __name__ == "__main__":
    chosen = options.parse(options.parser("latency", __doc__, "./bench latency --json latency.json"))
    sys.exit(options.execute("latency", "latency: one UDP datagram there and back, median of each run", chosen, run_cases, EXTRA,
                             sentence))
