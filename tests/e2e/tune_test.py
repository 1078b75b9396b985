"""symbiont tune: the copy answers as the model does; whatever the converter does, it sees two files and leaves nothing."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

BIN = pathlib.Path(os.environ["SYMBIONT_BIN_DIR"])
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
MODEL = pathlib.Path(os.environ.get("SYMBIONT_TEST_MODEL") or
                     CACHE / "symbiont/models/SmolLM2-135M-Instruct.Q4_1.gguf")
SECRET = "the launch code is 4711"


def eventually(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("it did not come true")
        time.sleep(0.02)


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.model = self.folder / "model.gguf"
        self.model.symlink_to(MODEL)
        self.binary = BIN / "symbiont"

    def call(self, *arguments, code=0):
        result = subprocess.run([self.binary, *map(str, arguments)], capture_output=True, text=True,
                                timeout=240, check=False)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result

    def files(self):
        return sorted(path.name for path in self.folder.iterdir() if path.suffix != "")


class TuneTest(Folder):
    def test_the_copy_answers_and_is_measured_beside_the_model(self):
        tuned = json.loads(self.call("tune", self.model, "--json").stdout)
        copy = pathlib.Path(tuned["copy"]["path"])
        self.assertEqual(self.files(), ["model.Q8_0.gguf", "model.gguf"])
        self.assertEqual(copy.stat().st_size, tuned["copy"]["bytes"])
        self.assertIn("q8_0", self.call("inspect", copy).stdout)
        answer = self.call("run", "--model", copy, "--temperature", "0", "--system",
                           "You are a helpful assistant.", "What is the capital of France?")
        self.assertIn("Paris", answer.stdout)
        for speeds in tuned["tokens_per_second"].values():
            for speed in speeds.values():
                self.assertGreater(speed, 0)
        places = tuned["next_token"]
        self.assertGreater(places["places"], 50)
        self.assertGreater(places["alike"], places["places"] * 0.8)

    def test_a_copy_that_is_there_is_replaced_by_force_only(self):
        copy = self.folder / "copy.gguf"
        copy.write_text("mine")
        refused = self.call("tune", self.model, copy, "--no-measure", code=2)
        self.assertIn("--force", refused.stderr)
        self.assertEqual(copy.read_text(), "mine")
        self.call("tune", self.model, copy, "--no-measure", "--force")
        self.call("inspect", copy)

    def test_each_type_is_made(self):
        for kind in ("Q4_0", "F16"):
            self.call("tune", self.model, "--no-measure", "--to", kind)
            self.assertIn(kind.lower(), self.call("inspect", self.folder / f"model.{kind}.gguf").stdout)

    def test_mistakes_are_named_and_leave_nothing(self):
        bad = self.folder / "bad.gguf"
        bad.write_bytes(b"GGUF" + bytes(100))
        mine = self.folder / "mine.gguf"
        letter = self.folder / "letter.txt"
        letter.write_text("Dear all")
        unfinished = self.folder / "mine.gguf.unfinished"
        os.link(letter, unfinished)
        cases = [
            (("no-such.gguf",), 5, "no-such.gguf"),
            ((bad,), 5, "bad.gguf"),
            ((self.model, "--to", "Q9"), 2, "Q8_0, Q4_0, F16"),
            ((self.model, self.folder / "absent" / "copy.gguf"), 2, "absent"),
            ((self.model, mine), 2, "not ours alone"),
            ((self.model, self.model, "--force"), 2, "is the model itself"),
        ]
        for arguments, code, words in cases:
            with self.subTest(words):
                self.assertIn(words, self.call("tune", *arguments, code=code).stderr)
        self.assertEqual(letter.read_text(), "Dear all")
        self.assertEqual(self.files(), ["bad.gguf", "letter.txt", "mine.gguf.unfinished", "model.gguf"])


class TakenOverConverterTest(Folder):
    """The converter as an attacker would have it: a model file made it run this instead."""

    def setUp(self):
        super().setUp()
        programs = self.folder / "programs"
        programs.mkdir()
        for name in ("symbiont", "symbiont-launcher", "symbiont-worker"):
            try:
                os.link(BIN / name, programs / name)
            except OSError:
                shutil.copy2(BIN / name, programs / name)
        self.binary = programs / "symbiont"
        self.tuner = programs / "symbiont-tuner"
        self.copy = self.folder / "copy.gguf"

    def becomes(self, script):
        self.tuner.write_text("#!/bin/sh\n" + script)
        self.tuner.chmod(0o755)

    def test_it_reads_and_writes_nothing_else(self):
        secret = self.folder / "secret.txt"
        secret.write_text(SECRET + "\n")
        loot = self.folder / "loot.txt"
        self.becomes(f"read line < {secret}\necho \"failed with $line\" >&2\necho \"$line\" > {loot}\n"
                     "echo nonsense > \"$2\"\n")
        unconfined = subprocess.run([self.tuner, self.model, self.copy, "Q8_0"], capture_output=True,
                                    text=True, check=True)
        self.assertIn(SECRET, unconfined.stderr)
        self.assertIn(SECRET, loot.read_text())
        loot.unlink()
        self.copy.unlink()
        confined = self.call("tune", self.model, self.copy, code=5)
        self.assertNotIn(SECRET, confined.stdout + confined.stderr)
        self.assertEqual(self.files(), ["model.gguf", "secret.txt"])

    def test_what_it_was_refused_is_told(self):
        secret = self.folder / "secret.txt"
        secret.write_text(SECRET + "\n")
        self.becomes(f"read line < {secret} || exit 1\n")
        self.assertIn("secret.txt", self.call("tune", self.model, self.copy, code=7).stderr)
        self.assertEqual(self.files(), ["model.gguf", "secret.txt"])

    def test_it_cannot_fill_the_disk(self):
        self.becomes("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; "
                     "done > \"$2\"\n")
        tiny = self.folder / "tiny.gguf"
        subprocess.run([os.environ["SYMBIONT_MAKE_TINY_GGUF"], tiny], check=True)
        self.assertIn("file", self.call("tune", tiny, self.copy, code=6).stderr)
        self.assertEqual(self.files(), ["model.gguf", "tiny.gguf"])

    def start(self):
        process = subprocess.Popen([self.binary, "tune", self.model, self.copy],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        unfinished = self.folder / "copy.gguf.unfinished"
        eventually(lambda: unfinished.exists() and unfinished.read_text() == "begun\n")
        return process

    def test_an_interrupt_ends_it_and_leaves_nothing(self):
        self.becomes("trap '' INT TERM HUP\necho begun > \"$2\"\nwhile :; do :; done\n")
        process = self.start()
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=20), 130)
        self.assertEqual(self.files(), ["model.gguf"])

    def test_what_a_killed_one_left_the_next_one_takes_over(self):
        self.becomes("echo begun > \"$2\"\nwhile :; do :; done\n")
        process = self.start()
        second = self.call("tune", self.model, self.copy, code=2)
        self.assertIn("another 'symbiont tune'", second.stderr)
        process.kill()
        process.wait(timeout=20)
        self.tuner.unlink()
        os.link(BIN / "symbiont-tuner", self.tuner)
        self.call("tune", self.model, self.copy, "--no-measure")
        self.assertEqual(self.files(), ["copy.gguf", "model.gguf"])


if __name__ == "__main__":
    unittest.main()
