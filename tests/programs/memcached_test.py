"""Debian's memcached with four threads, unmodified, over TCP and UDP: from another stack, and from the host through TAP."""

import unittest
from pathlib import Path

from skerry_case import HostCase, SkerryCase, needs_tap, own_user

CLIENT = ("/usr/bin/python3", str(Path(__file__).with_name("memcached_content.py")), "10.77.0.2")
SERVER = ("memcached", "-t", "4", "-U", "11211", "-u", own_user(), "-vv")
READY = "server listening (udp)"


class BetweenStacks(SkerryCase):
    def test_values_over_tcp_and_udp(self):
        self.serve(*SERVER, ready=READY)
        before = self.stack_frames()
        output = self.ask(*CLIENT, timeout_s=60)
        self.assertEqual(output.split()[-1], "equal", output)
        self.assert_stack_carried(16 * 100 * 2, before)


@needs_tap
class FromTheHost(HostCase):
    def test_memcached_through_tap(self):
        self.serve(*SERVER, ready=READY, options=("--uplink", "tap"))
        before = self.stack_frames()
        output = self.on_host(*CLIENT, timeout_s=60)
        self.assertEqual(output.split()[-1], "equal", output)
        self.assert_stack_carried(16 * 100 * 2, before)


if __name__ == "__main__":
    unittest.main()
