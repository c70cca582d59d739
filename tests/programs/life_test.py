"""How things begin and end: exit codes, signals, crashes, and nothing left behind."""

import json
import os
import signal
import time
import unittest

from redis_test import READY, SERVER
from skerry_case import SkerryCase

PYTHON = "/usr/bin/python3"


class TheProgramsOwnEnd(SkerryCase):
    def run_python(self, script):
        return self.skerry.command("run", "--uplink", "none", "--", PYTHON, "-c", script, check=False)

    def test_its_exit_code_is_ours(self):
        self.assertEqual(self.run_python("raise SystemExit(42)")[0], 42)
        self.skerry.wait_until_gone()

    def test_its_output_is_ours(self):
        self.assertEqual(self.run_python("print('to standard output')"), (0, "to standard output\n"))

    def test_its_address_is_free_at_once(self):
        """Its stack may still have bytes to deliver; the next program does not wait for that."""
        for word in ("first", "second", "third"):
            self.assertEqual(self.ask("/bin/echo", word), word + "\n")

    def test_a_signal_reaches_it(self):
        script = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); print('ready', flush=True); time.sleep(60)"
        program = self.skerry.begin("run", "--uplink", "none", "--", PYTHON, "-c", script)
        program.wait_for("ready", timeout_s=20)
        self.assertEqual(program.stop(signal.SIGTERM), 7)
        self.skerry.wait_until_gone()

    def test_death_by_signal_is_told_as_a_shell_does(self):
        self.assertEqual(self.run_python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")[0], 128 + signal.SIGKILL)


class Crashes(SkerryCase):
    def process(self, kind):
        return next(row for row in self.skerry.processes() if row["kind"] == kind)

    def test_the_vswitch_comes_back(self):
        self.serve(*SERVER, ready=READY)
        self.assertEqual(self.ask("redis-cli", "-h", "10.77.0.2", "PING").strip(), "PONG")
        first = self.process("vswitch")
        os.kill(first["pid"], signal.SIGKILL)
        self.wait_for(lambda: self.process("vswitch")["pid"] not in (0, first["pid"]) and self.process("vswitch")["state"] == "running")
        self.assertEqual(self.ask("redis-cli", "-h", "10.77.0.2", "PING").strip(), "PONG")

    def test_a_program_ends_with_its_stack(self):
        """What it holds is the memory of the dead stack; a person must not be left with a program that hangs for ever."""
        server = self.serve(*SERVER, ready=READY)
        self.assertEqual(self.ask("redis-cli", "-h", "10.77.0.2", "PING").strip(), "PONG")
        os.kill(self.process("stack")["pid"], signal.SIGKILL)
        server.wait(timeout_s=10)
        self.assertRegex(server.output(), "skerry: redis-server: its stack was killed by signal 9")
        self.skerry.wait_until_gone()

    def test_a_composition_replaces_a_stack_with_its_program(self):
        path = self.folder / "net.toml"
        path.write_text(f'[program.redis]\nrun = {json.dumps(SERVER)}\naddress = "10.77.0.2"\nrestart = "always"\n')
        up = self.skerry.begin("up", path)
        up.wait_for(READY, timeout_s=20)
        os.kill(self.process("stack")["pid"], signal.SIGKILL)
        self.wait_for(lambda: up.output().count(READY) == 2)
        ping = self.skerry.command("run", "--net", "net", "--", "redis-cli", "-h", "10.77.0.2", "PING")
        self.assertEqual(ping, (0, "PONG\n"))
        self.assertEqual([row["restarts"] for row in self.skerry.processes() if row["name"] in ("redis", "redis.stack")], [1, 1])
        self.end(up)

    def test_after_kill_of_the_supervisor_the_next_command_clears_up_and_says_so(self):
        self.serve(*SERVER, ready=READY)
        supervisors = [pid for pid in self.skerry.left_behind() if comm(pid).startswith("skerry-supervi")]
        self.assertEqual(len(supervisors), 1)
        os.kill(supervisors[0], signal.SIGKILL)
        self.skerry.wait_until_gone()  # its lock with the last who could hold it
        code, output = self.skerry.command("ps", check=False)
        self.assertRegex(output, "clear|clean|remov", f"nothing said (exit {code})")
        self.skerry.wait_until_gone()
        self.assertEqual(self.ask("/bin/echo", "works again").strip(), "works again")

    def wait_for(self, condition, timeout_s=10):
        deadline = time.monotonic() + timeout_s
        while not condition():
            self.assertLess(time.monotonic(), deadline, f"not within {timeout_s} s: {self.skerry.processes()}")
            time.sleep(0.05)


def comm(pid):
    with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as file:
        return file.read().strip()


if __name__ == "__main__":
    unittest.main()
