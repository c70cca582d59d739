"""The groups of ./test, in the order in which they run: what fails fastest comes first.

Every build and every run has a time limit, so a hang is a failure with a name.
"""

import os
from concurrent.futures import ThreadPoolExecutor

from builds import ROOT, build, ctest, fuzz_targets, python_cases, run_fuzz
from result import FAILED, SKIPPED, Result

THREADED_AREAS = ("shm", "link", "run")  # where two sides of one memory meet


def format_check():
    """clang-format, and the head that every source file has"""
    yield from python_cases("format")


def layers():
    """src/LAYERS: who may include whom, and what pure code may not know"""
    yield from python_cases("layers")


def unit():
    """the unit tests, optimised"""
    failure = build("dev", "tests/all")
    yield from [failure] if failure else ctest("build-dev/tests")


def asan():
    """the unit tests under AddressSanitizer and UndefinedBehaviorSanitizer"""
    failure = build("debug", "tests/all")
    # The simulations have several times the work in here: fewer seeds, and none that only measure a transfer's rate.
    yield from [failure] if failure else ctest("build-debug/tests", without="TransferSim", SKERRY_SIM_SEEDS="20")


def tsan():
    """the shared-memory tests under ThreadSanitizer"""
    areas = [area for area in THREADED_AREAS if (ROOT / "tests" / area).is_dir()]
    failure = build("tsan", *(f"tests/{area}/all" for area in areas))
    if failure:
        yield failure
        return
    for area in areas:
        yield from ctest(f"build-tsan/tests/{area}")


def fuzz():
    """every fuzz target over its corpus, then a few seconds further"""
    failure = build("fuzz", "fuzz/all")
    if failure:
        yield failure
        return
    targets = fuzz_targets()
    if not targets:
        yield Result("targets", FAILED, "fuzz/ declares no target, so nothing hostile was tried")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(lambda target: run_fuzz(target, seconds=5), targets)


def programs():
    """unmodified Debian programs on the built product"""
    failure = build("release")
    if failure:
        yield failure
    elif not (ROOT / "build/skerry").exists():
        yield Result("skerry", SKIPPED, "this tree has no command line yet, so there is nothing to run programs with")
    else:
        yield from python_cases("programs")


ALL = {
    "format": format_check,
    "layers": layers,
    "unit": unit,
    "asan": asan,
    "tsan": tsan,
    "fuzz": fuzz,
    "programs": programs,
}
QUICK = ["format", "layers", "unit"]
