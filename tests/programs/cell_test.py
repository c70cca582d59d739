"""What a program cannot do, whatever it tries."""

import os
import re
import socket
import unittest
from pathlib import Path

from lab.process import run
from lab.skerry import BUILD
from redis_test import READY, SERVER
from skerry_case import SkerryCase

HERE = Path(__file__).parent
PYTHON = "/usr/bin/python3"


class Walls(SkerryCase):
    def test_a_static_program_reaches_nothing(self):
        """First without a cell, so that the attempt is known to work; then inside one, against the host and against a neighbour."""
        program = self.folder / "raw_socket"
        run(["g++", "-std=c++20", "-O1", "-static", "-o", program, HERE / "raw_socket.cpp"], timeout_s=60)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = str(listener.getsockname()[1])
            code, output = run([program, "127.0.0.1", port], timeout_s=20, check=False)
            self.assertEqual(code, 1, "the attempt must work where nothing stops it")
            self.assertIn("escaped: TCP connection", output)
            self.assert_walled(program, "127.0.0.1", port)
        self.serve(*SERVER, ready=READY)
        self.assert_walled(program, "10.77.0.2", "6379")

    def assert_walled(self, program, address, port):
        """By itself it is refused with a sentence, because it would have no network; a shell in a cell can still start it."""
        start = ["run", "--uplink", "none", "--address", "10.77.0.9", "--share", str(self.folder), "--"]
        code, output = self.skerry.command(*start, program, address, port, check=False)
        self.assertEqual(code, 126, output)
        self.assertIn("statically linked", output)
        code, output = self.skerry.command(*start, "/bin/sh", "-c", f"{program} {address} {port}; exit $?", check=False)
        self.assertEqual((code, output), (0, ""))

    def test_strict_stops_at_a_raw_socket_and_says_from_where(self):
        """Also in a child of the program; a Unix socket is not stopped, nor what goes through libc, and without --strict nothing is."""
        program = self.folder / "strict_socket"
        run(["g++", "-std=c++20", "-O1", "-rdynamic", "-o", program, HERE / "strict_socket.cpp"], timeout_s=60)
        for strict, family, status in (("--strict", 2, 159), ("--strict", 10, 159), ("--strict", 1, 0), (None, 2, 0)):
            options = ["run", "--uplink", "none", *([strict] if strict else []), "--share", str(self.folder), "--"]
            for command in ([program, str(family)], ["/bin/sh", "-c", f"{program} {family}; exit $?"],
                            ["/usr/bin/env", "-i", "/bin/sh", "-c", f"env -i {program} {family}; exit $?"]):
                code, output = self.skerry.command(*options, *command, check=False)
                self.assertEqual(code, status, output)
                if status:
                    self.assertRegex(output, r"skerry: --strict: .*\n.*strict_socket\(ask_past_libc\+.*\n.*strict_socket\(main\+")
                    self.assertNotIn("kernel", output)
                else:
                    self.assertEqual(output, "kernel 1\n")
        self.assertEqual(self.ask(PYTHON, "-c", "import socket; socket.socket(); print('fine')", options=["--strict"]), "fine\n")
        code, output = self.skerry.command("run", "--uplink", "none", "--strict", "--share", str(self.folder), "--", program, "0", check=False)
        self.assertEqual((code, output.count("--strict:")), (159, 0), output)  # what a filter of the program's own stops is not ours to explain

    def test_strict_starts_no_static_program(self):
        """However it is started: it would be ended at its first socket, without a word."""
        program, script = self.folder / "static", self.folder / "script"
        (self.folder / "static.c").write_text("int main(void) { return 0; }\n")
        run(["gcc", "-static", "-o", program, self.folder / "static.c"], timeout_s=60)
        script.write_text(f"#!{program}\n")
        script.chmod(0o755)
        ways = (f"subprocess.call(['{program}'])", f"subprocess.call(['{script}'])", "os.execlp('static', 'static')", "sys.exit(os.spawnlp(os.P_WAIT, 'static', 'static'))",
                f"os.posix_spawn('{program}', ['static'], dict())", "os.posix_spawnp('static', ['static'], dict())",
                f"os.execve(os.open('{program}', os.O_RDONLY), ['static'], dict())", "sys.exit(os.waitstatus_to_exitcode(os.system('static')))")
        for way in ways:
            code, output = self.skerry.command("run", "--uplink", "none", "--strict", "--share", str(self.folder), "--", PYTHON, "-c",
                                               f"import os, subprocess, sys; os.environ['PATH'] += ':{self.folder}'; {way}", check=False)
            self.assertIn("is statically linked, so its sockets would go past libskerry-preload.so, and it is not started", output, way)
            self.assertNotEqual(code, 0, way)
        self.assertEqual(self.ask("/bin/sh", "-c", f"{program} && echo fine", options=["--share", str(self.folder)]), "fine\n")

    def test_strict_looks_at_a_program_as_execve_does(self):
        """A FIFO is none, and nobody waits for its other end; a folder in PATH is passed over; the dynamic loader loads the library into what it starts."""
        program, pipe, folders = self.folder / "static", self.folder / "pipe", self.folder / "folders"
        (self.folder / "static.c").write_text("int main(void) { return 0; }\n")
        run(["gcc", "-static", "-o", program, self.folder / "static.c"], timeout_s=60)
        os.mkfifo(pipe, 0o755)
        (folders / "static").mkdir(parents=True)
        loader = re.search(r"\S*/ld-linux\S*", run(["readelf", "-l", "/bin/sh"], timeout_s=20)[1])[0].rstrip("]")
        script = ("import errno, os, subprocess, sys\n"
                  f"try: os.execv('{pipe}', ['pipe'])\n"
                  "except OSError as problem: print(errno.errorcode[problem.errno], flush=True)\n"
                  f"print(subprocess.call(['{loader}', '{PYTHON}', '-c', 'import socket; socket.socket()']), flush=True)\n"
                  f"os.environ['PATH'] = '{folders}:{self.folder}'\n"
                  "os.posix_spawnp('static', ['static'], dict(os.environ))\n")
        code, output = self.skerry.command("run", "--uplink", "none", "--strict", "--share", str(self.folder), "--", PYTHON, "-c", script, check=False, timeout_s=30)
        self.assertEqual(output.splitlines()[:2], ["EACCES", "0"], output)
        self.assertIn(f"{program} is statically linked", output)

    def test_a_directory_from_outside_is_not_taken_in(self):
        for number in "01":
            script = f'exec "$@" {number}<"$0"'
            code, output = run(["/bin/sh", "-c", script, self.folder, BUILD / "skerry", "run", "--uplink", "none", "--", "/bin/true"],
                               timeout_s=60, check=False, env=self.skerry.environment)
            self.assertEqual(code, 125, output)
            self.assertIn(f"descriptor {number} is a directory, which would lead out of the cell", output)

    def test_the_hosts_second_proc_is_not_seen(self):
        """As a host has it that keeps a chroot of its own."""
        if os.geteuid() != 0:
            self.skipTest("mounting a second /proc needs root")
        place = self.folder / "a chroot" / "proc"
        place.mkdir(parents=True)
        script = 'mount -t proc proc "$0" && test -e "$0/sys/kernel/core_pattern" && exec "$@"'
        inside = [BUILD / "skerry", "run", "--uplink", "none", "--", "/bin/ls", "-a", str(place)]
        code, output = run(["unshare", "--mount", "/bin/sh", "-c", script, place, *inside], timeout_s=60, check=False, env=self.skerry.environment)
        self.assertEqual((code, output.split()), (0, [".", ".."]), output)

    def test_skerrys_processes_are_out_of_reach(self):
        """The program sees itself and its cell's init, which it cannot kill; no stack, vswitch or supervisor."""
        script = ("import os, signal\n"
                  "os.kill(1, signal.SIGKILL)\n"
                  "for p in sorted(filter(str.isdigit, os.listdir('/proc'))): print(open(f'/proc/{p}/comm').read().strip())\n")
        self.assertEqual(self.ask(PYTHON, "-c", script).split(), ["skerry-cell", "python3"])

    def test_no_descriptor_leaks_in(self):
        """Beyond the standard three a program holds only what its own socket library opened."""
        script = "import os; print(sorted(os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd') if int(n) > 2 and os.path.exists(f'/proc/self/fd/{n}')))"
        output = self.ask(PYTHON, "-c", script)
        self.assertNotIn("memfd:stats", output)
        self.assertNotIn("control", output)


if __name__ == "__main__":
    unittest.main()
