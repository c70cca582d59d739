"""Interleaved runs: what the neighbours of this machine do to one side they do to the other a moment later."""

import random
import statistics
import sys
from dataclasses import dataclass, field

from lab.process import Failure


@dataclass
class Case:
    """One row of a benchmark and all its runs. A run is a dict of figures, of which `value` is compared; a failed one is None."""

    bench: str
    name: str
    unit: str
    lower_is_better: bool = False
    runs: dict = field(default_factory=dict)  # side name -> list of run
    more: dict = field(default_factory=dict)  # what its line in the JSON file says beside

    def figures(self, side, key="value"):
        return [run[key] for run in self.runs.get(side, []) if run and run.get(key) is not None]

    def median(self, side, key="value"):
        figures = self.figures(side, key)
        return statistics.median(figures) if figures else None

    def failed(self, side):
        return sum(run is None for run in self.runs.get(side, []))

    def times_better(self, ours, other):
        if not ours or not other:
            return None
        return other / ours if self.lower_is_better else ours / other

    def ratio(self, other="kernel"):
        """How many times better we are: the ratio of the medians, whatever the unit."""
        return self.times_better(self.median("ours"), self.median(other))

    def pair_ratios(self, other="kernel"):
        pairs = zip(self.runs.get("ours", []), self.runs.get(other, []))
        return [self.times_better(a["value"], b["value"]) for a, b in pairs if a and b]

    def loss(self, other, key="value", lower_is_better=False):
        """Per cent that `other` is worse than we are, as the median of the rounds, with the 95 % interval of that median
        (bootstrap over rounds); None without rounds in which both came through."""
        pairs = [(a[key], b[key]) for a, b in zip(self.runs.get("ours", []), self.runs.get(other, [])) if a and b]
        losses = [100 * ((b / a - 1) if lower_is_better else (1 - b / a)) for a, b in pairs]
        if not losses:
            return None
        draw = random.Random(1)
        medians = sorted(statistics.median(draw.choices(losses, k=len(losses))) for _ in range(2000))
        return statistics.median(losses), [medians[50], medians[1949]]

    def as_json(self):
        """The line that ./bench --json writes; peers beside us and the kernel under `peers`, their runs under `peer_runs`."""
        line = {"bench": self.bench, "case": self.name, "ours": self.median("ours"), "kernel": self.median("kernel"),
                "ratio": self.ratio(), "unit": self.unit, "lower_is_better": self.lower_is_better, "failed_runs": self.failed("ours") + self.failed("kernel")}
        for side in ("ours", "kernel"):
            line[f"{side}_runs"] = [run and run["value"] for run in self.runs.get(side, [])]
            for key in self.extra_keys():
                line[f"{side}_{key}"] = self.median(side, key)
        peers = {side: self.median(side) for side in self.runs if side not in ("ours", "kernel")}
        if peers:
            line["peers"] = peers
            line["peer_runs"] = {side: self.runs[side] for side in peers}
        return line | self.more

    def extra_keys(self):
        return sorted({key for runs in self.runs.values() for run in runs if run for key in run if key != "value"})


def interleave(case, measure, rounds):
    """Runs every side once a round, the order turned round each time, and keeps what each run gave.

    `measure` maps a side's name to a function that returns one run. A Failure is told, kept as None, and does not end the rest.
    """
    names = list(measure)
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            progress(f"{case.name}: round {number + 1} of {rounds}, {name}")
            try:
                run = measure[name]()
            except Failure as failure:
                progress("")
                print(f"FAILED {case.name}, {name}, round {number + 1}: {failure}", flush=True)
                run = None
            case.runs.setdefault(name, []).append(run)
    progress("")
    return case


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
