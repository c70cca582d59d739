"""How a network begins and ends around `skerry run`, `up` and `down`, when several of them come at once or a person is in a hurry."""

import contextlib
import os
import pty
import signal
import time
import unittest

from lab.namespace import Namespace
from lab.skerry import BUILD, Skerry
from skerry_case import SkerryCase, needs_tap

PYTHON = "/usr/bin/python3"
ECHO = ("run", "--uplink", "none", "--", "/bin/echo", "done")


class RunsInAHurry(SkerryCase):
    def test_two_at_once_begin_one_network(self):
        for _ in range(5):
            both = [self.skerry.begin(*ECHO) for _ in range(2)]
            self.assertEqual([(program.wait(timeout_s=20), program.output()) for program in both], [(0, "done\n")] * 2)
            self.skerry.wait_until_gone()

    def test_one_directly_after_another(self):
        for _ in range(10):
            self.assertEqual(self.skerry.command(*ECHO, check=False), (0, "done\n"))

    def test_one_that_wants_another_network_directly_after(self):
        """Then it waits for the end of the first, which has only last bytes to deliver."""
        for address in ("10.98.0.2/16", "10.99.0.2/16") * 3:
            self.assertEqual(self.skerry.command("run", "--uplink", "none", "--address", address, "--", "true", check=False), (0, ""))

    def test_one_that_comes_while_its_network_is_ending(self):
        slow = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (print('ending', flush=True), time.sleep(1), sys.exit(0))); print('ready', flush=True); time.sleep(60)"
        program = self.skerry.begin("run", "--uplink", "none", "--", PYTHON, "-c", slow)
        program.wait_for("ready", timeout_s=20)
        down = self.skerry.begin("down")
        program.wait_for("ending", timeout_s=20)
        self.assertEqual(self.skerry.command(*ECHO, check=False), (0, "done\n"))
        self.assertEqual(down.wait(timeout_s=10), 0, down.output())


def read_line(terminal):
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(terminal, 4096)
    return line


def rest_of(terminal):
    """What is there, which is nothing once everybody has hung up."""
    with contextlib.suppress(OSError):
        return os.read(terminal, 4096)
    return b""


class Terminal(SkerryCase):
    def test_ctrl_c_while_it_starts(self):
        """Whenever it is pressed, it ends the command, as it would have ended the program."""
        for delay_ms in (0, 1, 2, 4, 6, 8, 10, 15, 20, 30, 50, 100):
            with self.subTest(delay_ms=delay_ms):
                how, output = self.press_ctrl_c(delay_ms / 1000)
                self.assertIn(how, (128 + signal.SIGINT, -signal.SIGINT), output)
        self.skerry.wait_until_gone(timeout_s=20)

    def test_it_has_a_name_inside(self):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(BUILD / "skerry", ["skerry", "run", "--uplink", "none", "--", "tty"], self.skerry.environment)
        self.assertEqual(read_line(terminal), b"/dev/console\r\n")
        os.waitpid(pid, 0)
        os.close(terminal)

    def press_ctrl_c(self, delay_s):
        ours = signal.signal(signal.SIGINT, signal.SIG_DFL)  # so the child has no handler of python's before its execve
        self.addCleanup(signal.signal, signal.SIGINT, ours)
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(BUILD / "skerry", ["skerry", "run", "--uplink", "none", "--", "/bin/sleep", "60"], self.skerry.environment)
        try:
            deadline = time.monotonic() + 20
            while os.tcgetpgrp(terminal) != pid:
                self.assertLess(time.monotonic(), deadline)
            time.sleep(delay_s)
            os.write(terminal, b"\x03")
            while time.monotonic() < deadline + 5:
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    pid = 0
                    return os.waitstatus_to_exitcode(status), rest_of(terminal)
                time.sleep(0.01)
            return "still running", rest_of(terminal)
        finally:
            if pid:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            with contextlib.suppress(OSError):
                os.close(terminal)


class CompositionCase(SkerryCase):
    def compose(self, program, uplink="none"):
        path = self.folder / "net.toml"
        path.write_text(f'[network.lan]\nsubnet = "10.77.0.0/24"\nuplink = "{uplink}"\n[program.one]\nrun = ["{PYTHON}", "-uc", "{program}"]\n')
        return path

    def up_and_down(self, path):
        for _ in range(5):
            self.assertEqual(self.skerry.command("up", "--detach", path, check=False)[0], 0)
            self.assertEqual(self.skerry.command("down", "net", check=False), (0, ""))


class Composition(CompositionCase):
    def test_up_directly_after_down(self):
        self.up_and_down(self.compose("import time; time.sleep(60)"))

    def test_output_of_a_detached_composition_is_in_its_log(self):
        self.skerry.command("up", "--detach", self.compose("import time; print('hello from', 'inside'); time.sleep(60)"))
        log = os.path.join(self.skerry.folder.name, "net", "log")
        deadline = time.monotonic() + 10
        while "hello from inside" not in open(log, encoding="ascii").read():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        self.skerry.command("down", "net")

    def test_nohup_is_respected(self):
        self.skerry.before = ["nohup"]
        up = self.skerry.begin("up", self.compose("import time; time.sleep(60)"))
        up.wait_for("is up", timeout_s=20)
        for pid in self.skerry.left_behind():
            with contextlib.suppress(ProcessLookupError), open(f"/proc/{pid}/comm", encoding="ascii") as comm:
                if comm.read().startswith(("skerry\n", "skerry-supervi")):
                    os.kill(pid, signal.SIGHUP)
        time.sleep(0.3)
        self.assertEqual([row["state"] for row in self.skerry.processes()], ["running"] * 3)
        self.end(up)


@needs_tap
class CompositionWithADevice(CompositionCase):
    def make_skerry(self):
        return Skerry(before=self.enterContext(Namespace()).inside())

    def test_up_directly_after_down(self):
        self.up_and_down(self.compose("import time; time.sleep(60)", uplink="tap"))


if __name__ == "__main__":
    unittest.main()
