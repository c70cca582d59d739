"""What a person sees of a running network: `skerry top` on a terminal, `skerry graph`, and `--core` as the kernel has it."""

import contextlib
import os
import pty
import signal
import unittest

from lab.skerry import BUILD
from skerry_case import SkerryCase, needs

REDRAW = b"\033[H\033[2J"
PLACE = "import os, time; print(*os.sched_getaffinity(0), flush=True); time.sleep(1000)"


class Views(SkerryCase):
    def row(self, kind):
        return next(row for row in self.skerry.processes() if row["kind"] == kind)

    def names(self):
        """Of a program that runs, its stack and its vswitch."""
        self.serve("sh", "-c", "echo ready; exec sleep 1000", ready="ready")
        return [self.row(kind)["name"] for kind in ("program", "stack", "vswitch")]

    def test_top_redraws_until_ctrl_c(self):
        names = self.names()
        ours = signal.signal(signal.SIGINT, signal.SIG_DFL)  # as a shell leaves it, also where the tests run in the background
        self.addCleanup(signal.signal, signal.SIGINT, ours)
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(BUILD / "skerry", ["skerry", "top", "--interval", "0.1"], self.skerry.environment)
        try:
            shown = b""
            while shown.count(REDRAW) < 3:
                shown += os.read(terminal, 4096)
            os.write(terminal, b"\x03")
            with contextlib.suppress(OSError):  # until it has hung up
                while os.read(terminal, 4096):
                    pass
            pid, status = 0, os.waitpid(pid, 0)[1]
        finally:
            if pid:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            os.close(terminal)
        self.assertEqual(os.waitstatus_to_exitcode(status), -signal.SIGINT, shown)
        for drawn in shown.decode().split(REDRAW.decode())[1:3]:
            self.assertRegex(drawn, r"^NAME +KIND +CORE")
            for name in names:
                self.assertIn(f"\n{name} ", drawn)

    def test_graph_names_who_runs(self):
        program, stack, vswitch = self.names()
        dot = self.skerry.command("graph")[1]
        self.assertIn(f'"{program}" -- "{stack}" [label="session"];', dot)
        self.assertIn(f'"{stack}" -- "{vswitch}" [label=', dot)
        self.assertNotIn("dashed", dot, "all of them run")

    @needs("dot")
    def test_graph_draws_who_runs(self):
        names = self.names()
        picture = self.folder / "picture.svg"
        self.skerry.command("graph", "--svg", picture)
        for name in names:
            self.assertIn(f">{name}</text>", picture.read_text())

    def test_a_program_and_its_stack_have_the_core_that_was_asked_for(self):
        for core in {min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))}:
            with self.subTest(core=core):
                program = self.serve("/usr/bin/python3", "-c", PLACE, ready="\n", options=("--uplink", "none", "--core", core))
                self.assertEqual(program.output(), f"{core}\n")
                for kind in ("program", "stack"):
                    row = self.row(kind)
                    self.assertEqual((os.sched_getaffinity(row["pid"]), row["core"]), ({core}, core), row)
                self.end(program)


if __name__ == "__main__":
    unittest.main()
