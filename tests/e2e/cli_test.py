"""The real program with the real model: answers, exit codes, signals, and nothing left running."""

import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

BINARY = pathlib.Path(os.environ["SYMBIONT_BIN_DIR"]) / "symbiont"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
MODEL = os.environ.get("SYMBIONT_TEST_MODEL") or str(
    CACHE / "symbiont/models/SmolLM2-135M-Instruct.Q4_1.gguf")
KEYS = {"execution_id", "model", "agent", "profile", "isolation", "finish_reason", "usage",
        "timing_ms", "resources", "verdict", "controls"}


def run(*arguments, stdin=b"", model=MODEL):
    """`symbiont run` on the model; stdin is a pipe, never a terminal."""
    return subprocess.run([BINARY, "run", "--model", model, *arguments], input=stdin,
                          capture_output=True, timeout=120, check=False)


def is_running(pid):
    """Whether `pid` runs still; a zombie has ended, and waits for a parent that is not ours."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def descendants(pid):
    """Process ids below `pid`, read from /proc."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            child = int(stat.parent.name)
            found += [child, *descendants(child)]
    return found


class Answers(unittest.TestCase):
    def test_knows_the_capital_of_france(self):
        result = run("--temperature", "0", "--max-tokens", "32",
                     "--system", "You are a helpful assistant.", "What is the capital of France?")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(b"Paris", result.stdout)

    def test_json_has_all_keys(self):
        result = run("--json", "--max-tokens", "4", stdin=b"Hello\n")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(set(json.loads(result.stdout)), KEYS | {"response"})

    def test_json_of_a_failure_keeps_the_keys(self):
        result = run("--json", "--timeout", "1ms", "Hello")
        self.assertEqual(result.returncode, 9, result.stderr)
        answer = json.loads(result.stdout)
        self.assertEqual(set(answer), KEYS | {"error", "partial_response"})
        self.assertEqual(answer["error"]["code"], "ExecutionTimeout")


class ModelFiles(unittest.TestCase):
    def test_unusable_files_exit_with_5(self):
        with tempfile.TemporaryDirectory() as folder:
            base = pathlib.Path(folder)
            (base / "empty.gguf").write_bytes(b"")
            (base / "text.gguf").write_bytes(b"this is no model\n" * 100)
            with open(MODEL, "rb") as model:
                (base / "truncated.gguf").write_bytes(model.read(4 << 20))
            for path in [base / "missing.gguf", base / "empty.gguf", base / "text.gguf",
                         base / "truncated.gguf", base]:
                with self.subTest(path=path.name):
                    result = run("Hello", model=str(path))
                    self.assertEqual(result.returncode, 5, result.stderr)
                    self.assertTrue(result.stderr.startswith(b"error: "), result.stderr)


class Input(unittest.TestCase):
    def test_bad_prompts_exit_with_2(self):
        for name, text in {"empty": b"", "nul": b"a\0b", "large": b"a" * ((1 << 20) + 1)}.items():
            with self.subTest(name):
                self.assertEqual(run(stdin=text).returncode, 2)

    def test_bad_flag_exits_with_2(self):
        self.assertEqual(run("--no-such-flag", "Hello").returncode, 2)

    def test_memory_limit_below_the_need_exits_with_6(self):
        result = run("--json", "--set", "resources.max_memory_mb=16", "Hello")
        self.assertEqual(result.returncode, 6, result.stderr)
        error = json.loads(result.stdout)["error"]
        self.assertEqual(error["code"], "ResourceLimitExceeded")
        self.assertIn("16 MiB", error["message"])


class Endings(unittest.TestCase):
    def start(self):
        process = subprocess.Popen(
            [BINARY, "run", "--model", MODEL, "--max-tokens", "4000", "--timeout", "100s",
             "--system", "You are a helpful assistant.", "Write a very long story about the sea."],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        self.assertTrue(process.stdout.read(1))  # mid-answer
        return process, descendants(process.pid)

    def assert_gone(self, pids):
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and any(map(is_running, pids)):
            time.sleep(0.05)
        self.assertEqual(list(filter(is_running, pids)), [])

    def test_signals_cancel_and_leave_nothing(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            with self.subTest(number.name):
                process, children = self.start()
                self.assertTrue(children)
                process.send_signal(number)
                self.assertEqual(process.wait(timeout=20), code)
                self.assert_gone(children)

    def test_nothing_outlives_a_program_that_is_killed(self):
        process, children = self.start()
        self.assertTrue(children)
        process.kill()
        process.wait(timeout=20)
        self.assert_gone(children)

    def test_reader_that_goes_away_ends_it(self):
        process, children = self.start()
        process.stdout.close()
        self.assertEqual(process.wait(timeout=20), 141)
        self.assert_gone(children)


if __name__ == "__main__":
    unittest.main()
