"""The options that every side-by-side benchmark has, and the frame around its runs."""

import argparse
import sys

from lab.plain import PlainLinux
from lab.process import Failure, end_on_signals
from lab.skerry import Skerry
from side_by_side import report

TITLES = {"ours": "Skerry", "kernel": "plain Linux"}


def parser(name, description, example):
    options = argparse.ArgumentParser(prog=f"./bench {name}", description=description, epilog=f"example: {example}",
                                      formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="fewer and shorter runs: a look, not a figure to quote")
    options.add_argument("--rounds", type=int, metavar="N", help="interleaved rounds (7, quick 3)")
    options.add_argument("--seconds", type=float, metavar="S", help="length of one run (2, quick 1)")
    options.add_argument("--side", choices=["ours", "kernel"], help="only this side, to profile it")
    options.add_argument("--json", metavar="FILE", help="also write one JSON object a line, one line a case")
    options.add_argument("--svg", metavar="FILE", help=f"where the plot goes (bench-results/{name}.svg)")
    return options


def parse(options):
    chosen = options.parse_args()
    chosen.rounds = chosen.rounds or (3 if chosen.quick else 7)
    chosen.seconds = chosen.seconds or (1 if chosen.quick else 2)
    return chosen


def chosen_sides(chosen, stack, before=()):
    """Skerry and plain Linux, or the one that --side names, ready to start programs until the ExitStack ends. `before` is
    written before each of Skerry's commands."""
    sides = {"ours": lambda: Skerry(before), "kernel": PlainLinux}
    return [stack.enter_context(side()) for name, side in sides.items() if chosen.side in (None, name)]


def execute(name, title, chosen, run_cases, extra, sentence, titles=None):
    """Runs `run_cases(chosen)`, which returns Cases, and reports them. The exit code is 1 if any run failed."""
    end_on_signals()
    titles = {side: heading for side, heading in (titles or TITLES).items() if side not in TITLES or chosen.side in (None, side)}
    facts = report.machine()
    report.print_header(title, facts)
    try:
        cases = run_cases(chosen)
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; everything that was started has been ended", file=sys.stderr)
        return 130
    print(report.table(cases, titles, extra))
    print()
    if chosen.json:
        report.write_json(chosen.json, cases, facts)
    svg = report.plot(chosen.svg or report.RESULTS / f"{name}.svg", cases, titles, title)
    failed = sum(case.failed(side) for case in cases for side in TITLES)
    if failed:
        print(f"{failed} runs failed; their rows say so, and the medians are of the others.")
    elif all(case.ratio() for case in cases):
        print(sentence(cases))
    print(f"plot: {svg}" if svg else "no plot: gnuplot is not installed or no run gave a figure")
    return 1 if failed else 0
