"""Commands that load no model: catalogue, configuration, inspection, doctor, completions; piped chat."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

BINARY = pathlib.Path(os.environ["SYMBIONT_BIN_DIR"]) / "symbiont"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
MODEL = os.environ.get("SYMBIONT_TEST_MODEL") or str(
    CACHE / "symbiont/models/SmolLM2-135M-Instruct.Q4_1.gguf")
CONFIG = """
[slm]
[[slm.model_allow_lists.global_models]]
id = "small"
name = "Small"
provider = { LocalFile = { file_path = "%s" } }
capabilities = ["TextGeneration"]
[[slm.model_allow_lists.global_models]]
id = "big"
name = "Big"
provider = { LocalFile = { file_path = "/models/big.gguf" } }
capabilities = ["TextGeneration", "Reasoning"]
[slm.model_allow_lists.global_models.resource_requirements]
min_memory_mb = 400
[slm.model_allow_lists.agent_model_maps]
"reader" = ["small"]
""" % MODEL


def symbiont(*arguments, stdin=b"", **environment):
    return subprocess.run([BINARY, *arguments], input=stdin, capture_output=True, timeout=120,
                          check=False, env={**os.environ, **environment})


class Configured(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.config = self.write("symbiont.toml", CONFIG)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def call(self, *arguments, code=0, **more):
        result = symbiont(*arguments, SYMBIONT_CONFIG=self.config, **more)
        self.assertEqual(result.returncode, code, result.stderr)
        return result

    def ids(self, *arguments):
        return [m["id"] for m in json.loads(self.call("models", "list", "--json", *arguments).stdout)]

    def test_lists_what_an_agent_may_use(self):
        self.assertEqual(self.ids(), ["small", "big"])
        self.assertEqual(self.ids("--agent", "reader"), ["small"])
        self.assertEqual(self.ids("--agent", "stranger"), [])
        self.assertEqual(self.ids("--capability", "Reasoning"), ["big"])

    def test_shows_and_suggests(self):
        self.assertIn(b"small", self.call("models", "show", "small").stdout)
        self.assertIn(b"did you mean 'small'", self.call("models", "show", "smal", code=5).stderr)
        self.call("models", "show", "big", "--agent", "reader", code=4)

    def test_finds_the_best(self):
        best = self.call("models", "best", "--capability", "Reasoning", "--json").stdout
        self.assertEqual(json.loads(best)["id"], "big")
        self.call("models", "best", "--capability", "Reasoning", "--max-memory-mb", "100", code=5)
        self.call("models", "best", "--capability", "Flying", code=2)

    def test_access_decides_who_runs_what(self):
        self.call("run", "-m", "small", "--agent", "reader", "--max-tokens", "2", "Hi")
        for model in ("big", MODEL):
            with self.subTest(model):
                result = self.call("run", "-m", model, "--agent", "reader", "--json", "Hi", code=4)
                self.assertEqual(json.loads(result.stdout)["error"]["code"], "AccessDenied")
        self.call("run", "-m", "nothing", "Hi", code=5)

    def test_check_prints_every_problem_at_its_place(self):
        self.assertIn(b"2 models", self.call("config", "check").stdout)
        bad = self.write("bad.toml", "[slm]\nenabld = true\nunmapped_agents = 3\n")
        result = self.call("config", "check", bad, code=3)
        self.assertIn(f"{bad}:2:1: slm.enabld: ".encode(), result.stdout)
        self.assertIn(f"{bad}:3:".encode(), result.stdout)
        found = json.loads(self.call("config", "check", bad, "--json", code=3).stdout)
        self.assertEqual(len(found["errors"]), 2)
        self.call("run", "--config", bad, "-m", "small", "Hi", code=3)
        self.call("config", "check", str(self.folder / "missing.toml"), code=3)

    def test_strict_check_takes_warnings_for_errors(self):
        odd = self.write("odd.toml", CONFIG.replace('["small"]', '["small", "ghost"]'))
        self.assertIn(b"warning: ", self.call("config", "check", odd).stdout)
        self.call("config", "check", "--strict", odd, code=3)


class Unconfigured(unittest.TestCase):
    def test_usage_errors_say_what_was_meant(self):
        for arguments, meant in {("chta",): b"'chat'", ("run", "--modle", "x"): b"'--model'",
                                 ("models", "lst"): b"'list'",
                                 ("run", "-m", MODEL, "--set", "resources.max_memry_mb=1", "Hi"):
                                 b"'resources.max_memory_mb'"}.items():
            with self.subTest(arguments):
                result = symbiont(*arguments)
                self.assertEqual(result.returncode, 2)
                self.assertIn(b"did you mean " + meant, result.stderr)

    def test_every_help_has_examples(self):
        for command in (["init"], ["run"], ["chat"], ["models"], ["models", "list"], ["models", "show"],
                        ["models", "best"], ["config"], ["config", "check"], ["inspect"],
                        ["doctor"], ["completions"], ["version"], ["serve"], ["key"], ["key", "new"],
                        ["key", "list"], ["key", "revoke"]):
            with self.subTest(command):
                result = symbiont(*command, "--help")
                self.assertEqual(result.returncode, 0)
                self.assertIn(b"Examples:", result.stdout)

    def test_inspects_without_loading(self):
        found = json.loads(symbiont("inspect", MODEL, "--json").stdout)
        self.assertTrue(found["metadata"])
        self.assertEqual(symbiont("inspect", "/").returncode, 5)
        self.assertEqual(symbiont("inspect", "/no/such.gguf").returncode, 5)

    def test_doctor_names_controls_and_agrees_with_its_exit_code(self):
        result = symbiont("doctor", "--json")
        report = json.loads(result.stdout)
        self.assertEqual(result.returncode, 0 if report["default_profile_enforceable"] else 8)
        self.assertEqual(report["default_profile_enforceable"], report["missing"] == [] and report["trial"]["works"])
        self.assertLessEqual({"memory", "network", "syscalls"}, set(report["controls"]))
        self.assertIn("kernel", report["host"])
        self.assertEqual(symbiont("doctor").returncode, result.returncode)

    def test_version(self):
        self.assertEqual(set(json.loads(symbiont("version", "--json").stdout)),
                         {"version", "engine", "compiler"})

    def test_bash_completes(self):
        script = symbiont("completions", "bash").stdout.decode()
        script += ('COMP_WORDS=(symbiont models best --c); COMP_CWORD=3; _symbiont\n'
                   'printf "%s\\n" "${COMPREPLY[@]}"\n')
        result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        self.assertEqual(set(result.stdout.split()), {"--config", "--capability"})
        for shell in ("zsh", "fish"):
            self.assertIn(b"max-tokens", symbiont("completions", shell).stdout)

    def test_nothing_for_the_terminal_when_piped(self):
        result = symbiont("run", "-m", MODEL, "--max-tokens", "2", "Hi")
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        self.assertNotIn(b"\x1b", symbiont("run", "--bogus").stderr)

    def test_chat_answers_a_pipe_line_by_line(self):
        result = symbiont("chat", "-m", MODEL, "--max-tokens", "2", stdin=b"Hi\n/reset\nHello")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len(result.stdout.strip().splitlines()), 2, result.stdout)


if __name__ == "__main__":
    unittest.main()
