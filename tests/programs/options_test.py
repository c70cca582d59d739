"""Socket options, calls that were not made for sockets, threads that are cancelled, signal handlers, and attempts to connect that fail: on a stack they do and tell what they do and tell on plain Linux."""

import itertools
import unittest
from pathlib import Path

from lab.namespace import Namespace
from lab.process import run
from option_values_known import DIFFERENT
from skerry_case import SkerryCase

HERE = Path(__file__).parent
PYTHON = "/usr/bin/python3"
DROP_PORT_9 = "table ip connects {\n  chain in {\n    type filter hook input priority 0; policy accept;\n    tcp dport 9 drop\n  }\n}\n"


class Compared(SkerryCase):
    LIMIT_S = 240

    def compare(self, program, least_lines, least_sockets, prepare=(), options=()):
        lines = self.run_on_both(program, least_lines, least_sockets, prepare, options)
        for wanted, seen in lines:
            self.assertEqual(seen, wanted)

    def run_on_both(self, program, least_lines, least_sockets, prepare=(), options=(), unprivileged=False):
        """Each line of plain Linux, and the same of ours."""
        words = (PYTHON, str(HERE / program)) if isinstance(program, str) else (str(program),)
        with Namespace() as plain:
            plain.run("ip", "link", "set", "lo", "up")
            if prepare and run([*plain.inside(), *prepare], timeout_s=20, check=False)[0]:
                self.skipTest(f"this kernel does not take: {' '.join(map(str, prepare))}")
            without = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--securebits=+noroot") if unprivileged else ()
            expected = run([*plain.inside(), *without, *words], timeout_s=110)[1].splitlines()
        self.assertGreaterEqual(len(expected), least_lines, expected)
        ours = self.serve("sh", "-c", '"$@"; echo over; exec sleep infinity', "sh", *words, options=("--uplink", "none", *options))
        ours.wait_for("over\n", timeout_s=110)
        self.assertGreaterEqual(self.stack_counter("sockets.opened"), least_sockets, "another stack carried this")
        return list(itertools.zip_longest(expected, ours.output().splitlines()[:-1]))


class Options(Compared):
    def test_do_what_they_do_on_linux(self):
        self.compare("option_effects.py", 8, 30)

    def test_tell_beside_messages_what_they_tell_on_linux(self):
        self.compare("ancillary_effects.py", 9, 20)

    def test_let_bind_who_may_on_linux(self):
        self.compare("bind_effects.py", 8, 100)

    def test_keep_back_and_linger_as_on_linux(self):
        self.compare("kept_back_effects.py", 4, 20)

    def test_take_and_give_what_they_do_on_linux(self):
        """Each number in each state of a socket, but those for which option_values_known.py has a reason."""
        eth0 = ("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far0")
        lines = self.run_on_both("option_values.py", 4000, 4000, prepare=eth0, unprivileged=True)
        different = [f"linux {wanted}\nhere  {seen}" for wanted, seen in lines if wanted != seen and not self.has_reason(wanted)]
        self.assertFalse(different, f"{len(different)} differ:\n" + "\n".join(different[:20]))

    def has_reason(self, line):
        level, name = line.split(":")[0].split()[-2:]
        return int(name) in DIFFERENT.get(level, ())


class Errors(Compared):
    def test_are_told_as_on_linux(self):
        self.compare("error_effects.py", 6, 12)


class Descriptors(Compared):
    def test_do_what_they_do_on_linux(self):
        self.compare("descriptor_effects.py", 4, 12)


class CallsOfLibc(Compared):
    def test_do_what_they_do_on_linux(self):
        self.compare("libc_effects.py", 6, 12)


class Splices(Compared):
    def test_move_what_they_move_on_linux(self):
        self.compare("splice_effects.py", 7, 20)


class Threads(Compared):
    def compare_compiled(self, source, least_lines, least_sockets):
        program = self.folder / "program"
        run(["gcc", "-O1", "-o", program, HERE / source, "-lpthread"], timeout_s=60)
        self.compare(program, least_lines, least_sockets, options=("--share", str(self.folder)))

    def test_are_cancelled_as_on_linux(self):
        self.compare_compiled("cancelled.c", 44, 20)

    def test_are_interrupted_in_the_middle_of_moving_bytes(self):
        self.compare_compiled("handlers_bytes.c", 3, 6)

    def test_are_interrupted_in_the_middle_of_any_call(self):
        self.compare_compiled("handlers_calls.c", 7, 500)

    def test_leave_calls_out_of_a_handler(self):
        self.compare_compiled("handlers_leaps.c", 5, 9)

    def test_are_interrupted_where_they_wait(self):
        self.compare_compiled("interrupted.c", 152, 500)


class Connects(Compared):
    def test_fail_as_on_linux(self):
        rules = self.folder / "rules.nft"
        rules.write_text(DROP_PORT_9)
        prepare = ("sh", "-c", 'ip address add 10.77.0.2/24 dev lo && exec nft -f "$0"', rules)
        self.compare("connect_outcomes.py", 13, 13, prepare=prepare, options=("--filter", str(rules)))


if __name__ == "__main__":
    unittest.main()
