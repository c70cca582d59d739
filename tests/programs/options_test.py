"""Socket options, calls that were not made for sockets, threads that are cancelled, and attempts to connect that fail: on a stack they do and tell what they do and tell on plain Linux."""

import unittest
from pathlib import Path

from lab.namespace import Namespace
from lab.process import run
from skerry_case import SkerryCase

HERE = Path(__file__).parent
PYTHON = "/usr/bin/python3"
DROP_PORT_9 = "table ip connects {\n  chain in {\n    type filter hook input priority 0; policy accept;\n    tcp dport 9 drop\n  }\n}\n"


class Compared(SkerryCase):
    LIMIT_S = 240

    def compare(self, program, least_lines, least_sockets, prepare=(), options=()):
        words = (PYTHON, str(HERE / program)) if isinstance(program, str) else (str(program),)
        with Namespace() as plain:
            plain.run("ip", "link", "set", "lo", "up")
            if prepare and run([*plain.inside(), *prepare], timeout_s=20, check=False)[0]:
                self.skipTest(f"this kernel does not take: {' '.join(map(str, prepare))}")
            expected = run([*plain.inside(), *words], timeout_s=110)[1].splitlines()
        self.assertGreaterEqual(len(expected), least_lines, expected)
        ours = self.serve("sh", "-c", '"$@"; echo over; exec sleep infinity', "sh", *words, options=("--uplink", "none", *options))
        ours.wait_for("over\n", timeout_s=110)
        for seen, wanted in zip(ours.output().splitlines(), expected):
            self.assertEqual(seen, wanted)
        self.assertEqual(len(ours.output().splitlines()), len(expected) + 1)
        self.assertGreaterEqual(self.stack_counter("sockets.opened"), least_sockets, "another stack carried this")


class Options(Compared):
    def test_do_what_they_do_on_linux(self):
        self.compare("option_effects.py", 16, 60)


class Errors(Compared):
    def test_are_told_as_on_linux(self):
        self.compare("error_effects.py", 6, 12)


class Descriptors(Compared):
    def test_do_what_they_do_on_linux(self):
        self.compare("descriptor_effects.py", 4, 12)


class Splices(Compared):
    def test_move_what_they_move_on_linux(self):
        self.compare("splice_effects.py", 7, 20)


class Threads(Compared):
    def test_are_cancelled_as_on_linux(self):
        program = self.folder / "cancelled"
        run(["gcc", "-O1", "-o", program, HERE / "cancelled.c", "-lpthread"], timeout_s=60)
        self.compare(program, 44, 20, options=("--share", str(self.folder)))


class Connects(Compared):
    def test_fail_as_on_linux(self):
        rules = self.folder / "rules.nft"
        rules.write_text(DROP_PORT_9)
        self.compare("connect_outcomes.py", 7, 7, prepare=("nft", "-f", rules), options=("--filter", str(rules)))


if __name__ == "__main__":
    unittest.main()
class CallsOfLibc(Compared):
    def test_do_what_they_do_on_linux(self):
        self.compare("libc_effects.py", 6, 12)


