"""symbiont init: the configuration it writes loads, runs, and never replaces one by surprise."""

import json
import os
import pathlib
import subprocess
import tempfile
import tomllib
import unittest

BINARY = pathlib.Path(os.environ["SYMBIONT_BIN_DIR"]) / "symbiont"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
MODEL = pathlib.Path(os.environ.get("SYMBIONT_TEST_MODEL") or
                     CACHE / "symbiont/models/SmolLM2-135M-Instruct.Q4_1.gguf")


class InitTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.config = self.folder / "symbiont.toml"

    def call(self, *arguments, code=0, **environment):
        """In a folder of its own, where neither a configuration nor a model is found by chance."""
        clean = {name: value for name, value in os.environ.items() if name != "SYMBIONT_CONFIG"}
        clean |= {"XDG_CACHE_HOME": str(self.folder / "cache"), "XDG_CONFIG_HOME": str(self.folder)}
        result = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True,
                                timeout=120, check=False, cwd=self.folder,
                                env={**clean, **environment})
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result

    def test_what_it_writes_checks_and_answers(self):
        self.assertIn("symbiont run", self.call("init", MODEL).stdout)
        self.call("config", "check", "--strict")
        answer = self.call("run", "--temperature", "0", "--system", "You are a helpful assistant.",
                           "What is the capital of France?")
        self.assertIn("Paris", answer.stdout)
        for agent, code in {"default": 0, "stranger": 4}.items():
            self.call("run", "--agent", agent, "--max-tokens", "2", "Hi", code=code)

    def test_the_server_part_is_right_where_it_is_uncommented(self):
        self.call("init", MODEL)
        text = self.config.read_text()
        head, server = text.split("# [server]\n")
        server = "\n".join(line.removeprefix("# ") for line in server.splitlines())
        self.config.write_text(head + "[server]\n" + server)
        self.call("config", "check", "--strict")

    def test_numbers_come_from_the_file(self):
        written = json.loads(self.call("init", MODEL, "--json").stdout)
        self.assertEqual(written["model"]["bytes"], MODEL.stat().st_size)
        self.assertEqual(written["model"]["file_path"], str(MODEL))
        self.assertGreater(written["model"]["context_length"], 0)
        slm = tomllib.loads(self.config.read_text())["slm"]
        memory = slm["sandbox_profiles"]["local"]["resources"]["max_memory_mb"]
        self.assertEqual(memory, written["profile"]["max_memory_mb"])
        self.assertGreater(memory << 20, MODEL.stat().st_size * 1.5)
        self.assertEqual(slm["model_allow_lists"]["agent_model_maps"],
                         {"default": [written["model"]["id"]]})

    def test_replaces_a_file_only_when_told_to(self):
        self.config.write_text("# mine\n")
        result = self.call("init", MODEL, code=2)
        self.assertIn("hint: --force", result.stderr)
        error = json.loads(self.call("init", MODEL, "--json", code=2).stdout)["error"]
        self.assertIn("is there already", error["message"])
        self.assertEqual(self.config.read_text(), "# mine\n")
        self.call("init", MODEL, "--force")
        self.assertIn("[slm]", self.config.read_text())
        self.assertEqual(list(self.folder.iterdir()), [self.config])  # nothing half written

    def test_replaces_nothing_but_a_file(self):
        real = self.folder / "real"
        real.write_text("# mine\n")
        self.config.symlink_to(real)
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        for output in (self.config, pipe):
            self.assertIn("is no regular file", self.call("init", MODEL, "--output", output, "--force", code=2).stderr)
        self.assertTrue(self.config.is_symlink() and pipe.is_fifo())
        self.assertEqual(real.read_text(), "# mine\n")

    def test_writes_elsewhere_and_says_what_to_type(self):
        result = self.call("init", MODEL, "--output", "site.toml")
        self.assertIn("symbiont serve --config site.toml", result.stdout)
        self.call("config", "check", "site.toml")
        self.assertIn("--output", self.call("init", MODEL, "-o", "no/such/x.toml", code=1).stderr)

    def test_names_that_need_quoting(self):
        odd = self.folder / 'a "b"\\ \u00e9.gguf'
        odd.symlink_to(MODEL)
        written = json.loads(self.call("init", odd, "--json").stdout)
        self.assertRegex(written["model"]["id"], r"^[A-Za-z0-9._-]+$")
        self.call("config", "check", "--strict")
        self.call("run", "--max-tokens", "2", "Hi")
        worse = self.folder / "tab\t.gguf"
        worse.symlink_to(MODEL)
        self.assertIn("another name", self.call("init", worse, "--force", code=3).stderr)

    def test_without_a_model_it_takes_the_only_one_or_lists_them(self):
        self.assertIn("symbiont init path", self.call("init", code=5).stderr)
        models = self.folder / "cache/symbiont/models"
        models.mkdir(parents=True)
        (models / "small.gguf").symlink_to(MODEL)
        self.assertEqual(json.loads(self.call("init", "--json").stdout)["model"]["id"], "small")
        (self.folder / "other.gguf").write_bytes(b"not read")
        result = self.call("init", "--force", code=2)
        self.assertIn("./other.gguf (8 B)", result.stderr)
        self.assertIn("small.gguf", result.stderr)
        self.assertIn("hint: name one: symbiont init ./other.gguf", result.stderr)

    def test_what_is_no_model_writes_nothing(self):
        bad = self.folder / "bad.gguf"
        bad.write_bytes(b"GGUF" + b"\xff" * 100)
        self.assertIn("download it again", self.call("init", bad, code=5).stderr)
        self.assertIn("check the path", self.call("init", "absent.gguf", code=5).stderr)
        self.assertFalse(self.config.exists())


if __name__ == "__main__":
    unittest.main()
