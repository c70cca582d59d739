#!/usr/bin/python3
# UDP echo, 64-byte datagrams, 64 outstanding
"""Echoes of 64 bytes, 64 outstanding, server on core 0 and client on core 1: each on a stack of its own, then over veth.

CPU is what the server side used for one echo, counted as in ./bench redis. Lost datagrams are resent and counted.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from side_by_side import options, runs, udp_echo

EXTRA = {"cpu_us": "server CPU us/echo", "p50_us": "p50 us", "p99_us": "p99 us", "lost": "lost"}


def run_cases(chosen):
    case = runs.Case("udp", "echo64_w64", "echoes/s")
    return [udp_echo.interleave_echoes(case, chosen, window=64, server_core="0", client_core="1",
                                       value=lambda figures: figures["replies"] / figures["seconds"])]


def sentence(cases):
    return f"The echo server on its own stack answered {cases[0].ratio():.1f} times as many datagrams as on plain Linux, in the same run."


if __name__ == "__main__":
    chosen = options.parse(options.parser("udp", __doc__, "./bench udp --json udp.json"))
    sys.exit(options.execute("udp", "udp: 64-byte echoes, 64 outstanding, both ends on stacks, beside veth", chosen, run_cases,
                             EXTRA, sentence))
