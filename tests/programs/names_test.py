"""Names of hosts, services and interfaces: asked in the order of nsswitch.conf over the program's own stack, found as on plain Linux."""

import unittest
from pathlib import Path

from lab.namespace import Namespace
from lab.process import run
from lab.skerry import Skerry
from skerry_case import SkerryCase, needs_root

PROGRAM = ("/usr/bin/python3", str(Path(__file__).with_name("names_seen.py")))
FILES = {
    "resolv.conf": "search search.test\noptions timeout:20 attempts:1\nnameserver %s\n",
    "hosts": "127.0.0.1 localhost\n192.0.2.77 here.test here other\n192.0.2.78 both.test\n"
             "192.0.2.79 Many.test many m2\n192.0.2.80 more.test many m3\n2001:db8::9 six.test six\n2001:db8::1 mixed.test\n192.0.2.81 four.test mixed.test\n",
}


@needs_root("to have files of its own in /etc")
class Names(SkerryCase):
    ORDER = "files dns"
    SERVER = "127.0.0.1"
    LIMIT_S = 180

    def make_skerry(self):
        words = []
        for name, text in (*FILES.items(), ("nsswitch.conf", f"hosts: {self.ORDER}\nservices: files\n")):
            (self.folder / name).write_text(text.replace("%s", self.SERVER))
            words.append(f"mount --bind {self.folder / name} /etc/{name}")
        self.with_files = ["unshare", "--mount", "sh", "-c", " && ".join([*words, 'exec "$@"']), "sh"]
        return Skerry(self.with_files)

    def test_are_found_as_on_linux(self):
        with Namespace() as plain:
            plain.run("ip", "link", "set", "lo", "up")
            expected = run([*plain.inside(), *self.with_files, *PROGRAM], timeout_s=80)[1].splitlines()
        self.assertGreater(len(expected), 17, expected)
        ours = self.serve("sh", "-c", '"$@"; echo over; exec sleep infinity', "sh", *PROGRAM)
        ours.wait_for("over\n", timeout_s=80)
        for seen, wanted in zip(ours.output().splitlines(), expected):
            self.assertEqual(seen, wanted)
        self.assertEqual(len(ours.output().splitlines()), len(expected) + 1)
        self.assertGreater(self.stack_counter("sockets.opened"), 10, "another stack carried this")


class TheOtherWayRound(Names):
    ORDER = "dns [NOTFOUND=continue] files"


class NobodyAnswers(Names):
    """Then the server is not there, and files(5) is asked all the same."""

    ORDER = "dns [!UNAVAIL=return] files"
    SERVER = "127.0.0.2"


if __name__ == "__main__":
    unittest.main()
