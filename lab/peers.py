"""Other ways to keep a program's network traffic apart from the host's: pasta, slirp4netns and gVisor's runsc.

Each stands in the server's place of a PlainLinux with everything it needs on the server's core; the client stays a plain
program on the other end of the veth pair. Only those that are installed are used.
"""

import contextlib
import json
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path

from lab.namespace import Namespace
from lab.plain import PlainLinux
from lab.proc import descendants
from lab.process import Failure, Running, run


class Peer(PlainLinux):
    """PlainLinux whose server sits behind something. A subclass says what in start_server()."""

    def __enter__(self):
        super().__enter__()
        self.cleanup = contextlib.ExitStack()
        # pasta and slirp4netns copy their addresses from the interface that has a default route.
        self.namespaces["server"].run("ip", "route", "add", "default", "via", self.address("client"))
        return self

    def __exit__(self, *what):
        self.cleanup.close()
        return super().__exit__(*what)

    def start(self, role, core, argv):
        if role == "client":
            return super().start(role, core, argv)
        return self.start_server([*self.namespaces["server"].inside(), "taskset", "--cpu-list", core], argv)

    def server_pids(self, server):
        return [pid for top in (server, *self.helpers()) for pid in descendants(top.pid)]

    def helpers(self):
        return []


class Pasta(Peer):
    name, program = "pasta", "pasta"

    def start_server(self, on_core, argv):
        # -4: with IPv6 it waits for an address that a veth pair does not get. --runas: as nobody it may not open /dev/net/tun
        # where only root may. The program is its child, hence the whole group.
        as_root = ["--runas", "0"] if os.geteuid() == 0 else []
        return Running([*on_core, "pasta", "-4", "--config-net", *as_root, "--foreground", "--tcp-ports", "6379", "--udp-ports", "none",
                        "--tcp-ns", "none", "--udp-ns", "none", "--", *argv], whole_group=True)


class Slirp4netns(Peer):
    name, program = "slirp4netns", "slirp4netns"
    most_requests = 10_000  # with more on 50 connections it was seen to stop forwarding for good
    slirp = None

    def start_server(self, on_core, argv):
        if self.slirp:
            self.slirp.stop()  # of a run that failed; it still has the port
        inner = self.cleanup.enter_context(Namespace(beside=self.namespaces["server"]))
        inner.run("ip", "link", "set", "lo", "up")
        folder = self.cleanup.enter_context(tempfile.TemporaryDirectory(prefix="skerry-slirp-"))
        control = os.path.join(folder, "api")
        self.slirp = Running([*on_core, "slirp4netns", "--configure", "--mtu", "65520", "--api-socket", control, str(inner.pid), "tap0"])
        self.cleanup.callback(self.slirp.stop)
        forward = {"execute": "add_hostfwd", "arguments": {"proto": "tcp", "host_addr": "0.0.0.0", "host_port": 6379,
                                                           "guest_addr": "10.0.2.100", "guest_port": 6379}}
        answer = ask(control, forward)
        if "error" in answer:
            raise Failure(f"slirp4netns refused to forward the port: {answer}")
        core = on_core[on_core.index("taskset"):]
        return Running([*inner.inside(), *core, *argv])

    def helpers(self):
        return [self.slirp]


class Runsc(Peer):
    name, program = "gVisor", "runsc"

    def start_server(self, on_core, argv):
        bundle = Path(self.cleanup.enter_context(tempfile.TemporaryDirectory(prefix="skerry-runsc-")))
        (bundle / "config.json").write_text(json.dumps({
            "ociVersion": "1.0.0",
            "process": {"user": {"uid": 0, "gid": 0}, "args": [shutil.which(argv[0]), *argv[1:]], "cwd": "/tmp", "env": ["PATH=/usr/bin:/bin"]},
            "root": {"path": "/", "readonly": True},
            "mounts": [{"destination": "/proc", "type": "proc"}, {"destination": "/tmp", "type": "tmpfs"}],
            "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"},
                                     {"type": "network", "path": f"/proc/{self.namespaces['server'].pid}/ns/net"}]},
        }))
        # A second container of one id is refused even after the first has ended.
        container = f"sk-{os.getpid()}-{time.monotonic_ns()}"
        runsc = ["runsc", "--root", str(bundle / "state"), "--platform", "ptrace", "--network", "sandbox"]
        self.cleanup.callback(lambda: run([*runsc, "delete", "--force", container], timeout_s=20, check=False))
        # Before 2024 runsc took a namespace with this file for the host's own, and since Linux 6.11 every namespace has it
        # (google/gvisor issue 10704), so it is hidden from runsc alone.
        hidden = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc/sys/net/core && exec "$@"', "sh"]
        enter, core = on_core[:on_core.index("taskset")], on_core[on_core.index("taskset"):]
        return Running([*enter, *hidden, *core, *runsc, "run", "--bundle", str(bundle), container], whole_group=True)


def ask(path, request, timeout_s=5):
    """One JSON request to a Unix socket, which may not be there yet; its answer."""
    deadline = time.monotonic() + timeout_s
    while True:
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(timeout_s)
            try:
                control.connect(path)
            except OSError:
                if time.monotonic() > deadline:
                    raise Failure(f"nobody listens at {path}") from None
                time.sleep(0.02)
                continue
            control.sendall(json.dumps(request).encode() + b"\n")
            with control.makefile() as answer:
                return json.loads(answer.readline() or "{}")


def installed():
    return [peer for peer in (Pasta, Slirp4netns, Runsc) if shutil.which(peer.program)]
