"""The C++ sources of a tree, and what every one of them must have at its head."""

from pathlib import Path

FOLDERS = ("src", "programs", "tests", "fuzz", "bench.d")
LONG_LINES = 300  # STYLE.md: beyond this a file usually does two things


def sources(tree):
    found = []
    for folder in FOLDERS:
        found += [path for path in Path(tree, folder).rglob("*") if path.suffix in (".hpp", ".cpp", ".h", ".c")]
    return sorted(found)


def head_mistakes(path):
    """One sentence for each thing that the head of a file lacks."""
    text = path.read_text(encoding="utf-8")
    says_it_elsewhere = path.name.endswith("_test.cpp") or (path.suffix == ".cpp" and path.with_suffix(".hpp").exists())
    if not text.startswith(("//", "/*")) and not says_it_elsewhere:
        yield f"{path}: the first line must be a comment that says what the file is"
    if path.suffix == ".hpp" and "\n#pragma once\n" not in text:
        yield f"{path}: a header needs #pragma once"


def long_files(paths):
    """(lines, path) of the files that STYLE.md would like shorter, longest first."""
    lengths = ((path.read_bytes().count(b"\n"), path) for path in paths)
    return sorted((pair for pair in lengths if pair[0] > LONG_LINES), reverse=True)
