"""The preload library beside others that stand in libc's place: sanitizers and another malloc (docs/sockets.md)."""

import unittest
from pathlib import Path

from lab.process import run
from skerry_case import SkerryCase

SOURCE = Path(__file__).parent / "beside.cpp"


class Beside(SkerryCase):
    def check(self, *flags, environment=()):
        program = self.folder / "beside"
        run(["g++", "-std=c++20", "-O1", "-g", *flags, "-o", program, SOURCE], timeout_s=90)
        started = self.serve("sh", "-c", '"$@" && echo ended; exec sleep infinity', "sh", "env", *environment, program, ready="ended", within_s=60,
                             options=("--uplink", "none", "--share", self.folder))
        self.assertEqual(started.output(), "hello\nended\n")
        self.assertEqual(self.stack_counter("tcp.active_opens"), 1, "the stream was not the stack's")

    def test_another_malloc(self):
        """As a library that is preloaded too, by the program's own environment."""
        self.check(environment=["LD_PRELOAD=libjemalloc.so.2"])

    def test_the_address_sanitizer(self):
        """GCC's wants to be the first library of all, and is told that it need not be."""
        self.check("-fsanitize=address", environment=["ASAN_OPTIONS=verify_asan_link_order=0"])

    def test_the_thread_sanitizer(self):
        self.check("-fsanitize=thread")

    def test_the_undefined_behaviour_sanitizer(self):
        self.check("-fsanitize=undefined")


if __name__ == "__main__":
    unittest.main()
