"""Programs on stacks of their own, started the way a person starts them: build/skerry run.

Each Skerry has a runtime directory of its own, so it sees neither the user's networks nor those of another test, and it knows
afterwards what has been left behind.
"""

import contextlib
import json
import os
import tempfile
import time
import uuid
from pathlib import Path

from lab.process import Failure, Running, run
from lab.proc import descendants, executables, holders_of_environment

BUILD = Path(__file__).resolve().parent.parent / "build"
ADDRESSES = {"server": "10.77.0.2", "client": "10.77.0.3", "idle client": "10.77.0.4"}


class Skerry:
    """Use with `with`. As one side of a benchmark it is the counterpart of PlainLinux; `before` is written before each command,
    to bind it to cores or put it into a namespace."""

    name = "ours"

    def __init__(self, before=()):
        self.before = list(before)

    def __enter__(self):
        if not (BUILD / "skerry").exists():
            raise Failure(f"{BUILD}/skerry is not there; '.ci/build release' builds it.")
        self.already_there = set(executables(BUILD))
        self.mark = uuid.uuid4().hex
        self.folder = tempfile.TemporaryDirectory(prefix="skerry-lab-")
        self.environment = os.environ | {"SKERRY_RUNTIME_DIR": self.folder.name, "SKERRY_LAB": self.mark}
        self.started = []
        return self

    def __exit__(self, *_):
        for program in reversed(self.started):
            program.stop()
        # A network ends just after its last program, and would make its directory anew to tidy up in it.
        with contextlib.suppress(Failure):
            self.wait_until_gone()
        self.folder.cleanup()

    def command(self, *words, timeout_s=20, check=True):
        """Runs `skerry WORDS…`; returns (exit code, output)."""
        return run([*self.before, BUILD / "skerry", *words], timeout_s, env=self.environment, check=check)

    def begin(self, *words, **options):
        """Starts `skerry WORDS…` and returns the Running."""
        program = Running([*self.before, BUILD / "skerry", *words], env=self.environment, **options)
        self.started.append(program)
        return program

    def address(self, role):
        return ADDRESSES[role]

    def start(self, role, core, argv):
        return self.begin("run", "--uplink", "none", "--core", core, "--address", ADDRESSES[role], "--", *argv)

    def processes(self):
        """The rows of `skerry ps --json`."""
        return json.loads(self.command("ps", "--json")[1])["processes"]

    def server_pids(self, server):
        """Everyone that Skerry and the server run, the supervisor included; asked while no client is there."""
        return sorted(self.left_behind() | set(descendants(server.pid)))

    def counters(self, process):
        """The counters of one process, by the name that `skerry ps` gives it."""
        rows = json.loads(self.command("top", "--json", "--once")[1])["processes"]
        for row in rows:
            if row["name"] == process:
                return row["counters"]
        raise Failure(f"skerry top knows no process '{process}', only {[row['name'] for row in rows]}")

    def left_behind(self):
        """Processes of our build, and programs on stacks, that are there now and were not at the start."""
        return (set(executables(BUILD)) - self.already_there) | set(holders_of_environment(f"SKERRY_LAB={self.mark}"))

    def wait_until_gone(self, timeout_s=10):
        deadline = time.monotonic() + timeout_s
        while self.left_behind():
            if time.monotonic() > deadline:
                raise Failure(f"still there {timeout_s} s later: {sorted(self.left_behind())}")
            time.sleep(0.05)
