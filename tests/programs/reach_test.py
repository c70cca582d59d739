"""A program that is root in its cell tries to get past its rules, or out, by every way that we know (tests/filter/reach)."""

import ipaddress
import os
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from filter_stack_test import PYTHON, READY, FilterCase
from lab.process import run
from skerry_case import needs_root

SOURCE = Path(__file__).parent.parent / "filter" / "reach" / "reach.cpp"
SERVER, ATTACKER = "10.77.0.2", "10.77.0.9"

# Answers each connection with a byte; port 81 is what the attacker must not reach.
GREETER = """
import selectors, socket
ports = selectors.DefaultSelector()
for port in (80, 81):
    ports.register(socket.create_server(("0.0.0.0", port)), selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in ports.select():
        with key.fileobj.accept()[0] as connection:
            connection.sendall(b"x")
"""

# Port 80 of the server and nothing else, in either direction.
RULES = f"""
table inet mine {{
    chain in {{ type filter hook input priority 0; policy drop; ip saddr {SERVER} tcp sport 80 counter accept; }}
    chain out {{ type filter hook output priority 0; policy drop; ip daddr {SERVER} tcp dport 80 counter accept; }}
}}
"""

# The same as an allow-list.
BY_LIST = ("--allow", f"{SERVER}:80")


def frames(path):
    """The frames of a pcapng file (draft-ietf-opsawg-pcapng), each as bytes from its Ethernet header on."""
    content, at = Path(path).read_bytes(), 0
    while at + 12 <= len(content):
        kind, length = struct.unpack_from("<II", content, at)
        if at + length > len(content):
            return  # it is being written
        if kind == 6:  # enhanced packet block
            captured, = struct.unpack_from("<I", content, at + 20)
            yield content[at + 28:at + 28 + captured]
        at += length


def is_within_rules(frame):
    """ARP, or TCP between the attacker and port 80 of the server."""
    ethertype, = struct.unpack_from(">H", frame, 12)
    if ethertype == 0x0806:
        return True
    if ethertype != 0x0800 or frame[23] != 6:
        return False
    source, destination = (str(ipaddress.ip_address(frame[at:at + 4])) for at in (26, 30))
    ports = struct.unpack_from(">HH", frame, 14 + (frame[14] & 15) * 4)
    return (source, destination, ports[1]) == (ATTACKER, SERVER, 80) or (source, destination, ports[0]) == (SERVER, ATTACKER, 80)


# What tells how the attacker ended has no session, because noise over the one of its cell may leave it without its output.
SHELL_PAST_US = """
export ours="$LD_PRELOAD"
exec env -u LD_PRELOAD /bin/sh -c 'echo begun; read go; LD_PRELOAD=$ours "$@"; echo "exit $?"; read end' sh "$@"
"""


@needs_root("the program is to be root in its cell")
class Reach(FilterCase):
    LIMIT_S = 240

    def setUp(self):
        super().setUp()
        self.program = self.folder / "reach"
        run(["g++", "-std=c++20", "-O1", "-o", self.program, SOURCE], timeout_s=120)
        self.serve(PYTHON, "-c", GREETER, ready=READY, address=SERVER)
        self.by_filter = ("--filter", self.rules(RULES))

    def begin_attack(self, *words, inherits=(), behind=None):
        """The attacker waits in its cell until it is told; what crosses its link is written down from before that on."""
        self.attacker = self.skerry.begin(
            "run", "--uplink", "none", "--name", "web", "--address", ATTACKER, *(behind or self.by_filter), "--share", self.folder, "--",
            "/bin/sh", "-c", SHELL_PAST_US, "sh", self.program, *words, stdin=subprocess.PIPE, pass_fds=inherits)
        self.attacker.wait_for("begun", timeout_s=30)
        self.seen = self.folder / f"{words[-1].strip('@').replace('/', '-')}.pcapng"
        self.capture = self.skerry.begin("capture", "web", "-w", self.seen)
        self.wait_until(lambda: self.seen.exists() and self.seen.stat().st_size > 0, self.capture)
        self.rules_before = self.texts()
        self.tell("go")

    def tell(self, word):
        self.attacker.process.stdin.write(f"{word}\n".encode())
        self.attacker.process.stdin.flush()

    def assert_kept_within_rules(self):
        self.capture.stop(signal.SIGINT)
        crossed = list(frames(self.seen))
        past = [frame.hex() for frame in crossed if not is_within_rules(frame)]
        self.assertEqual(past, [], "these frames are past the rules")
        self.assertGreaterEqual(len(crossed), 5, "the connection that is allowed was not seen, so nothing would have been")

    def texts(self):
        """The rules, without what they have counted."""
        return [{key: row.get(key) for key in ("table", "chain", "hook", "priority", "policy", "handle", "index", "file", "line")} for row in self.listed()]

    def test_no_wall_has_a_gap(self):
        self.try_walls(self.by_filter)

    def test_an_allow_list_is_as_good_a_wall(self):
        self.try_walls(BY_LIST)

    def try_walls(self, behind):
        """Sockets of the host are there to be reached; the attacker inherits one and may reach none."""
        with (socket.create_server(("127.0.0.1", 0)) as inherited, socket.socket(socket.AF_UNIX) as path, socket.socket(socket.AF_UNIX) as abstract):
            name = f"reach-{os.getpid()}"
            path.bind(str(Path(tempfile.gettempdir(), name)))
            self.addCleanup(os.unlink, path.getsockname())
            abstract.bind(f"\0{name}")
            for listener in (path, abstract):
                listener.listen()
            self.begin_attack("walls", SERVER, "80", SERVER, "81", path.getsockname(), f"@{name}", inherits=[inherited.fileno()], behind=behind)
            self.attacker.wait_for("exit ", timeout_s=60)
            output = self.attacker.output()
            self.assertIn("exit 0", output, output)
            self.assertNotIn("OPEN", output)
            for tried in ("allowed open", "UDP by its stack closed", "raw TCP closed", "io_uring closed", "trace init closed", "core_pattern closed", "the host's abstract socket closed"):
                self.assertIn(tried, output)
            self.assertEqual(self.texts(), self.rules_before)
            for listener in (inherited, path, abstract):
                listener.setblocking(False)
                self.assertRaises(BlockingIOError, listener.accept)
        self.assert_kept_within_rules()

    def test_noise_all_over_the_session_gets_nothing_past_a_rule(self):
        """The stack ends the session at the first lie, and everybody else goes on."""
        for seed in range(1, 7):
            self.begin_attack("scribble", SERVER, "80", str(seed), behind=self.by_filter if seed % 2 else BY_LIST)
            self.attacker.wait_for("scribbles over", timeout_s=30)
            self.assertNotIn("rings 0 bells", self.attacker.output())
            deadline = time.monotonic() + 60
            while self.attacker.process.poll() is None and "exit " not in self.attacker.output():
                self.assertLess(time.monotonic(), deadline, self.attacker.output())
                time.sleep(0.05)
            self.assert_kept_within_rules()
            self.assertEqual(self.texts(), self.rules_before)
            while self.skerry.counters("web.stack")["sockets.faults"] < 1:
                self.assertLess(time.monotonic(), deadline, "the stack has not noticed any of it")
                time.sleep(0.05)
            self.attacker.stop(signal.SIGINT)
            self.assertEqual(self.ask(PYTHON, "-c", f"import socket; print(socket.create_connection(('{SERVER}', 80), 20).recv(1))"), "b'x'\n")


if __name__ == "__main__":
    unittest.main()
