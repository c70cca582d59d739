"""fork, exec, posix_spawn, daemons, passed descriptors and kills: a peer sees on a stack what it sees on plain Linux."""

import unittest
from pathlib import Path

from lab.namespace import Namespace
from lab.process import run
from skerry_case import SkerryCase

HERE = Path(__file__).parent
# pidfd_spawn(3), which not every libc has; then with no number left for the pidfd.
PIDFDS = """
import ctypes, errno, os, resource
libc = ctypes.CDLL(None)
pidfd, words, nothing = ctypes.c_int(-1), (ctypes.c_char_p * 2)(b"true", None), (ctypes.c_char_p * 1)(None)
def start(): return libc.pidfd_spawn(ctypes.byref(pidfd), b"/bin/true", None, None, words, nothing)
print(start(), pidfd.value >= 0, os.waitpid(-1, 0)[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
try:
    while True: os.dup(0)
except OSError: pass
print(errno.errorcode[start()])
try: print(os.waitpid(-1, 0))
except ChildProcessError: print("no child")
"""


class Processes(SkerryCase):
    LIMIT_S = 240

    def test_a_peer_sees_what_it_sees_on_linux(self):
        self.compare("process_ends.py", 16)

    def test_and_of_what_programs_are_given(self):
        source, static = self.folder / "static.c", self.folder / "static"
        source.write_text("#include <unistd.h>\nint main(void) { for (;;) pause(); }\n")
        run(["gcc", "-static", "-o", static, source], timeout_s=60)
        self.compare("program_ends.py", 19, "env", f"STATIC_PROGRAM={static}")

    def test_and_of_children_past_fork(self):
        self.compare("clone_ends.py", 6)

    def test_a_child_whose_pidfd_would_have_no_number_is_not_started(self):
        output = self.skerry.command("run", "--uplink", "none", "--", "/usr/bin/python3", "-c", PIDFDS)[1]
        self.assertEqual(output.splitlines(), ["0 True 0", "EMFILE", "no child"])

    def compare(self, program, least, *environment):
        words = (*environment, "/usr/bin/python3", str(HERE / program))
        with Namespace() as plain:
            plain.run("ip", "link", "set", "lo", "up")
            expected = run([*plain.inside(), *words], timeout_s=110)[1].splitlines()
        self.assertGreaterEqual(len(expected), least, expected)
        ours = self.serve("sh", "-c", '"$@"; echo over; exec sleep infinity', "sh", *words, options=("--uplink", "none", "--share", str(self.folder)))
        ours.wait_for("over\n", timeout_s=110)
        self.assertEqual(ours.output().splitlines()[:-1], expected)
        self.assertGreaterEqual(self.stack_counter("sockets.accepted"), least, "another stack carried this")
        # And nothing is left: every descriptor's end, however it came, gave its socket back.
        self.wait_until(lambda: self.stack_counter("sockets.in_use") == 0, ours, timeout_s=30)


if __name__ == "__main__":
    unittest.main()
