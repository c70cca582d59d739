"""Runs one of CPython's own test modules and writes a line for each test as it ends: its outcome and its name.

    /usr/bin/python3 -B tests/programs/cpython_run.py FILE MODULE [PATTERN…]

The same on plain Linux and on a stack. Not `python3 -m test`, because what that says of a module is lost when one of its tests hangs.
PATTERNs choose tests as those of `unittest -k` do.
"""

import fnmatch
import os
import sys
import tempfile
import unittest

from cpython_known import LEFT_OUT
from test import support


class Report(unittest.TestResult):
    """'passed', 'skipped' or 'failed' for each test; a failing subtest fails its test."""

    def __init__(self, file):
        super().__init__()
        self.file = file
        self.outcome = {}

    def say(self, test, outcome, why=""):
        print(outcome, short_name(test), why.strip().replace("\n", "\\n"), sep="\t", file=self.file, flush=True)

    def startTest(self, test):
        super().startTest(test)
        self.outcome[test] = ("passed", "")

    def stopTest(self, test):
        super().stopTest(test)
        self.say(test, *self.outcome.pop(test))

    def note(self, test, outcome, why):
        if test in self.outcome:
            self.outcome[test] = (outcome, why)
        else:  # a fixture of a class or a module, so none of its tests starts
            self.say(test, outcome, why)

    def addError(self, test, err):
        self.note(test, "failed", self._exc_info_to_string(err, test))

    addFailure = addError

    def addSubTest(self, test, subtest, err):
        if err:
            self.addError(test, err)

    def addSkip(self, test, reason):
        self.note(test, "skipped", reason)

    def addUnexpectedSuccess(self, test):
        self.note(test, "failed", "a success that was not expected")


def short_name(test):
    return test.id().removeprefix("test.")


def wanted(suite):
    """The same suite without what is left out."""
    kept = [wanted(item) if isinstance(item, unittest.TestSuite) else item for item in suite
            if isinstance(item, unittest.TestSuite) or not any(fnmatch.fnmatchcase(short_name(item), pattern) for pattern in LEFT_OUT)]
    return type(suite)(kept)


def main(path, module, *patterns):
    support.use_resources = ["network"] if module == "test_socketserver" else []  # the module asks for it, and uses its own host
    loader = unittest.TestLoader()
    loader.testNamePatterns = [f"*{pattern}*" for pattern in patterns] or None
    with open(path, "w", encoding="utf-8", errors="backslashreplace") as file, tempfile.TemporaryDirectory(prefix="cpython-") as folder:
        os.chdir(folder)
        wanted(loader.loadTestsFromName(f"test.{module}")).run(Report(file))
        os.chdir("/")
        print("ended", file=file, flush=True)


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]), *sys.argv[2:])
