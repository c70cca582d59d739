"""What a person and what a program reads of a benchmark: header, table, JSON lines, plot."""

import contextlib
import json
import os
import platform
import shutil
import subprocess
from pathlib import Path

from lab.process import Failure, run

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "bench-results"


def machine():
    """What the figures below hold for. The cache-line round trip moves by the hour on shared machines, and with it every
    figure that crosses cores."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        models = {line.partition(":")[2].strip() for line in file if line.startswith("model name")}
    return {"kernel_release": platform.release(), "cores": os.cpu_count(), "cpu": ", ".join(sorted(models)),
            "cache_line_round_trip_ns": cache_line_round_trip_ns()}


def cache_line_round_trip_ns():
    """Of cores 0 and 1; None on a machine with one core."""
    if len(os.sched_getaffinity(0)) < 2:
        return None
    with contextlib.suppress(Failure, OSError):
        return json.loads(run([ROOT / "build/bench-cacheline"], timeout_s=20)[1])["median_ns"]
    return None


def print_header(title, facts):
    round_trip = facts["cache_line_round_trip_ns"]
    print(title)
    print(f"Linux {facts['kernel_release']}, {facts['cores']} cores ({facts['cpu']}), cache-line round trip "
          + (f"{round_trip:.0f} ns" if round_trip else "not measured"))
    print(flush=True)


def short(value):
    """Three to four digits that can be read: 1.52 M, 102 k, 0.65."""
    if value is None:
        return "-"
    for limit, divisor, unit in ((1e6, 1e6, " M"), (1e4, 1e3, " k")):
        if abs(value) >= limit:
            return f"{value / divisor:.3g}{unit}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def spread(figures):
    return f"[{short(min(figures))}..{short(max(figures))}]" if figures else ""


def side_cell(case, side):
    cell = f"{short(case.median(side))} {spread(case.figures(side))}" if case.figures(side) else "-"
    failed = case.failed(side)
    return f"{cell} FAILED {failed} of {len(case.runs[side])}" if failed else cell


def table(cases, titles, extra):
    """One row for each case and side. `titles`: side name -> heading; `extra`: run key -> heading of its median."""
    rows = [["case", "side", "median [min..max]", "unit", "Skerry is better by", *extra.values()]]
    for case in cases:
        for side, title in titles.items():
            if side not in case.runs:
                continue
            ratio = case.ratio(side) if side != "ours" else None
            better = f"{short(ratio)} x {spread(case.pair_ratios(side))}" if ratio else ""
            rows.append([case.name, title, side_cell(case, side), case.unit, better, *(short(case.median(side, key)) for key in extra)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def write_json(path, cases, facts):
    with open(path, "w", encoding="utf-8") as file:
        for case in cases:
            print(json.dumps({**case.as_json(), **facts}), file=file)


def plot(path, cases, titles, title):
    """Median bars with minimum and maximum, as SVG. Returns the path, or None where there is no gnuplot or nothing to draw."""
    titles = {side: title for side, title in titles.items() if any(case.figures(side) for case in cases)}
    # One axis, one unit: a case that counts something else is in the table alone.
    cases = [case for case in cases if any(case.figures(side) for side in titles) and case.unit == cases[0].unit]
    if not shutil.which("gnuplot") or not cases:
        return None
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for case in cases:
        cells = [case.name.replace("_", " ")]
        for side in titles:
            figures = case.figures(side)
            cells += [str(case.median(side)), str(min(figures)), str(max(figures))] if figures else ["NaN"] * 3
        rows.append(" ".join([json.dumps(cells[0]), *cells[1:]]))
    columns = ", ".join(f"$data using {2 + 3 * n}:{3 + 3 * n}:{4 + 3 * n}:xtic(1) title {json.dumps(heading)}"
                        for n, heading in enumerate(titles.values()))
    script = "\n".join([
        "$data << EOD", *rows, "EOD",
        "set terminal svg size 900,500 dynamic background rgb 'white' font 'sans-serif,14'",
        f"set output {json.dumps(str(path))}", f"set title {json.dumps(title)}",
        "set style data histogram", "set style histogram errorbars gap 1 linewidth 1.5", "set style fill solid 0.8 border -1",
        "set logscale y", "set format y '%.0s %c'", f"set ylabel {json.dumps(cases[0].unit)}", "set grid ytics", "set key top left",
        f"plot {columns}", ""])
    done = subprocess.run(["gnuplot"], input=script, capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise Failure(f"gnuplot could not draw {path}:\n{done.stderr}")
    return path
