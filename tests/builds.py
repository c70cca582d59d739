"""Builds a preset and runs what came out of it: ctest, libFuzzer targets, and the tests that are written in Python."""

import os
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree as xml
from pathlib import Path

from result import FAILED, PASSED, SKIPPED, Result

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from lab.process import Failure, run
BUILD_LIMIT_S = 1500
CASE_LIMIT_S = 300
CTEST_LIMIT_S = 1200


def build(preset, *targets):
    """Returns None, or the Result that says why the build failed."""
    name = f"build of {preset}"
    started = time.monotonic()
    try:
        run([ROOT / ".ci/build", preset, *targets], BUILD_LIMIT_S, whole_group=True)
    except Failure as failure:
        return Result(name, FAILED, str(failure))
    print(f"   built {preset} in {time.monotonic() - started:.0f} s", flush=True)
    return None


def ctest(folder, without=None, **environment):
    """Yields one Result for each GoogleTest case that ctest finds in a build folder, `without` those whose names match; what else is
    given is added to their environment."""
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        command = ["ctest", "--test-dir", ROOT / folder, "--parallel", os.cpu_count(), "--timeout", CASE_LIMIT_S,
                   "--test-output-size-failed", "20000", "--output-junit", report.name, "--no-tests=error", *(["--exclude-regex", without] if without else [])]
        try:
            code, output = run(command, CTEST_LIMIT_S, check=False, whole_group=True, env=os.environ | environment)
        except Failure as failure:
            yield Result(folder, FAILED, str(failure))
            return
        cases = list(read_junit(report.name))
    yield from cases
    if code and not any(case.status == FAILED for case in cases):
        yield Result(folder, FAILED, output)


def read_junit(path):
    try:
        suite = xml.parse(path).getroot()
    except xml.ParseError:
        return  # ctest gave up before it wrote one; its exit code says so
    for case in suite.iter("testcase"):
        output = case.findtext("system-out") or ""
        skipped = case.find("skipped")
        if skipped is not None:
            yield Result(case.get("name"), SKIPPED, skip_reason(output) or skipped.get("message", ""))
        elif case.get("status") == "run":
            yield Result(case.get("name"), PASSED, seconds=float(case.get("time") or 0))
        else:
            message = case.find("failure")
            yield Result(case.get("name"), FAILED, output or (message.get("message", "") if message is not None else ""))


def skip_reason(output):
    """GoogleTest prints what GTEST_SKIP() was given on the line after the place."""
    lines = output.splitlines()
    for number, line in enumerate(lines[:-1]):
        if line.endswith(": Skipped"):
            return lines[number + 1]
    return ""


def fuzz_targets():
    folder = ROOT / "build-fuzz/fuzz"
    return sorted(path for path in folder.iterdir() if path.is_file() and os.access(path, os.X_OK)) if folder.exists() else []


def run_fuzz(target, seconds):
    corpus = ROOT / "fuzz/corpus" / target.name
    if not corpus.is_dir() or not any(corpus.iterdir()):
        return Result(target.name, FAILED, f"{corpus} holds no input to start from")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="skerry-fuzz-") as found:
        command = [target, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=1024", "-verbosity=0",
                   f"-artifact_prefix={target}-crash-", found, corpus]
        try:
            code, output = run(command, seconds + 120, check=False)
        except Failure as failure:
            return Result(target.name, FAILED, str(failure))
    return Result(target.name, FAILED if code else PASSED, output, time.monotonic() - started)


class Collector(unittest.TestResult):
    """Keeps one Result for each test method; a failing subtest fails its method."""

    def __init__(self):
        super().__init__()
        self.results = []

    def startTest(self, test):
        super().startTest(test)
        self.started = time.monotonic()
        self.problems = []
        self.skipped_because = None

    def addError(self, test, err):
        if not hasattr(self, "problems"):  # a fixture of a whole class or module failed, so none of its tests starts
            self.results.append(Result(str(test), FAILED, self._exc_info_to_string(err, test)))
        else:
            self.problems.append(self._exc_info_to_string(err, test))

    addFailure = addError

    def addSubTest(self, test, subtest, err):
        if err:
            self.problems.append(f"{subtest.id()}\n{self._exc_info_to_string(err, test)}")

    def addSkip(self, test, reason):
        if hasattr(self, "problems"):
            self.skipped_because = reason
        else:
            self.results.append(Result(str(test), SKIPPED, reason))

    def stopTest(self, test):
        status = FAILED if self.problems else SKIPPED if self.skipped_because else PASSED
        self.results.append(Result(test.id(), status, "\n".join(self.problems) or self.skipped_because or "",
                                   time.monotonic() - self.started))
        del self.problems


def python_cases(area):
    """Yields one Result for each unittest method in tests/AREA/*_test.py."""
    folder = ROOT / "tests" / area
    sys.path.insert(0, str(folder))
    suite = unittest.defaultTestLoader.discover(str(folder), pattern="*_test.py", top_level_dir=str(folder))
    for cases in classes(suite):
        collector = Collector()
        cases.run(collector)
        yield from collector.results


def classes(suite):
    """The innermost suites, one for each class, so that what a class sets up is set up once."""
    inner = [item for item in suite if isinstance(item, unittest.TestSuite)]
    if not inner and suite.countTestCases():
        yield suite
    for item in inner:
        yield from classes(item)
