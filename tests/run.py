#!/usr/bin/python3
"""./test: every group of tests, one after the other, and one line at the end that says how it went.

A group is a function that yields Results as it gets them; groups.py has them all. Each single test counts, so
"812 passed" means 812 things that could have failed.
"""

import argparse
import sys
import time

import groups
from lab.process import end_on_signals
from result import FAILED, PASSED, SKIPPED


def arguments():
    parser = argparse.ArgumentParser(
        prog="./test", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Builds what is needed, runs the tests, closes with 'N passed, N failed'.",
        epilog="groups:\n" + "".join(f"  {name:10} {group.__doc__.splitlines()[0]}\n" for name, group in groups.ALL.items())
        + "\nexample: ./test layers unit")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help="only these groups, in this order")
    parser.add_argument("--quick", action="store_true", help="only " + ", ".join(groups.QUICK) + ": what to run before a commit")
    parser.add_argument("--verbose", action="store_true", help="name each test as it ends")
    chosen = parser.parse_args()
    for name in chosen.groups:
        if name not in groups.ALL:
            parser.error(f"there is no group '{name}'; there are {', '.join(groups.ALL)}")
    return chosen


def run_group(name, group, verbose):
    counts = {PASSED: 0, FAILED: 0, SKIPPED: 0}
    print(f"== {name}: {group.__doc__.splitlines()[0]}", flush=True)
    started = time.monotonic()
    for result in group():
        counts[result.status] += 1
        if result.status == FAILED:
            print(f"-- FAILED {name}: {result.name}\n{result.output.rstrip()}\n", flush=True)
        elif result.status == SKIPPED:
            print(f"   skipped {result.name}: {result.output.strip()}", flush=True)
        elif verbose:
            print(f"   passed {result.name} ({result.seconds:.1f} s)", flush=True)
    seconds = time.monotonic() - started
    print(f"   {counts[PASSED]} passed, {counts[FAILED]} failed in {seconds:.0f} s", flush=True)
    return counts


def main():
    chosen = arguments()
    end_on_signals()
    names = chosen.groups or (groups.QUICK if chosen.quick else list(groups.ALL))
    total = {PASSED: 0, FAILED: 0, SKIPPED: 0}
    for name in names:
        for status, count in run_group(name, groups.ALL[name], chosen.verbose).items():
            total[status] += count
    skipped = f", {total[SKIPPED]} skipped" if total[SKIPPED] else ""
    print(f"{total[PASSED]} passed, {total[FAILED]} failed{skipped}")
    return 1 if total[FAILED] or not total[PASSED] else 0


if __name__ == "__main__":
    sys.exit(main())
