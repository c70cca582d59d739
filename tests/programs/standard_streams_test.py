"""stdin, stdout and stderr that are sockets: inetd-style programs and bash's /dev/tcp do on a stack what they do on plain Linux."""

import unittest
from pathlib import Path

from lab.namespace import Namespace
from lab.process import run
from skerry_case import SkerryCase

HERE = Path(__file__).parent


class StandardStreams(SkerryCase):
    LIMIT_S = 240

    def test_are_heard_as_on_linux(self):
        program = self.folder / "standard_streams"
        run(["g++", "-O1", "-o", program, HERE / "standard_streams.cpp"], timeout_s=60)
        words = ("/usr/bin/python3", str(HERE / "standard_streams.py"), str(program))
        with Namespace() as plain:
            plain.run("ip", "link", "set", "lo", "up")
            expected = run([*plain.inside(), *words], timeout_s=110)[1].splitlines()
        self.assertGreater(len(expected), 20, expected)
        ours = self.skerry.command("run", "--uplink", "none", "--share", str(self.folder), "--", *words, timeout_s=110)[1].splitlines()
        for seen, wanted in zip(ours, expected):
            self.assertEqual(seen, wanted)
        self.assertEqual(len(ours), len(expected))


if __name__ == "__main__":
    unittest.main()
