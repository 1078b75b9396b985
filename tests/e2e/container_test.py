"""The real program where no namespace can be made, as in many containers: refused in words, or run with what is left."""

import json
import os
import pathlib
import subprocess
import unittest

BINARY = pathlib.Path(os.environ["SYMBIONT_BIN_DIR"]) / "symbiont"
MODEL = os.environ["SYMBIONT_TEST_MODEL"]
WITHOUT = os.environ["SYMBIONT_WITHOUT_NAMESPACES"]
QUESTION = ("--temperature", "0", "--max-tokens", "32", "--system", "You are a helpful assistant.",
            "What is the capital of France?")


def symbiont(*arguments, landlock=True):
    before = [WITHOUT] if landlock else [WITHOUT, "--no-landlock"]
    return subprocess.run([*before, BINARY, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=120,
                          check=False)


class Container(unittest.TestCase):
    def test_refuses_by_default_and_names_what_is_missing(self):
        result = symbiont("run", "--model", MODEL, *QUESTION)
        self.assertEqual(result.returncode, 8, result.stderr)
        for word in (b"filesystem: no mount namespace here", b"network: no network namespace here", b"--degraded"):
            self.assertIn(word, result.stderr)

    def test_answers_when_that_is_enough_and_says_so(self):
        for landlock in (True, False):
            with self.subTest(landlock=landlock):
                result = symbiont("run", "--degraded", "--json", "--timeout", "100s", "--model", MODEL, *QUESTION, landlock=landlock)
                self.assertEqual(result.returncode, 0, result.stderr)
                answer = json.loads(result.stdout)
                self.assertIn("Paris", answer["response"])
                self.assertEqual({name for name, control in answer["controls"].items() if control["state"] != "Enforced"},
                                 {"filesystem", "network", "gpu"} | (set() if landlock else {"landlock"}))

    def test_doctor_tells_what_would_help(self):
        result = symbiont("doctor")
        self.assertEqual(result.returncode, 8, result.stderr)
        for word in (b"none could be made", b"a seccomp profile that allows them"):
            self.assertIn(word, result.stdout)

    def test_a_program_that_needs_a_namespace_is_refused_even_then(self):
        for arguments in (["--net", "example.org:443"], ["--read", "/var", "--deny", "/var/log"], ["--read", "/proc"]):
            with self.subTest(arguments):
                result = symbiont("sandbox", "exec", "--degraded", *arguments, "--", "/bin/true")
                self.assertEqual(result.returncode, 8, result.stderr)
                self.assertIn(b"namespace", result.stderr)

    def test_no_program_runs_without_landlock(self):
        result = symbiont("sandbox", "exec", "--degraded", "--", "/bin/true", landlock=False)
        self.assertEqual(result.returncode, 8, result.stderr)
        self.assertIn(b"no Landlock of version 3", result.stderr)


if __name__ == "__main__":
    unittest.main()
