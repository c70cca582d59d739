"""Calls drawn from seeds give the same on a stack as on plain Linux: results, errno, readiness, bytes.

What is drawn is in sequence_calls.cpp, sequence_descriptors.cpp, sequence_bytes.cpp and sequence_waiting.cpp. By hand, as many sequences as one likes, from any seed on:

    SKERRY_SEQUENCES=100000 SKERRY_SEQUENCES_SEED=1 ./test programs
"""

import os
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab.namespace import Namespace
from lab.process import run
from skerry_case import SkerryCase

HERE = Path(__file__).parent
SOURCES = [HERE / name for name in ("sequences.cpp", "sequence_calls.cpp", "sequence_descriptors.cpp", "sequence_bytes.cpp", "sequence_waiting.cpp")]
CALLS = 40  # of a sequence, as in sequence.hpp
AT_ONCE = 1000  # sequences of one process, so that one that hangs is soon found
PATIENCE_MS = (5, 50, 500)  # after each call, before a difference is believed: the stack and a busy machine may need time


class Sequences(SkerryCase):
    MANY = int(os.environ.get("SKERRY_SEQUENCES", 1500))
    FIRST = int(os.environ.get("SKERRY_SEQUENCES_SEED", 1))
    LIMIT_S = 200 + MANY / 20

    def setUp(self):
        super().setUp()
        self.program = self.folder / "sequences"
        run(["g++", "-std=c++20", "-O1", "-o", self.program, *SOURCES], timeout_s=120)
        self.plain = self.enterContext(Namespace())
        self.plain.run("ip", "link", "set", "lo", "up")
        self.threads = self.enterContext(ThreadPoolExecutor(2))

    def both(self, first, count, calls=None, pause_ms=0):
        """The lines of plain Linux, and ours."""
        words = ["env", f"SEQUENCES_PAUSE_MS={pause_ms}", self.program, str(first), str(count), *([",".join(map(str, calls))] if calls else [])]
        limit_s = 60 + count / 4
        plain = self.threads.submit(run, [*self.plain.inside(), *words], limit_s)
        ours = self.threads.submit(self.skerry.command, "run", "--uplink", "none", "--share", str(self.folder), "--", *words, timeout_s=limit_s)
        return plain.result()[1].splitlines(), ours.result()[1].splitlines()

    def differs(self, seed, calls):
        """At last, when all had time to happen: both sides' lines, or None."""
        for pause_ms in PATIENCE_MS:
            plain, ours = self.both(seed, 1, calls, pause_ms)
            if plain == ours:
                return None
        return plain, ours

    def smaller(self, seed, lines):
        """A short sequence that still differs, found by leaving calls out; no better than what a minute finds."""
        end = next((number for number, (plain, ours) in enumerate(zip(*lines)) if plain != ours), CALLS - 1) + 1
        calls, step, deadline = list(range(end)), max(1, end // 3), time.monotonic() + 60
        while step and time.monotonic() < deadline:
            at = 0
            while at < len(calls) and time.monotonic() < deadline:
                fewer = calls[:at] + calls[at + step:]
                found = self.differs(seed, fewer) if fewer else None
                if found:
                    calls, lines = fewer, found
                else:
                    at += step
            step //= 2
        return calls, lines

    def test_give_the_same(self):
        done = 0
        for first in range(self.FIRST, self.FIRST + self.MANY, AT_ONCE):
            count = min(AT_ONCE, self.FIRST + self.MANY - first)
            plain, ours = self.both(first, count)
            self.assertEqual((plain[-1], ours[-1], len(plain), len(ours)), ("ended", "ended", count + 1, count + 1), "one side did not come to its end")
            for one, other in zip(plain, ours):
                if one != other:
                    self.look_closer(int(one.split()[0]))
            done += count
        self.assertEqual(done, self.MANY)

    def look_closer(self, seed):
        lines = self.differs(seed, range(CALLS))
        if not lines:
            return
        calls, lines = self.smaller(seed, lines)
        told = [f"   {plain}" if plain == ours else f"Linux {plain}\nours  {ours}" for plain, ours in zip(*lines)]
        self.fail(f"sequence {seed}, calls {','.join(map(str, calls))}:\n" + "\n".join(told))

    def test_are_the_stacks(self):
        """They went to the stack, which found no fault in them."""
        program = self.skerry.begin("run", "--uplink", "none", "--name", "drawn", "--share", str(self.folder), "--",
                                    "sh", "-c", '"$@"; exec sleep 1000', "sh", self.program, "1", "200")
        program.wait_for("ended", timeout_s=60)
        counters = self.skerry.counters("drawn.stack")
        self.assertGreater(counters["sockets.opened"], 200)
        self.assertGreater(counters["tcp.active_opens"], 200)
        self.assertEqual(counters["session.faults"] + counters["sockets.faults"], 0, counters)


if __name__ == "__main__":
    unittest.main()
