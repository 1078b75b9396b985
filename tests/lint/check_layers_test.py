#!/usr/bin/env python3
"""check_layers.py finds what it is there for: each tree below has one wrong include, or none."""

import pathlib
import tempfile
import unittest

import check_layers


def problems(files):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        return check_layers.check(root)[1]


class CheckLayersTest(unittest.TestCase):
    def test_allowed(self):
        self.assertEqual(problems({
            "src/base/a.cc": '#include "base/a.h"\n#include "symbiont/verdict.h"\n#include <fmt/core.h>\n',
            "src/worker/w.cc": '#include "sandbox/lockdown_filter.h"\n#include <llama.h>\n#include "llama_model.h"\n',
            "src/cmd/symbiont-worker/main.cc": '#include "worker/loop.h"\n',
        }), [])

    def assert_one_problem(self, name, include, text):
        found = problems({name: f"\n#include {include}\n"})
        self.assertEqual(len(found), 1, found)
        self.assertIn(text, found[0])
        self.assertTrue(found[0].startswith(f"{name}:2: "), found[0])

    def test_wrong_arrow(self):
        self.assert_one_problem("src/base/a.h", '"engine/engine.h"', "base/ may not include")

    def test_worker_may_not_start_anything(self):
        self.assert_one_problem("src/worker/w.cc", '"sandbox/spawn.h"', "may include only")

    def test_worker_main_may_not_wire(self):
        self.assert_one_problem("src/cmd/symbiont-worker/main.cc", '"engine/engine.h"', "may not include")

    def test_public_header(self):
        self.assert_one_problem("include/symbiont/engine.h", '"base/file.h"', "public header")

    def test_library_away_from_home(self):
        self.assert_one_problem("src/runners/r.cc", "<llama.h>", "only worker/")

    def test_new_folder_needs_a_row(self):
        self.assertIn("no row", problems({"src/novel/n.cc": ""})[0])


if __name__ == "__main__":
    unittest.main()
