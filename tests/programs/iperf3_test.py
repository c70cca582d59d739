"""Debian's iperf3, client and server, unmodified: TCP and UDP, both directions, one stream and eight."""

import json
import unittest

from skerry_case import HostCase, SkerryCase, needs_tap

SERVER = ("iperf3", "--server", "--forceflush")
READY = "Server listening"
HOW = ("--json", "--time", "1")
CLIENT = ("iperf3", "--client", "10.77.0.2", *HOW)


class Iperf3:
    """What all ways of reaching the server share; measure() runs a client and returns what it reports at its end."""

    def start(self, *options):
        self.serve(*SERVER, ready=READY, options=options)
        self.before = self.stack_frames()

    def check_tcp(self, least_bytes, streams, *words):
        end = self.measure(*words)["end"]
        self.assertEqual(len(end["streams"]), streams)
        for stream in end["streams"]:
            self.assertGreater(stream["receiver"]["bytes"], least_bytes, "a stream starved")
        # What was sent arrived, but for what is still on its way when the clock stops.
        self.assertLessEqual(end["sum_received"]["bytes"], end["sum_sent"]["bytes"])

    def check_udp(self, *words):
        """So slow that a kernel's receiver that does not run for half a second loses nothing: its buffer holds some 90 datagrams."""
        end = self.measure("--udp", "--bitrate", "1M", "--length", "1200", *words)["end"]
        self.assertGreater(end["sum"]["packets"], 40)
        self.assertLess(end["sum"]["lost_percent"], 50)

    def check_all(self):
        for streams in (1, 8):
            for direction in ((), ("--reverse",)):
                with self.subTest(streams=streams, direction=direction):
                    self.check_tcp(1 << 20 if streams == 1 else 1000, streams, "--parallel", str(streams), *direction)
        for direction in ((), ("--reverse",)):
            with self.subTest("UDP", direction=direction):
                self.check_udp(*direction)
        self.assert_stack_carried(2000, self.before)


class BetweenStacks(Iperf3, SkerryCase):
    def measure(self, *words):
        return json.loads(self.ask(*CLIENT, *words))

    def test_every_mode(self):
        self.start("--uplink", "none")
        self.check_all()

    def test_both_directions_at_once(self):
        self.start("--uplink", "none")
        end = self.measure("--bidir")["end"]
        self.assertGreater(end["sum_received"]["bytes"], 1 << 20)
        self.assertGreater(end["sum_received_bidir_reverse"]["bytes"], 1 << 20)
        self.assert_stack_carried(16, self.before)  # a MiB, if all came in super-frames

    def test_zero_copy_and_small_buffers(self):
        """--zerocopy is sendfile(); the socket options are those that iperf3 reads back and checks."""
        self.start("--uplink", "none")
        self.check_tcp(1 << 20, 1, "--zerocopy")
        self.check_tcp(1 << 20, 1, "--window", "64K", "--set-mss", "1000", "--no-delay", "--congestion", "cubic")
        self.assert_stack_carried(32, self.before)


@needs_tap
class FromTheHost(Iperf3, HostCase):
    def measure(self, *words):
        return json.loads(self.on_host(*CLIENT, *words))

    def test_every_mode_through_tap(self):
        self.start("--uplink", "tap")
        self.check_all()


if __name__ == "__main__":
    unittest.main()
