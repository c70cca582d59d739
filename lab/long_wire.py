"""A long and lossy wire between two namespaces, and the sides that stand at its ends: plain Linux at both, or a stack of ours behind
AF_XDP at the server's.

The wire is a third namespace: `tc netem` on both ways through a bridge or, where the kernel has no netem, bench-wire, which does the
same. The ends' own interfaces hand over finished frames of at most the MTU, so that one loss is one segment on either side.
"""

import contextlib
import random

from lab.namespace import Namespace
from lab.on_a_wire import SkerryOnAWire
from lab.plain import ADDRESSES, PlainLinux
from lab.process import Failure, Running
from lab.skerry import BUILD

ROUND_TRIP_MS = 20
LOSS_PERCENT = 1  # of the frames of each direction


class LongWire:
    """Use with `with`. `ends`: role -> Namespace; the wire is the interface `veth` in each."""

    def __init__(self, ends):
        self.ends = ends

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            middle = stack.enter_context(Namespace(beside=next(iter(self.ends.values()))))
            for role, namespace in self.ends.items():
                middle.run("ip", "link", "add", role, "type", "veth", "peer", "name", "veth", "netns", namespace.pid)
                namespace.run("ethtool", "-K", "veth", "tx", "off")
                namespace.run("ip", "link", "set", "veth", "up")
                middle.run("ip", "link", "set", role, "up")
            try:
                self.become_netem(middle)
                self.kind = "netem"
            except Failure:
                stack.enter_context(self.own_wire(middle)).wait_for("ready", timeout_s=10)
                self.kind = "bench-wire"
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *what):
        return self._stack.__exit__(*what)

    def become_netem(self, middle):
        for role in self.ends:
            middle.run("tc", "qdisc", "add", "dev", role, "root", "netem", "delay", f"{ROUND_TRIP_MS / 2}ms", "loss", f"{LOSS_PERCENT}%")
        middle.run("ip", "link", "add", "bridge", "type", "bridge")
        for role in self.ends:
            middle.run("ip", "link", "set", role, "master", "bridge")
        middle.run("ip", "link", "set", "bridge", "up")

    def own_wire(self, middle):
        return Running([*middle.inside(), BUILD / "bench-wire", *self.ends, ROUND_TRIP_MS / 2, LOSS_PERCENT, random.randrange(1 << 30)])


class PlainLinuxFarApart(PlainLinux):
    def __enter__(self):
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(Namespace())
            self.namespaces = {"server": server, "client": stack.enter_context(Namespace(beside=server))}
            self.wire = stack.enter_context(LongWire(self.namespaces))
            for role, namespace in self.namespaces.items():
                namespace.run("ip", "address", "add", f"{ADDRESSES[role]}/24", "dev", "veth")
            self._stack = stack.pop_all()
        return self


class SkerryFarAway(SkerryOnAWire):
    """The server on a stack; the client is plain Linux, as on the other side."""

    def lay_wire(self, stack, host):
        self.wire = stack.enter_context(LongWire({"server": host, "client": self.far}))
