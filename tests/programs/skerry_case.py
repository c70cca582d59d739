"""What every test of a program has: a Skerry of its own, a time limit, and nothing left behind afterwards."""

import os
import pwd
import shutil
import signal
import tempfile
import time
import unittest
from pathlib import Path

from lab.namespace import Namespace
from lab.process import Failure, run
from lab.skerry import BUILD, Skerry


class SkerryCase(unittest.TestCase):
    LIMIT_S = 90

    def setUp(self):
        signal.signal(signal.SIGALRM, self._too_late)
        signal.alarm(int(self.LIMIT_S))
        self.addCleanup(signal.alarm, 0)
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="skerry-test-")))
        self.skerry = self.enterContext(self.make_skerry())

    def make_skerry(self):
        return Skerry()

    def _too_late(self, *_):
        raise Failure(f"the test did not end within {self.LIMIT_S} s")

    def serve(self, *argv, address="10.77.0.2", ready=None, within_s=20, options=("--uplink", "none")):
        """Starts a program on a stack of its own; returns once it has printed `ready`, and fails if that takes longer than within_s."""
        server = self.skerry.begin("run", *options, "--address", address, "--", *argv)
        if ready:
            server.wait_for(ready, timeout_s=within_s)
        return server

    def ask(self, *argv, address="10.77.0.3", timeout_s=30, options=()):
        """Runs a program on another stack to its end; returns what it printed."""
        return self.skerry.command("run", "--uplink", "none", *options, "--address", address, "--", *argv, timeout_s=timeout_s)[1]

    def wait_until(self, condition, program, timeout_s=60):
        """Returns once the condition holds; the program that shall bring it about must not end before."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if program.process.poll() is not None and not condition():
                raise Failure(f"{program} ended with {program.process.returncode}:\n{program.output()}")
            if time.monotonic() > deadline:
                raise Failure(f"{program} was too slow:\n{program.output()}")
            time.sleep(0.02)

    def stack_counter(self, counter, address="10.77.0.2"):
        for row in self.skerry.processes():
            if row["kind"] == "program" and row["address"] == address:
                return self.skerry.counters(f"{row['name']}.stack")[counter]
        self.fail(f"no program has the address {address}: {self.skerry.processes()}")

    def stack_frames(self, address="10.77.0.2"):
        """Frames that the stack with this address has received so far, by its own count."""
        return self.stack_counter("link.rx_frames", address)

    def assert_stack_carried(self, frames, before, address="10.77.0.2"):
        """The traffic went through our stack, not past it: its own counter rose by at least so many frames."""
        self.assertGreaterEqual(self.stack_frames(address) - before, frames, "the program's stack did not see the traffic")

    def assert_no_segment_lost(self, stack, peer):
        """What it sent again came to its only peer twice: on a busy machine an answer may be late, and nothing be lost."""
        again, deadline = self.skerry.counters(stack)["tcp.retransmissions"], time.monotonic() + 10
        while (twice := self.skerry.counters(peer)["tcp.duplicates_in"]) < again:
            self.assertLess(time.monotonic(), deadline, f"{stack} sent {again} segments again, and {peer} knew {twice} of them")
            time.sleep(0.1)

    def end(self, program):
        """Ctrl-C, and then nothing is left."""
        program.stop(signal.SIGINT)
        self.skerry.wait_until_gone()


class HostCase(SkerryCase):
    """The host is a network namespace of ours, so the real one keeps its interfaces; TAP joins it to the network."""

    def make_skerry(self):
        self.host = self.enterContext(Namespace())
        self.host.run("ip", "link", "set", "lo", "up")
        return Skerry(before=self.host.inside())

    def on_host(self, *argv, timeout_s=30):
        return run([*self.host.inside(), *argv], timeout_s=timeout_s)[1]


def own_user():
    """The name of the user who runs the tests, for programs that want to be told."""
    return pwd.getpwuid(os.geteuid()).pw_name


def as_user(name):
    """What to write before a command that root shall run as this user; nothing where it is not root who runs the tests."""
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam(name)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


class Rootless(SkerryCase):
    """Everything that Skerry does is done without privilege: where root runs the tests, by the user nobody."""

    def before(self):
        """Words before each command."""
        return []

    def make_skerry(self):
        if os.geteuid() != 0:
            return Skerry(self.before())
        self.folder.chmod(0o777)
        as_nobody = [*self.before(), *as_user("nobody")]
        if run([*as_nobody, "test", "-x", BUILD / "skerry"], timeout_s=5, check=False)[0]:
            self.skipTest(f"nobody may not read {BUILD}: the checkout lies in a private folder")
        return Skerry(as_nobody)

    def setUp(self):
        super().setUp()
        if os.geteuid() == 0:
            os.chown(self.skerry.folder.name, *pwd.getpwnam("nobody")[2:4])


def needs(*programs):
    missing = [program for program in programs if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin")]
    return unittest.skipIf(missing, f"not installed: {' '.join(missing)}")


def needs_root(reason):
    return unittest.skipUnless(os.geteuid() == 0, f"needs root: {reason}")


def needs_tap(test):
    return unittest.skipUnless(os.geteuid() == 0 and os.path.exists("/dev/net/tun"), "needs root and /dev/net/tun to make a TAP device")(test)
