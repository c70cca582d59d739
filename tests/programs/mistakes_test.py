"""What people get wrong: one sentence that says what to do, the right exit code, nothing left running."""

import unittest

from lab.process import run
from lab.skerry import BUILD
from redis_test import READY, SERVER
from skerry_case import Rootless, SkerryCase, needs_root

RUN_FAILED, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127

SOUND = """\
[network.lan]
subnet = "10.77.0.0/24"

[program.redis]
run = ["redis-server", "--save", "", "--protected-mode", "no"]
address = "10.77.0.2"
"""


class Mistakes(SkerryCase):
    def assert_refused(self, words, code, *mentions):
        """One line, on standard error or output, that names what is wrong."""
        got, output = self.skerry.command(*words, check=False)
        self.assertEqual(got, code, output)
        lines = output.strip().splitlines()
        self.assertEqual(len(lines), 1, f"one sentence is wanted:\n{output}")
        for mention in mentions:
            self.assertIn(mention, lines[0])
        self.skerry.wait_until_gone()

    def compose(self, text):
        path = self.folder / "net.toml"
        path.write_text(text)
        return str(path)

    def test_output_that_cannot_be_written(self):
        code, output = run(["sh", "-c", f"{BUILD}/skerry --help >/dev/full"], timeout_s=10, check=False)
        self.assertEqual((code, output), (1, "skerry: cannot write the output: No space left on device\n"))

    def test_a_composition_that_is_not_toml(self):
        self.assert_refused(["up", self.compose(SOUND.replace("[network.lan]", "[network.lan"))], 1, "net.toml:1")

    def test_a_word_that_is_not_known(self):
        self.assert_refused(["up", self.compose(SOUND.replace("address", "adress"))], 1, "net.toml:6", "adress", "address")

    def test_an_address_outside_its_network(self):
        self.assert_refused(["up", self.compose(SOUND.replace("10.77.0.2", "10.99.0.2"))], 1, "net.toml:6", "10.99.0.2")

    def test_a_composition_that_is_not_there(self):
        self.assert_refused(["up", str(self.folder / "absent.toml")], 1, "absent.toml")

    def test_a_program_that_is_not_there(self):
        self.assert_refused(["run", "--uplink", "none", "--", "no-such-program"], NOT_FOUND, "no-such-program")

    def test_a_program_that_is_not_executable(self):
        path = self.folder / "plain-file"
        path.write_text("")
        self.assert_refused(["run", "--uplink", "none", "--", str(path)], NOT_EXECUTABLE, "plain-file")

    def test_no_program_at_all(self):
        self.assert_refused(["run"], RUN_FAILED, "say what to run")

    def test_a_command_that_does_not_exist(self):
        self.assert_refused(["rnu"], 2, "rnu", "run")

    def test_nothing_is_running(self):
        self.assert_refused(["top", "--once"], 1, "nothing is running")

    def test_an_allow_list_that_allows_nothing(self):
        for words, sentence in ((["--allow", "example.org"], "says no port"), (["--allow", "*.example.org:443"], "write each name"),
                                (["--allow", "1.2.3:80"], "neither a name nor an address"), (["--allow", "[::1]:80"], "IPv6"),
                                (["--allow", "example.org:443"], "has no uplink"), (["--resolver", "9.9.9.9"], "--allow"),
                                (["--allow", "example.org:443", "--resolver", "quad9"], "no name server's address")):
            with self.subTest(words):
                self.assert_refused(["run", "--uplink", "none", *words, "--", "/bin/true"], RUN_FAILED, sentence)

    def test_a_filter_that_touches_the_allow_list(self):
        path = self.folder / "mine.nft"
        path.write_text("add table inet skerry_allow\n")
        self.assert_refused(["run", "--uplink", "none", "--allow", "10.77.0.2:80", "--filter", str(path), "--", "/bin/true"], RUN_FAILED, "skerry_allow")

    def test_an_address_in_use(self):
        server = self.serve(*SERVER, ready=READY)
        code, output = self.skerry.command("run", "--uplink", "none", "--address", "10.77.0.2", "--", "/bin/true", check=False)
        self.assertEqual(code, RUN_FAILED, output)
        self.assertIn("10.77.0.2", output)
        self.assertEqual(len(output.strip().splitlines()), 1, output)
        self.end(server)

    def test_a_core_that_does_not_exist(self):
        self.assert_refused(["run", "--uplink", "none", "--core", "4095", "--", "/bin/true"], RUN_FAILED, "4095")

    def test_a_full_disk_for_a_capture(self):
        server = self.serve(*SERVER, ready=READY)
        link = next(row["name"] for row in self.skerry.processes() if row["kind"] == "program")
        network = next(row["network"] for row in self.skerry.processes() if row["kind"] == "vswitch")
        capture = self.skerry.begin("capture", f"{network}.{link}", "-w", "/dev/full")
        self.ask("redis-cli", "-h", "10.77.0.2", "PING")
        self.assertEqual(capture.wait(timeout_s=10), 1, capture.output())
        self.assertRegex(capture.output(), "skerry capture: .*/dev/full")
        self.end(server)


@needs_root("to become somebody else")
class WithoutPermission(Rootless, Mistakes):
    def test_a_tap_without_root(self):
        self.assert_refused(["run", "--uplink", "tap", "--", "/bin/true"], RUN_FAILED, "root")


if __name__ == "__main__":
    unittest.main()
