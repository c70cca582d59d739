"""Plain Linux, to compare with: two network namespaces joined by a veth pair."""

import contextlib
import os

from lab.namespace import Namespace
from lab.proc import kernel_threads
from lab.process import Running

ADDRESSES = {"server": "10.78.0.2", "client": "10.78.0.3"}


class PlainLinux:
    """Use with `with`. start() runs a program in the server's or the client's namespace, on one core: whoever is not the server is
    a client."""

    name = "kernel"

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(Namespace())
            client = stack.enter_context(Namespace(beside=server))
            self.namespaces = {"server": server, "client": client}
            server.run("ip", "link", "add", "veth", "type", "veth", "peer", "name", "veth", "netns", client.pid)
            for role, namespace in self.namespaces.items():
                namespace.run("ip", "link", "set", "lo", "up")
                namespace.run("ip", "address", "add", f"{ADDRESSES[role]}/24", "dev", "veth")
                namespace.run("ip", "link", "set", "veth", "up")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *what):
        return self._stack.__exit__(*what)

    def address(self, role):
        return ADDRESSES[role]

    def start(self, role, core, argv):
        namespace = self.namespaces["server" if role == "server" else "client"]
        return Running([*namespace.inside(), "taskset", "--cpu-list", core, *argv])

    def server_pids(self, server):
        """Everyone whose time the server side pays for. What the kernel does for a process in its own context is in that
        process's time; what it defers is in ksoftirqd's."""
        core = min(os.sched_getaffinity(server.pid))
        return [server.pid, *kernel_threads(f"ksoftirqd/{core}")]
