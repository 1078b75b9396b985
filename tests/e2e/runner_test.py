"""`symbiont runner test` on the example engine and on ones that break one rule; `symbiont run` with a Process provider."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

BINARY = pathlib.Path(os.environ["SYMBIONT_BIN_DIR"]) / "symbiont"
ECHO = (pathlib.Path(__file__).resolve().parents[2] / "examples/process_runner/echo_runner.py").read_text()
PYTHON = "/usr/bin/python3"
CHECKS = ["ready", "answer", "second-prompt", "order", "ids", "conversation", "unknown-fields", "utf-8", "long-prompt",
          "max-tokens", "cancel", "after-cancel", "late-cancel", "bad-line", "unknown-type", "bad-request",
          "end-of-input", "done", "output"]
# What is replaced in the example, and the one check that sees it.
BROKEN = {
    "another protocol": ({'"protocol": 1': '"protocol": 2'}, "ready"),
    "an error for an answer": ({"        words = prompt.split()":
                                "        return fail(identity, 'failed', 'no weights')\n        words = []"}, "answer"),
    "one answer": ({"            self.answer(request)": "            return self.answer(request)"}, "second-prompt"),
    "a word after done": ({'"completion_tokens": sent}})': '"completion_tokens": sent}})\n'
                           '        say({"type": "token", "id": identity, "text": "."})'}, "order"),
    "always the same id": ({'identity = request["id"]': "identity = 1"}, "ids"),
    "ASCII only": ({'encoding="utf-8", errors="replace"': 'encoding="ascii", errors="strict"'}, "utf-8"),
    "short lines only": ({"for line in sys.stdin:": "while line := sys.stdin.readline(1 << 16):"}, "long-prompt"),
    "no end": ({"if sent == most:": "if sent == -1:"}, "max-tokens"),
    "no cancel": ({"if identity == self.current:": "if False:", "WORD_SECONDS = 0.002": "WORD_SECONDS = 0.05"},
                  "cancel"),
    "cancel is the end": ({'reason = "cancelled"': 'reason = "cancelled"; self.requests.put(None)'}, "after-cancel"),
    "late cancel is an error": ({"                    self.cancelled.set()\n":
                                 "                    self.cancelled.set()\n"
                                 "                if self.idle:\n"
                                 "                    fail(identity, 'invalid_input', 'nothing to cancel')\n",
                                 "        self.current = None\n": "        self.current = None\n        self.idle = True\n",
                                 "            self.answer(request)":
                                 "            self.idle = False; self.answer(request); self.idle = True"}, "late-cancel"),
    "bad lines are not caught": ({"(ValueError, KeyError, TypeError, RecursionError)": "ZeroDivisionError"}, "bad-line"),
    "unknown types are fatal": ({'fail(identity, "invalid_input", "unknown type")': '__import__("os")._exit(1)'},
                                "unknown-type"),
    "wrong types are fatal": ({"if not isinstance(prompt, str) or not isinstance(most, int):": "if False:"},
                              "bad-request"),
    "stays at the end": ({"        self.requests.put(None)": "        pass"}, "end-of-input"),
    "ends with 3": ({"    Engine().run()": "    Engine().run()\n    sys.exit(3)"}, "end-of-input"),
    "no counts": ({'"completion_tokens": sent': '"completions": sent'}, "done"),
    "a banner": ({"        say({\"type\": \"ready\"": "        print('loading...')\n        say({\"type\": \"ready\""},
                 "output"),
}


def symbiont(*arguments, stdin=b"", cwd="/"):
    return subprocess.run([BINARY, *arguments], input=stdin, capture_output=True, timeout=200, check=False, cwd=cwd)


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name).resolve()
        self.folder.chmod(0o755)

    def engine(self, changes=None):
        """The path of the example engine with every text of `changes` replaced."""
        text = ECHO
        for old, new in (changes or {}).items():
            self.assertIn(old, text)
            text = text.replace(old, new)
        path = self.folder / "engine.py"
        path.write_text(text)
        return str(path)

    def check(self, engine, *options, code=0):
        """Runs the kit; the object of --json, and what it says on standard error."""
        result = symbiont("runner", "test", "--json", "--read", str(self.folder), *options, "--", PYTHON, engine)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return json.loads(result.stdout)


class Kit(Case):
    def test_the_example_passes_all(self):
        report = self.check(self.engine())
        self.assertEqual([c["name"] for c in report["checks"]], CHECKS)
        self.assertEqual({c["result"] for c in report["checks"]}, {"ok"}, report)
        self.assertIs(report["ok"], True)
        self.assertEqual((report["passed"], report["failed"], report["skipped"]), (len(CHECKS), 0, 0))
        self.assertEqual(report["engine"], {"name": "echo", "version": "1"})
        self.assertEqual(report["profile"], "secure")
        self.assertLessEqual({"memory", "network", "syscalls"}, set(report["controls"]))

    def test_each_broken_rule_fails_its_check_and_no_other(self):
        for name, (changes, check) in BROKEN.items():
            with self.subTest(name):
                report = self.check(self.engine(changes), "--timeout", "5s", code=1)
                failing = {c["name"]: c for c in report["checks"] if c["result"] == "fail"}
                self.assertEqual(set(failing), {check}, failing)
                for key in ("rule", "detail", "remedy"):
                    self.assertTrue(failing[check][key], failing)
                self.assertIs(report["ok"], False)

    def test_text_is_a_line_a_check_and_says_what_to_do(self):
        good = symbiont("runner", "test", "--read", str(self.folder), PYTHON, self.engine())
        self.assertEqual((good.returncode, good.stderr), (0, b""), good.stdout)
        lines = good.stdout.decode().splitlines()
        self.assertEqual([line.split()[:2] for line in lines[:-2]], [["ok", name] for name in CHECKS])
        self.assertEqual(lines[-1], f"{len(CHECKS)} checks pass under profile 'secure'.")
        self.assertNotIn(b"\x1b", good.stdout)

        bad = symbiont("runner", "test", "--read", str(self.folder), PYTHON, self.engine(BROKEN["another protocol"][0]))
        self.assertEqual(bad.returncode, 1)
        lines = bad.stdout.decode().splitlines()
        self.assertRegex(lines[0], "^FAIL  ready +a 'ready' for protocol 2")
        self.assertTrue(lines[1].strip().startswith("rule: "), lines)
        self.assertTrue(lines[2].strip().startswith("to do: "), lines)
        self.assertRegex(lines[3], "^skip  answer +it needs 'ready'")
        self.assertEqual(lines[-1], f"1 of {len(CHECKS)} checks fail, {len(CHECKS) - 1} skipped under profile 'secure'.")

    def test_an_engine_that_is_not_seen_inside_is_told(self):
        engine = self.engine()
        result = symbiont("runner", "test", PYTHON, engine)
        self.assertEqual(result.returncode, 1)
        self.assertIn(f"does not see '{engine}': allow it with --read".encode(), result.stderr)
        self.assertIn(b"FAIL  ready", result.stdout)
        result = symbiont("runner", "test", "--read", str(self.folder), PYTHON, "engine.py", cwd=self.folder)
        self.assertIn(f"write {engine}".encode(), result.stderr)

    def test_the_profile_and_its_fields_are_in_force(self):
        config = self.folder / "symbiont.toml"
        config.write_text(f'[slm.sandbox_profiles.engine.filesystem]\nread_paths = ["{self.folder}"]\n')
        options = ["--config", str(config), "--profile", "engine"]
        result = symbiont("runner", "test", "--json", *options, PYTHON, self.engine())
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertEqual(json.loads(result.stdout)["profile"], "engine")
        report = self.check(self.engine({"    Engine().run()": "    store = b'x' * (200 << 20)\n    Engine().run()"}),
                            "--set", "resources.max_memory_mb=64", code=1)
        self.assertIn("memory limit 64 MiB", report["checks"][0]["detail"])
        self.assertIn("resources.max_memory_mb", report["checks"][0]["remedy"])

    def test_nothing_is_left_of_engines_that_stay(self):
        mark = f"left-{os.getpid()}"
        result = symbiont("runner", "test", "--json", "--read", str(self.folder), PYTHON,
                          self.engine(BROKEN["stays at the end"][0]), mark)
        self.assertEqual(result.returncode, 1, result.stderr)

        def left():
            found = []
            for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    found += [path] if mark.encode() in path.read_bytes().split(b"\0") else []
                except OSError:
                    pass
            return found
        self.assertTrue(until(lambda: not left()), left())


class Refusals(Case):
    def test_codes(self):
        config = self.folder / "symbiont.toml"
        config.write_text("[slm]\n")
        for arguments, code, error in (([], 2, "Usage"), (["--", "no-such-program"], 2, "InvalidInput"),
                                       (["--set", "resources.max_memory_mb=0", "true"], 2, "Usage"),
                                       (["--config", str(config), "--profile", "no", "true"], 3,
                                        "SandboxProfileNotFound")):
            with self.subTest(arguments):
                result = symbiont("runner", "test", "--json", *arguments)
                self.assertEqual(result.returncode, code, result.stderr)
                self.assertEqual(json.loads(result.stdout)["error"]["code"], error)

    def test_a_profile_that_cannot_be_enforced(self):
        if any(pathlib.Path("/dev").glob("nvidia*")) or pathlib.Path("/dev/dri").exists():
            self.skipTest("this host has a GPU: there is no control to be without")
        result = symbiont("runner", "test", "--json", "--set", "resources.gpu_access=Exclusive", "--", "/bin/true")
        self.assertEqual(result.returncode, 8, result.stderr)
        self.assertEqual(json.loads(result.stdout)["error"]["code"], "ControlUnavailable")

    def test_a_misspelt_command_is_named_and_not_the_program_behind_it(self):
        for words, meant in ((["sandbox", "exce", "--", "ls"], b"'exec'"), (["sandbox", "porof"], b"'proof'"),
                             (["runner", "tset", "--read", "/", "--", "ls", "-l"], b"'test'")):
            with self.subTest(words):
                result = symbiont(*words)
                self.assertEqual(result.returncode, 2)
                self.assertIn(b"did you mean " + meant, result.stderr)
                self.assertNotIn(b"'ls'", result.stderr)

    def test_a_process_limit_says_how_to_raise_it(self):
        fork = "import os\nif os.fork() == 0: os._exit(0)\nos.wait()"
        result = symbiont("sandbox", "exec", PYTHON, "-c", fork)
        self.assertNotEqual(result.returncode, 0)
        option = "--set process_limits.max_child_processes=1"
        self.assertIn(option, result.stderr.decode().splitlines()[-1])
        result = symbiont("sandbox", "exec", *option.split(), PYTHON, "-c", fork)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_help_has_an_example(self):
        for words in (["runner"], ["runner", "test"]):
            with self.subTest(words):
                result = symbiont(*words, "--help")
                self.assertEqual(result.returncode, 0)
                self.assertIn(b"Examples:", result.stdout)

    def test_bash_completes(self):
        script = symbiont("completions", "bash").stdout.decode()
        script += ('COMP_WORDS=(symbiont runner test --j); COMP_CWORD=3; _symbiont\n'
                   'printf "%s\\n" "${COMPREPLY[@]}"\n')
        result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        self.assertEqual(result.stdout.split(), ["--json"])


class Runs(Case):
    """A model whose provider is a program."""

    SLOW = {"WORD_SECONDS = 0.002": "WORD_SECONDS = 0.2"}

    def model(self, changes=None, profile=""):
        """Options of `symbiont run` for the engine."""
        config = self.folder / "symbiont.toml"
        config.write_text(f"""
