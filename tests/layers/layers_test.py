"""The tree keeps src/LAYERS; and the check itself finds each kind of violation, shown on small trees that have one."""

import tempfile
import unittest
from pathlib import Path

import layers

ROOT = Path(__file__).resolve().parents[2]
LAYERS = "base:\nwire: base\ndriver: base\n\npure: wire\n"


class TheTree(unittest.TestCase):
    def test_every_include_is_allowed(self):
        violations = layers.check(ROOT)
        self.assertEqual(violations, [], "\n" + "\n".join(violations))


class TheCheck(unittest.TestCase):
    def check(self, files, rules=LAYERS):
        with tempfile.TemporaryDirectory() as tree:
            (Path(tree) / "src").mkdir()
            (Path(tree) / "src/LAYERS").write_text(rules)
            for name, text in files.items():
                path = Path(tree) / "src" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return layers.check(tree)

    def assert_one(self, violations, text):
        self.assertEqual(len(violations), 1, violations)
        self.assertIn(text, violations[0])

    def test_allowed_includes_pass(self):
        files = {"wire/arp.hpp": '#include <cstdint>\n#include "base/bytes.hpp"\n#include "wire/ethernet.hpp"\n',
                 "driver/tap/tap.cpp": "#include <sys/ioctl.h>\n#include <thread>\n"}
        self.assertEqual(self.check(files), [])

    def test_an_edge_that_is_not_written(self):
        self.assert_one(self.check({"base/a.hpp": "\n#include \"wire/arp.hpp\"\n"}), "src/base/a.hpp:2: base may not include wire")

    def test_a_sibling_is_not_allowed_by_standing_above(self):
        self.assert_one(self.check({"driver/a.cpp": '#include "wire/arp.hpp"\n'}), "driver may not include wire")

    def test_an_indented_directive_counts(self):
        self.assert_one(self.check({"base/a.hpp": '#if 1\n  #  include "wire/arp.hpp"\n#endif\n'}), "base may not include wire")

    def test_programs_is_below_everything(self):
        self.assert_one(self.check({"driver/a.cpp": '#include "programs/x.hpp"\n'}), "in no folder")

    def test_a_path_without_folder(self):
        self.assert_one(self.check({"wire/a.cpp": '#include "arp.hpp"\n'}), 'write "wire/arp.hpp"')

    def test_pure_code_knows_no_system(self):
        for header in ("chrono", "thread", "mutex", "random", "new", "iostream", "fstream", "unistd.h", "sys/mman.h", "time.h"):
            with self.subTest(header=header):
                self.assert_one(self.check({"wire/a.cpp": f"#include <{header}>\n"}), f"wire is pure, so it may not include <{header}>")

    def test_a_folder_without_a_line(self):
        self.assert_one(self.check({"util/a.hpp": ""}), "src/util: src/LAYERS has no line")

    def test_rules_without_cycles(self):
        self.assert_one(self.check({}, "base: wire\nwire: base\n"), "may only include folders named above it")

    def test_pure_names_a_folder(self):
        self.assert_one(self.check({}, "base:\npure: bsae\n"), "pure names bsae")


if __name__ == "__main__":
    unittest.main()
