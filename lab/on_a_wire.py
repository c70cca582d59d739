"""Skerry with its programs behind AF_XDP, and plain Linux at the other end of the wire."""

import contextlib

from lab.namespace import Namespace
from lab.plain import ADDRESSES
from lab.proc import kernel_threads
from lab.process import Running
from lab.skerry import Skerry


class SkerryOnAWire(Skerry):
    """PlainLinux with its server on a stack of its own instead of the kernel's: the same veth pair between two namespaces, the
    same client. Vswitch and driver run where `skerry run` puts them, which is beside the client."""

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            host = stack.enter_context(Namespace())
            self.far = stack.enter_context(Namespace(beside=host))
            self.lay_wire(stack, host)
            self.far.run("ip", "address", "add", f"{ADDRESSES['client']}/24", "dev", "veth")
            self.before = host.inside()
            super().__enter__()
            self.namespaces = stack.pop_all()
        return self

    def __exit__(self, *what):
        super().__exit__(*what)
        return self.namespaces.__exit__(*what)

    def lay_wire(self, stack, host):
        """Joins `host` and `self.far` by an interface `veth` in each. What must be taken down again goes into the ExitStack `stack`."""
        host.run("ip", "link", "add", "veth", "type", "veth", "peer", "name", "veth", "netns", self.far.pid)
        host.run("ip", "link", "set", "veth", "up")
        self.far.run("ip", "link", "set", "veth", "up")

    def address(self, role):
        return ADDRESSES[role]

    def start(self, role, core, argv):
        if role == "client":
            return Running([*self.far.inside(), "taskset", "--cpu-list", core, *argv])
        return self.begin("run", "--uplink", "afxdp:veth", "--core", core, "--address", f"{ADDRESSES[role]}/24", "--", *argv)

    def server_pids(self, server):
        return [*super().server_pids(server), *kernel_threads("ksoftirqd/0"), *kernel_threads("ksoftirqd/1")]
