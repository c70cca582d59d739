"""Every C++ source is laid out by clang-format 14 and says at its head what it is."""

import subprocess
import tempfile
import unittest
from pathlib import Path

import sources

ROOT = Path(__file__).resolve().parents[2]


def unformatted(paths):
    """Returns what clang-format would change, as its own messages; empty if nothing."""
    done = subprocess.run(["clang-format-14", "--dry-run", "-Werror", f"--style=file:{ROOT}/.clang-format", *paths],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    return done.stderr + (f"clang-format-14 ended with {done.returncode}" if done.returncode and not done.stderr else "")


class TheTree(unittest.TestCase):
    def test_layout(self):
        messages = unformatted(sources.sources(ROOT))
        files = sorted({line.split(":")[0] for line in messages.splitlines() if ": error:" in line})
        hint = "mend it with: clang-format-14 -i " + " ".join(files)
        self.assertEqual(messages, "", f"{messages[:4000]}\n{hint}")

    def test_heads(self):
        mistakes = [mistake for path in sources.sources(ROOT) for mistake in sources.head_mistakes(path)]
        self.assertEqual(mistakes, [], "\n" + "\n".join(mistakes))

    @classmethod
    def tearDownClass(cls):
        for lines, path in sources.long_files(sources.sources(ROOT)):
            print(f"   long: {path.relative_to(ROOT)} has {lines} lines; STYLE.md asks for {sources.LONG_LINES}")


class TheCheck(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = Path(folder.name)

    def write(self, name, text):
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def test_finds_a_badly_laid_out_file(self):
        path = self.write("src/base/a.cpp", "// A file.\nint  f( ){return 1 ;}\n")
        self.assertIn("clang-format-violations", unformatted([path]))

    def test_passes_a_well_laid_out_file(self):
        self.assertEqual(unformatted([self.write("src/base/a.cpp", "// A file.\nint f();\n")]), "")

    def test_finds_a_missing_head(self):
        self.assertEqual(len(list(sources.head_mistakes(self.write("src/a.hpp", "int f();\n")))), 2)

    def test_a_header_speaks_for_its_source(self):
        self.write("src/a.hpp", "// A function.\n#pragma once\nint f();\n")
        self.assertEqual(list(sources.head_mistakes(self.write("src/a.cpp", "int f() { return 1; }\n"))), [])

    def test_looks_into_every_folder(self):
        for folder in sources.FOLDERS:
            self.write(f"{folder}/deep/a.cpp", "")
        self.assertEqual(len(sources.sources(self.tree)), len(sources.FOLDERS))


if __name__ == "__main__":
    unittest.main()
