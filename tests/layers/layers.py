#!/usr/bin/python3
"""Checks src/LAYERS against the #include lines of a tree: who may include whom, and what pure folders may not know.

Link lines alone do not catch a stray include, because a header needs no library. Used by layers_test.py; by hand:
tests/layers/layers.py [TREE].
"""

import re
import sys
from pathlib import Path

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')

# What is left when clocks, files, threads, randomness, the heap's own doors and system calls are taken away. <cerrno> is there for
# its numbers: what a socket call answers is part of a protocol too.
PURE_HEADERS = set("""
    algorithm array bit bitset cassert cctype cerrno charconv climits cmath compare concepts cstddef cstdint cstdlib cstring
    deque functional initializer_list iterator limits list map memory numbers numeric optional ranges set source_location
    span string string_view tuple type_traits unordered_map unordered_set utility variant vector
""".split())


class Layers:
    """What src/LAYERS says. `may` maps a folder to the folders it may include besides itself."""

    def __init__(self, text):
        self.may = {}
        self.pure = set()
        self.mistakes = []
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            name, colon, rest = line.partition(":")
            if not colon:
                self.mistakes.append(f"src/LAYERS:{number}: expected 'folder: folders it may include'")
            elif name == "pure":
                self.pure |= set(rest.split())
            else:
                below = [other for other in rest.split() if other not in self.may]
                if below:
                    self.mistakes.append(f"src/LAYERS:{number}: {name} may only include folders named above it, "
                                         f"and {' '.join(below)} is not")
                self.may[name] = set(rest.split())
        self.mistakes += [f"src/LAYERS: pure names {name}, which is no folder" for name in sorted(self.pure - set(self.may))]


def includes(path):
    """Yields (line number, text between quotes or None, text between brackets or None)."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1), match.group(2)


def check_file(path, where, folder, layers):
    for number, own, system in includes(path):
        place = f"{where}:{number}"
        if own is not None:
            target, slash, _ = own.partition("/")
            if not slash:
                yield f'{place}: "{own}" names no folder; write "{folder}/{own}"'
            elif target not in layers.may:
                yield f'{place}: "{own}" is in no folder of src/LAYERS'
            elif target != folder and target not in layers.may[folder]:
                allowed = " ".join(sorted(layers.may[folder])) or "nothing else"
                yield f"{place}: {folder} may not include {target}; src/LAYERS allows it {allowed}"
        elif folder in layers.pure and system not in PURE_HEADERS:
            yield f"{place}: {folder} is pure, so it may not include <{system}>"


def check(tree):
    """Returns one sentence for each violation in TREE/src."""
    source = Path(tree) / "src"
    layers = Layers((source / "LAYERS").read_text(encoding="utf-8"))
    found = list(layers.mistakes)
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        if folder.name not in layers.may:
            found.append(f"src/{folder.name}: src/LAYERS has no line for this folder")
            continue
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".hpp", ".cpp", ".h", ".c"):
                found += check_file(path, path.relative_to(tree), folder.name, layers)
    return found


if __name__ == "__main__":
    violations = check(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[2])
    print("\n".join(violations) or "every include is one that src/LAYERS allows")
    sys.exit(1 if violations else 0)
