"""CPython's own tests of sockets and of what stands on them: those that pass on plain Linux pass on a stack.

Each module runs in a network namespace with a loopback, and on a stack, at the same time. The namespace has IPv6 switched off, because
Skerry has none: what is compared is IPv4, and AF_INET6 sockets that carry it. cpython_known.py has what is left out and what fails, with
the reasons. Here the quick ones; all of them, four minutes: SKERRY_CPYTHON=all ./test programs
"""

import contextlib
import fnmatch
import os
import unittest
from pathlib import Path

from cpython_known import KNOWN
from lab.namespace import Namespace
from lab.process import Failure, Running
from skerry_case import SkerryCase

RUNNER = [Path("/usr/bin/python3"), "-B", Path(__file__).with_name("cpython_run.py")]
NO_IPV6 = "[ ! -e /proc/sys/net/ipv6 ] || for each in all lo; do echo 1 > /proc/sys/net/ipv6/conf/$each/disable_ipv6 || exit 1; done; ip link set lo up"
LIMIT_S = 400  # of a module
ALL = os.environ.get("SKERRY_CPYTHON") == "all"
QUICK = {
    "test_socket": ("GeneralModuleTests", "BasicTCPTest", "BasicUDPTest", "UDPTimeoutTest", "TCPTimeoutTest", "SendmsgTCPTest", "SendmsgUDPTest",
                    "RecvmsgTCPTest", "RecvmsgUDPTest", "RecvmsgIntoTCPTest", "RecvmsgIntoUDPTest", "SmallBufferedFileObject",
                    "NonBlockingTCPTests", "CreateServer", "InheritanceTest"),
    "test_selectors": ("EpollSelectorTestCase",),
    "test_ftplib": ("TestFTPClass.",),
}


def outcomes(report):
    """{test: (outcome, why)} of what has been written so far: a test that hung has none, nor those behind it."""
    lines = [line.split("\t") for line in report.read_text(encoding="utf-8").splitlines()] if report.exists() else []
    return {line[1]: (line[0], line[2]) for line in lines if len(line) == 3}


def slow(test):
    return test if ALL else None


def known(test):
    return any(fnmatch.fnmatchcase(test, pattern) for pattern in KNOWN)


@unittest.skipUnless(RUNNER[0].exists() and Path("/usr/lib/python3.11/test/test_socket.py").exists(), "libpython3.11-testsuite is not installed")
class Modules(SkerryCase):
    """Test by test, by name."""

    LIMIT_S = 3 * LIMIT_S

    def compare(self, module):
        patterns = () if ALL else QUICK.get(module, ())
        with Namespace() as namespace:
            namespace.run("sh", "-c", NO_IPV6)
            with Running([*namespace.inside(), *RUNNER, self.folder / "plain", module, *patterns], whole_group=True) as plain:
                ours = self.on_a_stack("ours", module, *patterns)
                with contextlib.suppress(Failure):
                    plain.wait(LIMIT_S)
        expected = [test for test, (outcome, _) in outcomes(self.folder / "plain").items() if outcome == "passed"]
        self.assertGreater(len(expected), 4, f"hardly anything ran on plain Linux:\n{plain.output()}")
        failed = [test for test in expected if ours.get(test, ("never ended", ""))[0] != "passed"]
        # Several of these tests are about time, so on a busy machine one may fail here as it may on plain Linux.
        for turn in range(1, 4):
            again = [test for test in failed if not known(test)]
            if not again:
                break
            outcomes_again = self.on_a_stack(f"again-{turn}", module, *again)
            failed = [test for test in failed if outcomes_again.get(test, ("",))[0] != "passed"]
        share = 1 - len(failed) / len(expected)
        print(f"   {module}: {len(expected)} pass on plain Linux, {100 * share:.1f} % of them here", flush=True)
        self.assertGreaterEqual(share, .97, {test: ours.get(test) for test in failed})
        unknown = {test: ours.get(test, "never ended") for test in failed if not known(test)}
        self.assertEqual(unknown, {}, "\n".join(f"{test}: {why}" for test, why in unknown.items()))

    def on_a_stack(self, report, module, *patterns):
        """What came of each test. The stack's counters are read while its program, which has done its work, is still there."""
        path = self.folder / report
        program = self.skerry.begin("run", "--uplink", "none", "--name", report, "--share", str(self.folder), "--",
                                    "sh", "-c", '"$@"; echo the module has run; exec sleep 1000', "sh", *RUNNER, path, module, *patterns)
        with contextlib.suppress(Failure):  # one that hangs leaves no outcome
            program.wait_for("the module has run", timeout_s=LIMIT_S)
            counters = self.skerry.counters(f"{report}.stack")
            self.assertEqual(counters["session.faults"] + counters["sockets.faults"], 0, counters)
            if module not in ("test_poll", "test_select"):  # which use pipes
                self.assertGreater(counters["sockets.opened"], 0, counters)
        program.stop()
        return outcomes(path)

    def test_select(self):
        self.compare("test_select")

    def test_epoll(self):
        self.compare("test_epoll")

    def test_selectors(self):
        self.compare("test_selectors")

    def test_socketserver(self):
        self.compare("test_socketserver")

    def test_httpservers(self):
        self.compare("test_httpservers")

    def test_ftplib(self):
        self.compare("test_ftplib")

    def test_smtplib(self):
        self.compare("test_smtplib")

    def test_socket(self):
        self.compare("test_socket")

    @slow
    def test_poll(self):
        self.compare("test_poll")

    @slow
    def test_ssl(self):
        self.compare("test_ssl")

    @slow
    def test_asyncio(self):
        self.compare("test_asyncio")


if __name__ == "__main__":
    unittest.main()
