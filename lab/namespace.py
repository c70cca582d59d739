"""A network namespace of our own, held by a sleeping process: it has no name, ends with us and leaves nothing behind."""

import contextlib
import os
import time

from lab.process import Failure, Running, run


class Namespace:
    """Use with `with`. Without root a user namespace stands around it; `beside` shares that of another Namespace, which two
    namespaces need to be joined by a veth pair."""

    def __init__(self, beside=None):
        self._beside = beside

    def __enter__(self):
        if self._beside:
            command = [*self._beside.inside(), "unshare", "--net"]
        elif os.geteuid() == 0:
            command = ["unshare", "--net"]
        else:
            command = ["unshare", "--user", "--map-root-user", "--net"]
        self._holder = Running([*command, "sleep", "infinity"])
        self.pid = self._holder.pid
        try:
            self._wait_until_apart()
        except Failure:
            self._holder.stop()
            raise
        self._as_debian_ships_it()
        return self

    def __exit__(self, *_):
        self._holder.stop()

    def inside(self):
        """What to write before a command so that it runs in here."""
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        return ["nsenter", "--target", str(self.pid), *user, "--net", "--"]

    def run(self, *words):
        return run([*self.inside(), *words], timeout_s=10)

    def _as_debian_ships_it(self):
        """CUBIC and nothing else: a host may have BBR as its default, whose pacing costs a timer for each burst."""
        with contextlib.suppress(Failure):  # who may not say so keeps what the host has
            self.run("sh", "-c", "echo cubic > /proc/sys/net/ipv4/tcp_congestion_control")

    def _wait_until_apart(self):
        """unshare has happened once the program that it starts is there."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), open(f"/proc/{self.pid}/comm", encoding="ascii") as comm:
                if comm.read() == "sleep\n":
                    return
            time.sleep(0.005)
        raise Failure(f"{self._holder} could not make a network namespace: {self._holder.output() or 'no answer'}")