[[slm.model_allow_lists.global_models]]
id = "echo"
name = "Echo"
provider = {{ Process = {{ command = ["{PYTHON}", "{self.engine(changes)}"] }} }}
capabilities = ["TextGeneration"]
sandbox_profile = "engine"
[slm.sandbox_profiles.engine.filesystem]
read_paths = ["{self.folder}"]
{profile}""")
        return ["run", "--config", str(config), "--model", "echo"]

    def run_json(self, *arguments, code, **more):
        result = symbiont(*self.model(**more), "--json", *arguments)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return json.loads(result.stdout)

    def test_answers(self):
        result = symbiont(*self.model(), "hello", "wide world")
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, b"hello wide world\n", b""))

    def test_json_has_answer_figures_and_verdict(self):
        answer = self.run_json("--max-tokens", "2", "one two three", code=0)
        self.assertEqual((answer["response"], answer["finish_reason"]), ("one two", "length"))
        self.assertEqual(answer["usage"]["completion_tokens"], 2)
        self.assertEqual(answer["verdict"]["kind"], "Running")  # it stays warm
        self.assertEqual(answer["profile"], "engine")

    def start(self, *arguments, changes):
        process = subprocess.Popen([BINARY, *self.model(changes), *arguments], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def test_the_figures_of_a_warm_engine_are_told(self):
        resources = self.run_json("one two three", code=0)["resources"]
        self.assertGreater(resources["peak_memory_bytes"], 1 << 20)
        self.assertGreater(resources["cpu_time_ms"], 0)
        self.assertLess(resources["peak_memory_bytes"], resources["memory_limit_bytes"])

    def test_words_arrive_while_it_answers(self):
        process = self.start(" ".join(["word"] * 20), changes=self.SLOW)
        self.assertEqual(process.stdout.read(4), b"word")
        self.assertIsNone(process.poll())  # 3.8 s of words are to come
        self.assertEqual(process.wait(60), 0)

    def test_an_interrupt_cancels(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            with self.subTest(number.name):
                process = self.start(" ".join(["word"] * 200), changes=self.SLOW)
                self.assertEqual(process.stdout.read(4), b"word")
                process.send_signal(number)
                self.assertEqual(process.wait(30), code)  # 40 s of words would have come

    def test_its_time_limit_kills_an_engine_that_does_not_cancel(self):
        deaf = {"if identity == self.current:": "if False:", **self.SLOW}
        words = " ".join(["word"] * 200)
        answer = self.run_json("--timeout", "3s", words, code=9, changes=deaf)
        self.assertEqual(answer["error"]["code"], "ExecutionTimeout")
        self.assertEqual(answer["verdict"]["kind"], "TimeLimit")
        self.assertTrue(answer["partial_response"].startswith("word word"))
        limit = "[slm.sandbox_profiles.engine.process_limits]\nmax_execution_time_seconds = 1\n"
        answer = self.run_json(words, code=9, changes=deaf, profile=limit)
        self.assertEqual(answer["verdict"]["kind"], "TimeLimit")

    def test_one_that_cancels_in_time_is_not_killed(self):
        answer = self.run_json("--timeout", "1s", " ".join(["word"] * 200), code=9, changes=self.SLOW)
        self.assertEqual(answer["error"]["code"], "ExecutionTimeout")
        self.assertEqual(answer["verdict"]["kind"], "Running")

    def test_a_death_has_its_verdict(self):
        crash = {"        words = prompt.split()": "        __import__('os')._exit(7)\n        words = []"}
        answer = self.run_json("hello", code=1, changes=crash)
        self.assertEqual(answer["error"]["code"], "ExecutionFailed")
        self.assertEqual((answer["verdict"]["kind"], answer["verdict"]["exit_code"]), ("Exited", 7))
        greedy = {"        words = prompt.split()": "        words = prompt.split() * len(b'x' * (200 << 20))"}
        limit = "[slm.sandbox_profiles.engine.resources]\nmax_memory_mb = 64\n"
        answer = self.run_json("hello", code=6, changes=greedy, profile=limit)
        self.assertEqual(answer["verdict"]["kind"], "MemoryLimit")


def skip_without_controls():
    probe = symbiont("sandbox", "proof", "--json")
    if probe.returncode != 8:
        return
    print("skipped: this host cannot enforce the secure profile:", probe.stderr.decode(errors="replace"))
    sys.exit(1 if os.environ.get("SYMBIONT_REQUIRE") == "all" else 77)


if __name__ == "__main__":
    skip_without_controls()
    unittest.main()
